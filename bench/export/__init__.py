"""Writes a trained field as a mesh, a video, a viewer or a page."""
