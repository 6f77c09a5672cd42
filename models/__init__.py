"""Trains radiance fields: the methods, their networks, encodings, sampling and rendering, and the CLIP encoders."""
