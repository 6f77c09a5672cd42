"""Samples rays, composites them, and samples random poses."""
