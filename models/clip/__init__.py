"""Implements CLIP: its architectures, and the reading of public checkpoints. Start with `load`."""

from __future__ import annotations

from models.clip.encoder import Encoder
from models.clip.loading import abstract, load

__all__ = ["Encoder", "abstract", "load"]
