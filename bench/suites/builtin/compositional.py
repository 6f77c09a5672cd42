"""Do compositions that no encoder has seen come out? Templates filled with words, each a grid with held-out cells.

    python -m bench run --suite compositional

A table a template, over its own frozen retrieval set: the full recipe, and the one without crops and backgrounds. In
the closed world the cells that were kept from all training come first. At `paper` the templates are those of Dream
Fields (an armchair in the shape of an avocado), guided and judged by OpenAI's encoders.
"""

from __future__ import annotations

import dataclasses

from bench.suites.builtin import caption_tables
from bench.suites.suite import Suite, Table
from tasks.captions.caption_task import tasks_of

CLOSED, OPEN = ("world-things", "world-pairs"), ("shapes", "imitations", "materials")


def tables(study: caption_tables.CaptionStudySettings, names: tuple[str, ...], num: int | None) -> tuple[Table, ...]:
    """A table a template."""
    found = []
    for name in names:
        known = f"composed:{name}"
        held_out = tasks_of(known, split="held_out")
        chosen = held_out[:num] if study.is_small else (*held_out, *tasks_of(known, split="seen"))
        mine = dataclasses.replace(study, tasks=chosen)
        made = mine.table(name, "Are its compositions found again?", {"no crops, no backgrounds": mine.plain(num)})
        found.append(made)
    return tuple(found)


COMPOSITIONAL = Suite(
    name="compositional",
    question="Do compositions that no encoder has seen come out?",
    tables={
        "smoke": lambda: tables(caption_tables.embedded("smoke"), CLOSED[:1], 2),
        "quick": lambda: tables(caption_tables.embedded("quick"), CLOSED, 6),
        "standard": lambda: tables(caption_tables.embedded("standard"), CLOSED, None),
        "paper": lambda: tables(caption_tables.as_published(), OPEN, None),
    },
    num_seeds={"smoke": 1, "quick": 1, "standard": 1, "paper": 1},
)
