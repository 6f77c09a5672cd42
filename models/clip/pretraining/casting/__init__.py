"""Casts pictures of the closed world on the accelerator: thousands a second, for training alone."""
