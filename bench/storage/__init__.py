"""Keeps on disk what a trial leaves."""
