"""Writes the page on which a person answers a blind quiz: pictures in it, answers saved as a table.

Of a quiz with several forms it lists them, and asks about one: `index.html#form-2`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from markupsafe import Markup

from bench.analysis.quiz.answers import answers_name
from bench.report.page import html, quiz_words, script_data

INTRODUCTION = (
    "Of each picture say what it shows, whatever you think of it: one kind, one colour, one finish. Where two things "
    "are shown, say one of them.",
    "“Cannot tell” counts as wrong: say what it is most like, if anything. A glossy thing has highlights of the light, "
    "a metallic one mirrors what is around it, a matte one neither.",
    "Save the answers at the end, or in between: the file holds all that were given so far.",
)


FORMS = (
    "Answer one form, and look at no other: no form shows a thing twice, and whoever sees a thing again learns from "
    "the clearer picture. Take the form that you were given, or one that nobody has answered."
)


def render_quiz_page(quiz: str, pngs: Sequence[bytes], forms: Sequence[Sequence[int]] | None = None) -> str:
    """Render the page.

    Args:
        quiz: Hash of the quiz.
        pngs: The pictures, in the order of their numbers.
        forms: The numbers of each form's pictures; None for one form of all.
    """
    forms = forms or [range(1, len(pngs) + 1)]
    data = {
        "quiz": quiz,
        **quiz_words.list_words_and_swatches(),
        "forms": [list(numbers) for numbers in forms],
        "about_forms": FORMS,
        "pictures": ["data:image/png;base64," + base64.b64encode(png).decode() for png in pngs],
    }
    return html.render_template(
        "quiz.html.j2",
        title="What do you see?",
        introduction=INTRODUCTION,
        table=answers_name(1, len(forms)),
        sheets="the sheets" if len(forms) == 1 else "sheets/form-1, or another form's",
        data=Markup(script_data.dump_json(data)),
        script=Markup(html.quiz_script()),
    )
