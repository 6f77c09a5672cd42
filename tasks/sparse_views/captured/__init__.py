"""Scenes that somebody photographed: readers of their folders, checks, and the task on them."""
