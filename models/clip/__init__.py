"""CLIP: the architectures, exactly, and every public checkpoint of them; `load` is the way in."""

from __future__ import annotations

from models.clip.encoder import Encoder
from models.clip.loading import abstract, load

__all__ = ["Encoder", "abstract", "load"]
