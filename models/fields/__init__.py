"""Networks, encodings and grids that map points to density and colour."""
