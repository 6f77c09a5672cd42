"""Arranges rendered views into sheets, grids and turntables."""
