"""Which captions are composed of words: grids of templates with their held-out cells, and the closed world's own 128.

A template is a sentence with two gaps; every word of the one with every word of the other makes a full grid.
`TEMPLATES` names the grids. Each is a retrieval set of its own, `composed:NAME` in `tasks.captions.caption_task`, one caption a
cell. `closed_world` chooses the meanings of the set `closed-world`.

From the Dream Fields paper (Fig. 6, after DALL-E's page) are the armchair in the shape of an avocado, the armchair
imitating an avocado and the snail made of baguette; from its authors' talk are the teapot, the glacier and the Rubik's
cube. The full lists of words behind the paper's figures were never released: all other words, and the two grids of the
closed world, are ours.

Held out is, in a grid of the closed world, what is kept from all training of its encoders (`tasks.closed_world.meanings`). Nobody
knows what other encoders have seen; of the other grids a quarter is held out from choices: what is tuned is tuned on
the rest.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
from collections.abc import Iterable

from bench.errors import UsageError, nearest
from tasks.closed_world import grammar
from tasks.closed_world import meanings as meanings_module
from tasks.closed_world.meanings import Meaning, ObjectPairSpec, ObjectSpec

HELD_OUT_EVERY = 4
"""Of a grid that is not of the closed world, the last of every so many diagonals is held out."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Template:
    """A sentence with two gaps, and what stands in them.

    Attributes:
        name: Of the grid, for `composed:NAME`.
        text: With `{}` twice; `a` becomes `an` where it must.
        rows: What stands in the first gap.
        columns: What stands in the second gap.
        in_world: Whether its captions are those of the closed world, which then says what is held out.
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
        """Row and column of every cell, diagonal by diagonal: the first few hold as many different words as can be.

        Example:
            >>> Template(name="x", text="{} {}", rows=("a", "b"), columns=("c", "d", "e")).cells
            ((0, 0), (1, 1), (0, 1), (1, 2), (0, 2), (1, 0))
        """
        num_columns = len(self.columns)
        return tuple((i, (i + k) % num_columns) for k in range(num_columns) for i in range(len(self.rows)))

    @functools.cached_property
    def captions(self) -> tuple[str, ...]:
        """One a cell, in the order of `cells`."""
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
        """The caption of a cell.

        Example:
            >>> TEMPLATES["shapes"].caption(0, 0)
            'an armchair in the shape of an avocado'
        """
        return re.sub(r"\ba(?= [aeio])", "an", self.text.format(self.rows[row], self.columns[column]))

    def _is_held_out(self, cell: tuple[int, int]) -> bool:
        row, column = cell
        if self.in_world:
            return meanings_module.is_held_out(grammar.parse(self.caption(row, column)))
        return (column - row) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1


OBJECTS = ("an armchair", "a teapot", "a vase", "a lamp")
"""What takes on a shape: the paper's, the talk's, and two of ours."""

SHAPES = (
    *("an avocado", "a glacier", "a Rubik's cube"),  # the paper's and the talk's
    *("a pineapple", "a pumpkin", "a seashell", "a mushroom", "a strawberry", "a cabbage"),
    *("a beehive", "a cactus", "an octopus"),
)
"""In the first grid as a shape, in the second as what is imitated."""

ANIMALS = ("a snail", "a dog", "an elephant", "a fish")
"""What is made of something: the paper's, and three of ours."""

MATERIALS = (
    "baguette",  # the paper's
    *("glass", "wood", "gold", "marble", "wool", "leaves", "ice", "chocolate", "paper", "bricks", "rope"),
)

TEMPLATES: dict[str, Template] = {
    template.name: template
    for template in (
        Template(name="shapes", text="{} in the shape of {}", rows=OBJECTS, columns=SHAPES),
        Template(name="imitations", text="{} imitating {}", rows=OBJECTS, columns=SHAPES),
        Template(name="materials", text="{} made of {}", rows=ANIMALS, columns=MATERIALS),
        # The words of these two were searched for so that every row and every column has cells of either split, one to
        # three of six held out: what is held out by itself, one in ten, would leave most rows without any.
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
"""By name."""


def template(name: str) -> Template:
    """The template with a name.

    Raises:
        UsageError: There is none; names the nearest.
    """
    if name not in TEMPLATES:
        raise UsageError(f"template: expected a known one, got {name!r}; {nearest(name, TEMPLATES)}")
    return TEMPLATES[name]


NUM_HELD_OUT = NUM_SEEN = 64
"""Meanings of the set `closed-world` by split."""

_POOL = 400
"""So many things and pairs of a split, the first by their hashes, are chosen from."""


@functools.cache
def closed_world() -> tuple[Meaning, ...]:
    """The meanings of the set `closed-world`: first the held-out ones, of either split three things, a pair, and so on.

    Free of near-duplicates by what meanings are, not by any encoder: no two things of the set share kind and colour,
    no two pairs share both kinds. Each is the one whose kinds, colours and finishes were used least before it, so that
    the first few are as different as can be, and the whole is spread evenly.
    """
    uses: collections.Counter[str] = collections.Counter()
    taken: set[frozenset[str]] = set()
    chosen: list[Meaning] = []
    for split, num in (("held_out", NUM_HELD_OUT), ("train", NUM_SEEN)):
        things, pairs = (
            _in_hash_order(meanings_module.things(split)),
            _in_hash_order(meanings_module.pairs(split, _POOL, 0)),
        )
        for i in range(num):
            free = [meaning for meaning in (pairs if i % 4 == 3 else things) if _look(meaning) not in taken]
            least = min(free, key=lambda meaning: _num_uses(meaning, uses))  # of equals the first
            chosen.append(least)
            taken.add(_look(least))
            uses.update(word for thing in _things_in(least) for word in dataclasses.astuple(thing))
            uses.update([least.relation] if isinstance(least, ObjectPairSpec) else [])
    return tuple(chosen)


def _in_hash_order(meanings: Iterable[Meaning]) -> list[Meaning]:
    return sorted(meanings, key=lambda meaning: meanings_module.fraction("retrieval", meaning.id))[:_POOL]


def _things_in(meaning: Meaning) -> tuple[ObjectSpec, ...]:
    return (meaning,) if isinstance(meaning, ObjectSpec) else (meaning.first, meaning.second)


def _look(meaning: Meaning) -> frozenset[str]:
    """What no two meanings of the set share."""
    if isinstance(meaning, ObjectSpec):
        return frozenset([meaning.kind, meaning.color])
    return frozenset([meaning.first.kind, meaning.second.kind])


def _num_uses(meaning: Meaning, uses: collections.Counter[str]) -> tuple[int, ...]:
    """How often what a meaning is made of was used: first its relation, then its kinds, colours and finishes.

    Pairs of one colour come last: in them a colour cannot be given to the wrong thing.
    """
    things = _things_in(meaning)
    is_one_color = len(things) == 2 and things[0].color == things[1].color
    used = (sum(uses[getattr(thing, field)] for thing in things) for field in ("kind", "color", "finish"))
    return (int(is_one_color), uses[meaning.relation] if isinstance(meaning, ObjectPairSpec) else 0, *used)
