"""Writes numbers of things as messages, tables and pages show them."""

from __future__ import annotations


def pluralize(noun: str) -> str:
    """Write a noun in the plural."""
    return f"{noun}s"


def format_count(num: int, noun: str) -> str:
    """Write a number of things.

    Example:
        >>> format_count(1, "scene"), format_count(8, "scene"), format_count(0, "trial")
        ('1 scene', '8 scenes', '0 trials')
    """
    return f"{num} {noun if num == 1 else pluralize(noun)}"
