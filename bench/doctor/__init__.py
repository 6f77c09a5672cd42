"""Tells whether this install and device compute what they should: golden values, rounding, machine, Ray, store."""
