"""Computes residual blocks with layer normalisation: in plain JAX, or in one kernel where the GPU has a fast one."""
