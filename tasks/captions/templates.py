"""Decides which captions the composed sets and the set `closed-world` hold, and which of them are held out.

A template is a sentence with two gaps. Every phrase for the first gap with every phrase for the second makes a grid of
captions. Each grid in `TEMPLATES` is a retrieval set, `composed:NAME` in `tasks.captions.caption_task`. `closed_world`
chooses the meanings of the set `closed-world`.

The armchair in the shape of an avocado, the armchair imitating an avocado and the snail made of baguette come from the
Dream Fields paper (Fig. 6, after DALL-E's page). The teapot, the glacier and the Rubik's cube come from its authors'
talk. The full lists behind the paper's figures were never released, so all other words, and the two grids of the closed
world, are ours.

In a grid of the closed world the held-out cells are those that its encoders were not trained on
(`tasks.closed_world.meanings`). Nobody knows what other encoders were trained on. So in the other grids a quarter of
the cells is held out in another sense: settings are tuned only on the rest.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
from collections.abc import Iterable

from bench.errors import UsageError, nearest
from tasks.closed_world import grammar
from tasks.closed_world.meanings import Meaning, ObjectPairSpec, ObjectSpec, fraction, is_held_out, pairs, things

HELD_OUT_EVERY = 4
"""In a grid outside the closed world one diagonal in this many is held out, always the last of them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Template:
    """A sentence with two gaps, and the phrases that fill them.

    Attributes:
        name: Name of the grid, for `composed:NAME`.
        text: Sentence with `{}` twice; `a` becomes `an` before a vowel.
        rows: Phrases for the first gap.
        columns: Phrases for the second gap.
        in_world: Whether its captions belong to the closed world, which then decides which are held out.
    """

    name: str
    text: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    in_world: bool = False

    def __post_init__(self) -> None:
        where = f"template {self.name}"
        if self.text.count("{}") != 2 or re.search(r"[{}]", self.text.replace("{}", "")):
            raise UsageError(f"{where}: expected a text with {{}} twice and no other braces, got {self.text!r}")
        for side, words in (("rows", self.rows), ("columns", self.columns)):
            if len(words) < 2 or len(set(words)) < len(words) or not all(word.strip() for word in words):
                raise UsageError(f"{where}: expected two or more different words as {side}, got {words}")
        if len(set(self.captions)) < len(self.captions):
            raise UsageError(f"{where}: expected a caption of its own for every cell, got two alike; change a word")
        if self.in_world:
            for caption in self.captions:
                grammar.parse(caption)

    @property
    def cells(self) -> tuple[tuple[int, int], ...]:
        """Row and column of every cell, diagonal by diagonal, so that the first cells share as few words as possible.

        Example:
            >>> Template(name="x", text="{} {}", rows=("a", "b"), columns=("c", "d", "e")).cells
            ((0, 0), (1, 1), (0, 1), (1, 2), (0, 2), (1, 0))
        """
        num_columns = len(self.columns)
        return tuple((i, (i + k) % num_columns) for k in range(num_columns) for i in range(len(self.rows)))

    @functools.cached_property
    def captions(self) -> tuple[str, ...]:
        """Captions, one for each cell, in the order of `cells`."""
        return tuple(self.caption(i, j) for i, j in self.cells)

    @functools.cached_property
    def held_out(self) -> tuple[str, ...]:
        """Captions of the cells that are held out, in the same order."""
        return tuple(
            caption for cell, caption in zip(self.cells, self.captions, strict=True) if self._is_held_out(cell)
        )

    @functools.cached_property
    def seen(self) -> tuple[str, ...]:
        """Captions of all other cells, in the same order."""
        held_out = set(self.held_out)
        return tuple(caption for caption in self.captions if caption not in held_out)

    def caption(self, row: int, column: int) -> str:
        """Write the caption of a cell.

        Example:
            >>> TEMPLATES["shapes"].caption(0, 0)
            'an armchair in the shape of an avocado'
        """
        return re.sub(r"\ba(?= [aeio])", "an", self.text.format(self.rows[row], self.columns[column]))

    def _is_held_out(self, cell: tuple[int, int]) -> bool:
        row, column = cell
        if self.in_world:
            return is_held_out(grammar.parse(self.caption(row, column)))
        return (column - row) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1


OBJECTS = ("an armchair", "a teapot", "a vase", "a lamp")
"""Objects that take on a shape: one from the paper, one from the talk, and two of ours."""

SHAPES = (
    *("an avocado", "a glacier", "a Rubik's cube"),  # from the paper and the talk
    *("a pineapple", "a pumpkin", "a seashell", "a mushroom", "a strawberry", "a cabbage"),
    *("a beehive", "a cactus", "an octopus"),
)
"""Shapes in the first grid, imitated things in the second."""

ANIMALS = ("a snail", "a dog", "an elephant", "a fish")
"""Animals that are made of a material: one from the paper, and three of ours."""

MATERIALS = (
    "baguette",  # from the paper
    *("glass", "wood", "gold", "marble", "wool", "leaves", "ice", "chocolate", "paper", "bricks", "rope"),
)

TEMPLATES: dict[str, Template] = {
    template.name: template
    for template in (
        Template(name="shapes", text="{} in the shape of {}", rows=OBJECTS, columns=SHAPES),
        Template(name="imitations", text="{} imitating {}", rows=OBJECTS, columns=SHAPES),
        Template(name="materials", text="{} made of {}", rows=ANIMALS, columns=MATERIALS),
        # One meaning in ten is held out, so most rows of a grid of random words would have no held-out cell. The words
        # of these two grids were searched for: every row and every column has one to three held-out cells of six.
        Template(
            name="world-things",
            text="a {} metallic {}",
            rows=("orange", "yellow", "turquoise", "blue", "brown", "white"),
            columns=("boat", "bridge", "lighthouse", "robot", "windmill", "bed"),
            in_world=True,
        ),
        Template(
            name="world-pairs",
            text="a {} on a {}",
            rows=("purple rocket", "orange windmill", "red guitar", "blue umbrella", "green dog", "black robot"),
            columns=("white cylinder", "yellow table", "brown bridge", "turquoise cube", "gray sofa", "pink bench"),
            in_world=True,
        ),
    )
}
"""All templates by name."""


def template(name: str) -> Template:
    """Look up a template by name.

    Raises:
        UsageError: No template has this name; the message gives the nearest.
    """
    if name not in TEMPLATES:
        raise UsageError(f"template: expected a known one, got {name!r}; {nearest(name, TEMPLATES)}")
    return TEMPLATES[name]


NUM_HELD_OUT = 64
"""Held-out meanings in the set `closed-world`."""

NUM_SEEN = 64
"""Meanings in the set `closed-world` that the embedded encoders were trained on."""

_POOL = 400
"""Number of things, and of pairs, of a split to choose from: the first in the order of their hashes."""


@functools.cache
def closed_world() -> tuple[Meaning, ...]:
    """Choose the meanings of the set `closed-world`: the held-out ones first; in each split three things, a pair, etc.

    The set has no near-duplicates: no two things share both kind and colour, and no two pairs share both kinds. Each
    meaning is the one whose kinds, colours and finishes were used least before, so that the first ones differ as much
    as possible, and all words are used about equally often.
    """
    uses: collections.Counter[str] = collections.Counter()
    taken: set[frozenset[str]] = set()
    chosen: list[Meaning] = []
    for split, num in (("held_out", NUM_HELD_OUT), ("train", NUM_SEEN)):
        singles = _in_hash_order(things(split))
        doubles = _in_hash_order(pairs(split, _POOL, 0))
        for i in range(num):
            pool = doubles if i % 4 == 3 else singles
            free = [meaning for meaning in pool if _look(meaning) not in taken]
            least = min(free, key=lambda meaning: _num_uses(meaning, uses))  # of equals the first
            chosen.append(least)
            taken.add(_look(least))
            uses.update(word for thing in _things_in(least) for word in dataclasses.astuple(thing))
            if isinstance(least, ObjectPairSpec):
                uses[least.relation] += 1
    return tuple(chosen)


def _in_hash_order(meanings: Iterable[Meaning]) -> list[Meaning]:
    return sorted(meanings, key=lambda meaning: fraction("retrieval", meaning.id))[:_POOL]


def _things_in(meaning: Meaning) -> tuple[ObjectSpec, ...]:
    return (meaning,) if isinstance(meaning, ObjectSpec) else (meaning.first, meaning.second)


def _look(meaning: Meaning) -> frozenset[str]:
    """Return the words that no two meanings of the set may have in common."""
    if isinstance(meaning, ObjectSpec):
        return frozenset([meaning.kind, meaning.color])
    return frozenset([meaning.first.kind, meaning.second.kind])


def _num_uses(meaning: Meaning, uses: collections.Counter[str]) -> tuple[int, ...]:
    """Count earlier uses of a meaning's relation, kinds, colours and finishes, for sorting.

    Pairs of one colour come last, because they cannot show whether each colour is on the right thing.
    """
    parts = _things_in(meaning)
    is_one_color = len(parts) == 2 and parts[0].color == parts[1].color
    num_relation = uses[meaning.relation] if isinstance(meaning, ObjectPairSpec) else 0
    used = (sum(uses[getattr(thing, field)] for thing in parts) for field in ("kind", "color", "finish"))
    return (int(is_one_color), num_relation, *used)
