"""Samples rays, composites them, and draws random poses."""
