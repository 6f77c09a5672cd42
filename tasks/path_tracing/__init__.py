"""Meshes and materials, and the path tracer Mitsuba that renders them."""
