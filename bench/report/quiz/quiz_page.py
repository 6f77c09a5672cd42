"""Writes the page on which a person answers a blind quiz: pictures in it, answers saved as a table."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from markupsafe import Markup

from bench.report.page import html, quiz_words, script_data

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
        **quiz_words.list_words_and_swatches(),
        "pictures": ["data:image/png;base64," + base64.b64encode(png).decode() for png in pngs],
    }
    return html.render_template(
        "quiz.html.j2",
        title="What do you see?",
        introduction=INTRODUCTION,
        data=Markup(script_data.dump_json(data)),
        script=Markup(html.quiz_script()),
    )
