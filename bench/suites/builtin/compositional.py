"""The suite `compositional`: objects from captions that combine words as no encoder has seen them.

    python -m bench run --suite compositional

Each table is one template filled with words, over its own frozen retrieval set. It compares the full recipe with the
one without crops and backgrounds. In the closed world the combinations that were kept from all training come first. At
`paper` the templates are those of Dream Fields (an armchair in the shape of an avocado), guided and judged by OpenAI's
encoders.
"""

from __future__ import annotations

import dataclasses
import functools

from bench.suites.builtin import caption_tables
from bench.suites.suite import Suite, Table
from tasks.captions.caption_task import tasks_of

CLOSED_WORLD_TEMPLATES = ("world-things", "world-pairs")

PAPER_TEMPLATES = ("shapes", "imitations", "materials")


def embedded(budget: str, names: tuple[str, ...], num: int | None) -> tuple[Table, ...]:
    """Make the study on templates of the closed world."""
    return template_tables(caption_tables.embedded_settings(budget), names, num)


def as_published() -> tuple[Table, ...]:
    """Make the study on the paper's templates, with the settings of its code."""
    return template_tables(caption_tables.published_settings(), PAPER_TEMPLATES, None)


def template_tables(
    study: caption_tables.CaptionStudySettings, names: tuple[str, ...], num: int | None
) -> tuple[Table, ...]:
    """Make one table for each template.

    Args:
        study: The settings that all tables share; its captions are replaced.
        names: The templates.
        num: Captions of a template at a small budget; None for all.
    """
    found = []
    for name in names:
        retrieval_set = f"composed:{name}"
        held_out = tasks_of(retrieval_set, split="held_out")
        chosen = held_out[:num] if study.is_small else (*held_out, *tasks_of(retrieval_set, split="seen"))
        settings = dataclasses.replace(study, tasks=chosen)
        arms = {"no crops, no backgrounds": settings.plain(num)}
        found.append(settings.table(name, "Are its compositions found again?", arms))
    return tuple(found)


COMPOSITIONAL = Suite(
    name="compositional",
    question="Do compositions that no encoder has seen come out?",
    tables={
        "smoke": functools.partial(embedded, "smoke", CLOSED_WORLD_TEMPLATES[:1], 2),
        "quick": functools.partial(embedded, "quick", CLOSED_WORLD_TEMPLATES, 6),
        "standard": functools.partial(embedded, "standard", CLOSED_WORLD_TEMPLATES, None),
        "fine": functools.partial(embedded, "fine", CLOSED_WORLD_TEMPLATES, None),
        "paper": as_published,
    },
    num_seeds={"smoke": 1, "quick": 1, "standard": 1, "fine": 1, "paper": 1},
)
