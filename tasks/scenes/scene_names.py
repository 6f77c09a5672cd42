"""Names the embedded scenes for the command line; imports nothing heavy."""

from __future__ import annotations

SCENE_NAMES = ("kettle", "locomotive", "birdcage", "balloon", "lotus", "bottle", "castle", "chess")
"""All of `tasks.scenes.scenes.SCENES`, in their order."""
