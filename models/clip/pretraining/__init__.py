"""Trains and evaluates the embedded encoders."""
