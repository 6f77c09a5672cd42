"""Draws what was computed: tables, figures, pictures and pages. Nothing here makes a number.

`build.py` gathers what a report holds, `page/report_files.py` draws its files.
"""
