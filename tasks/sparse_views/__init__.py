"""Sparse-view tasks, which reconstruct a scene from a few photos: embedded scenes and folders of photos."""
