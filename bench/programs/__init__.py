"""Traced programs: what names them, and how they are kept for the next process."""
