"""Casts pictures of the closed world on the accelerator, for training alone."""
