"""Lays out tables once, and writes them for the terminal, Markdown, LaTeX and HTML."""
