"""Finds, reads and converts published CLIP weights."""
