"""Writes the page on which a person answers a blind quiz: pictures in it, answers saved as a table."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from markupsafe import Markup

from bench.report.page import html, script_data
from tasks.closed_world.meanings import PROPERTIES

SWATCHES = {
    "red": "#d62828",
    "orange": "#f28c28",
    "yellow": "#f5d327",
    "green": "#2e9e44",
    "turquoise": "#2ec4b6",
    "blue": "#2456c8",
    "purple": "#7b3fa0",
    "pink": "#f29bb7",
    "brown": "#7a4a28",
    "white": "#ffffff",
    "gray": "#8d8d8d",
    "black": "#151515",
}
"""What each colour is like, beside its word."""

INTRODUCTION = (
    "Of each picture say what it shows, whatever you think of it: one kind, one colour, one finish. Where two things "
    "are shown, say one of them.",
    "“Cannot tell” counts as wrong: say what it is most like, if anything. A glossy thing has highlights of the light, "
    "a metallic one mirrors what is around it, a matte one neither.",
    "Save the answers at the end, or in between: the file holds all that were given so far.",
)


def render_quiz_page(quiz: str, pngs: Sequence[bytes]) -> str:
    """Render the page.

    Args:
        quiz: Hash of the quiz.
        pngs: The pictures, in the order of their numbers.
    """
    data = {
        "quiz": quiz,
        "properties": {name: list(values) for name, values in PROPERTIES.items()},
        "swatches": SWATCHES,
        "pictures": ["data:image/png;base64," + base64.b64encode(png).decode() for png in pngs],
    }
    return html.render_template(
        "quiz.html.j2",
        title="What do you see?",
        introduction=INTRODUCTION,
        data=Markup(script_data.dump_json(data)),
        script=Markup(html.quiz_script()),
    )
