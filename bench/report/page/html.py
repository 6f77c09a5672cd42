"""Turns templates into pages: `templates/*.html.j2`, by jinja2.

Everything that a template prints is escaped, and loses line breaks and control characters; only `Markup` is printed as
it is. A page can be read without its script, and no other script than that one may run in it.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import pathlib
import re
from typing import Any

import jinja2
from markupsafe import Markup, escape

from bench.report.tables.words import printable

ASSETS = pathlib.Path(__file__).with_name("assets")

TEMPLATES = pathlib.Path(__file__).with_name("templates")

SCRIPTS = ("common.js", "words.js", "seen.js", "tables.js", "trials.js", "pictures.js")
"""Parts of the explorer's script, in the order in which they stand."""


def render_template(template: str, **values: Any) -> str:
    """Render a page.

    Args:
        template: Name of a file in `templates/`.
        values: What it prints. Plain strings are escaped.
    """
    return compile_template(template).render(**values)


def compile_template(template: str) -> jinja2.Template:
    """Compile a template, once: what renders it later finds it compiled."""
    return _environment().get_template(template)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_without_control_characters,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"with_minus": with_minus, "column_heading": mark_up_heading}
    environment.globals |= {
        "asset": _asset_markup,
        "explorer_script": _explorer_markup,
        "script_digest": script_digest,
        "whole_seconds": whole_seconds,
    }
    return environment


def _without_control_characters(value: Any) -> Any:
    """Clean a person's text before it is escaped; leave what is marked as HTML."""
    return printable(value) if type(value) is str else value


def _asset_markup(name: str) -> Markup:
    return Markup(asset(name))


def _explorer_markup() -> Markup:
    return Markup(explorer_script())


def whole_seconds(seconds: float) -> int:
    """Round seconds for a browser, which counts whole ones; one at least."""
    return max(1, round(seconds))


def escape_text(text: str) -> str:
    """Escape a person's text for tags and attributes.

    Example:
        >>> escape_text('<b title="x">')
        '&lt;b title=&#34;x&#34;&gt;'
    """
    return str(escape(printable(text)))


@functools.cache
def asset(name: str) -> str:
    """Read a file of the page's style or script."""
    return (ASSETS / name).read_text("utf-8")


@functools.cache
def explorer_script() -> str:
    """Join the parts of the explorer's script in one scope of its own."""
    return '(() => {\n"use strict";\n' + "".join(map(asset, SCRIPTS)) + "})();\n"


@functools.cache
def quiz_script() -> str:
    """Put the script of a quiz in a scope of its own."""
    return '(() => {\n"use strict";\n' + asset("words.js") + asset("quiz.js") + "})();\n"


def script_digest(script: str | None = None) -> str:
    """Compute the digest by which a page's security policy names its script; None for the explorer's."""
    text = explorer_script() if script is None else script
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def with_minus(text: str) -> str:
    """Write a number's leading hyphen as a minus, which is as wide as a plus.

    Example:
        >>> with_minus("-1.5"), with_minus("-"), with_minus("+1.5")
        ('\u22121.5', '-', '+1.5')
    """
    is_negative = text.startswith("-") and text[1:2].isdigit()
    return "\u2212" + text[1:] if is_negative else text


def mark_up_heading(name: str) -> Markup:
    """Mark up a column's heading, so that no arrow stands alone on a line and the judge's name is not broken.

    Example:
        >>> print(mark_up_heading("margin, by a judge ↑"))
        margin, <span class="by">by a judge&nbsp;↑</span>
    """
    quantity, comma, judge = printable(name).partition(", by ")
    marked_up = Markup('{}, <span class="by">by {}</span>').format(quantity, judge) if comma else escape(quantity)
    for arrow in "↑↓":
        marked_up = marked_up.replace(f" {arrow}", Markup("&nbsp;") + arrow)
    return marked_up


def without_auto_refresh(page: str) -> str:
    r"""Return a page that does not load itself again: as it is drawn when no trial runs.

    Example:
        >>> without_auto_refresh('<meta charset="utf-8">\n<meta http-equiv="refresh" content="10">\n')
        '<meta charset="utf-8">\n'
    """
    return re.sub(r'<meta http-equiv="refresh" content="\d+">\n', "", page, count=1)
