"""Computes NeRF's hidden layers, and their gradients, in fused kernels on a Hopper GPU."""
