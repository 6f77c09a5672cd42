"""Meshes and materials, rendered by Mitsuba."""
