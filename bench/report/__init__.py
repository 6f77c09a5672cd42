"""Draws what was computed: tables, figures, pictures and pages. Nothing here makes a number."""
