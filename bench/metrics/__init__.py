"""Turns views, or a field, into scores; protocols say which views and which definitions count."""
