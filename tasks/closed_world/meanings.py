"""Defines the closed world: its things and pairs of things, and which of them are held out of all training.

A meaning is the content of a caption or a picture: an `ObjectSpec` ("a red metallic chair") or an `ObjectPairSpec`
("a blue mug on a green cube"). `things` and `pairs` list the meanings of a split. `tasks.closed_world.grammar` writes
and parses captions, `tasks.closed_world.appearance` decides what meanings look like, and `tasks.closed_world.dataset`
renders pictures of them.

These are held out of all training:
- a tenth of the things, chosen by a hash of their ids, and the things that an embedded scene shows (`SHOWN_IN_SCENES`);
- every pair with a held-out thing, and a tenth of the other pairs, chosen by a hash of their ids: together about three
  in ten.
Training still contains each kind, colour and finish. A new kind or colour moves no meaning to the other split.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterator
from typing import Literal

from bench.errors import UsageError, nearest

Split = Literal["train", "held_out"]

SPLITS: tuple[Split, ...] = ("train", "held_out")

KINDS = (
    *("ball", "cube", "cone", "cylinder", "ring"),
    *("chair", "table", "bench", "sofa", "lamp", "bed"),
    *("mug", "teapot", "bottle", "cupcake"),
    *("hammer", "umbrella", "key", "hat", "bell", "guitar", "ladder", "crown"),
    *("house", "bridge", "lighthouse", "windmill"),
    *("car", "rocket", "boat", "plane", "train"),
    *("tree", "mushroom", "cactus", "flower"),
    *("snowman", "robot", "duck", "fish", "dog"),
)

COLORS = (
    "red",
    "orange",
    "yellow",
    "green",
    "turquoise",
    "blue",
    "purple",
    "pink",
    "brown",
    "white",
    "gray",
    "black",
)

FINISHES = ("matte", "glossy", "metallic", "striped", "checkered", "dotted")

PROPERTIES: dict[str, tuple[str, ...]] = {"kind": KINDS, "color": COLORS, "finish": FINISHES}
"""What can be told of a thing, each with all its values."""

RELATIONS = ("on", "next to")

CARRIERS = ("cube", "cylinder", "chair", "table", "bench", "sofa", "bed", "bridge")
"""Kinds that another thing can stand on."""

HELD_OUT_SHARE = 0.1

MAX_PAIRS = 100_000
"""Largest number of pairs that `pairs` draws. Millions exist, but a larger number is probably a mistake."""


@dataclasses.dataclass(frozen=True, order=True)
class ObjectSpec:
    """One thing.

    Attributes:
        kind: One of `KINDS`.
        color: One of `COLORS`.
        finish: One of `FINISHES`.
    """

    kind: str
    color: str
    finish: str

    def __post_init__(self) -> None:
        for name, known in (("kind", KINDS), ("color", COLORS), ("finish", FINISHES)):
            value = getattr(self, name)
            if value not in known:
                raise UsageError(
                    f"thing: expected a {name} of the closed world, got {value!r}; {nearest(value, known)}"
                )

    @property
    def id(self) -> str:
        """Id, also for file names: `red-metallic-chair`."""
        return f"{self.color}-{self.finish}-{self.kind}"


@dataclasses.dataclass(frozen=True, order=True)
class ObjectPairSpec:
    """Two things of different kinds. Two things next to each other have no order, so they are sorted by id.

    Attributes:
        first: Upper thing, if one stands on the other.
        relation: One of `RELATIONS`.
        second: Thing that carries the first, or stands next to it.
    """

    first: ObjectSpec
    relation: str
    second: ObjectSpec

    def __post_init__(self) -> None:
        if self.relation not in RELATIONS:
            known = nearest(self.relation, RELATIONS)
            raise UsageError(f"pair: expected a relation of the closed world, got {self.relation!r}; {known}")
        if self.first.kind == self.second.kind:
            raise UsageError(f"pair: expected two kinds, got a {self.first.kind} twice; change one of them")
        if self.relation == "on" and self.second.kind not in CARRIERS:
            raise UsageError(
                f"pair: expected a kind that carries others, got {self.second.kind!r}; known: {', '.join(CARRIERS)}"
            )
        if self.relation == "next to" and self.first.id > self.second.id:
            later = self.first
            object.__setattr__(self, "first", self.second)
            object.__setattr__(self, "second", later)

    @property
    def id(self) -> str:
        """Id, also for file names: `blue-matte-mug--on--green-matte-cube`."""
        return f"{self.first.id}--{self.relation.replace(' ', '-')}--{self.second.id}"


Meaning = ObjectSpec | ObjectPairSpec


def things_of(meaning: Meaning) -> tuple[ObjectSpec, ...]:
    """List the things that a meaning shows: one, or the two of a pair."""
    return (meaning,) if isinstance(meaning, ObjectSpec) else (meaning.first, meaning.second)


SHOWN_IN_SCENES: dict[str, tuple[ObjectSpec, ...]] = {
    "kettle": (ObjectSpec("teapot", "orange", "metallic"), ObjectSpec("teapot", "brown", "metallic")),  # copper
    "locomotive": (ObjectSpec("train", "green", "glossy"), ObjectSpec("train", "red", "glossy")),
    "birdcage": (ObjectSpec("duck", "yellow", "matte"),),  # its bird
    "balloon": (ObjectSpec("ball", "red", "checkered"), ObjectSpec("ball", "turquoise", "dotted")),  # its patterns
    "lotus": (ObjectSpec("flower", "pink", "matte"),),
    "bottle": (
        ObjectSpec("bottle", "white", "glossy"),
        ObjectSpec("boat", "brown", "matte"),
        ObjectSpec("boat", "red", "matte"),
    ),
    "castle": (
        ObjectSpec("house", "gray", "glossy"),
        ObjectSpec("bridge", "gray", "glossy"),
        ObjectSpec("house", "brown", "glossy"),
    ),
    "chess": (ObjectSpec("crown", "white", "glossy"), ObjectSpec("crown", "black", "glossy")),  # nearest to a king
}
"""Things of this world that each embedded scene of `tasks.scenes.scenes` shows, or things that look similar."""

_SHOWN = frozenset(thing for shown in SHOWN_IN_SCENES.values() for thing in shown)


def fraction(*words: object) -> float:
    """Hash words to a number in [0, 1), which is the same on every machine and in every version.

    Example:
        >>> fraction("red-metallic-chair") == fraction("red-metallic-chair") < 1
        True
    """
    return int(hashlib.sha256("|".join(map(str, words)).encode()).hexdigest()[:13], 16) / 16**13


@functools.lru_cache(maxsize=1 << 16)
def is_held_out(meaning: Meaning) -> bool:
    """Tell whether a meaning is held out of all training."""
    if isinstance(meaning, ObjectPairSpec) and (is_held_out(meaning.first) or is_held_out(meaning.second)):
        return True
    return meaning in _SHOWN or fraction("held out", meaning.id) < HELD_OUT_SHARE


def split_of(meaning: Meaning) -> Split:
    """Return the split of a meaning."""
    return "held_out" if is_held_out(meaning) else "train"


@functools.cache
def things(split: str | None = None) -> tuple[ObjectSpec, ...]:
    """List all things of a split, kind by kind; None lists those of both splits.

    Raises:
        UsageError: There is no such split.
    """
    everything = (ObjectSpec(kind, color, finish) for kind in KINDS for color in COLORS for finish in FINISHES)
    if split is None:
        return tuple(everything)
    _checked(split)
    return tuple(thing for thing in everything if split_of(thing) == split)


def pairs(split: str, num: int, seed: int) -> tuple[ObjectPairSpec, ...]:
    """Draw different pairs of a split, uniformly over relations and things.

    A call for fewer pairs returns the first ones of a call for more.

    Args:
        split: Name of the split. Most held-out pairs contain one or two held-out things.
        num: Number of pairs.
        seed: Seed of the draw.

    Raises:
        UsageError: There is no such split, or the number is below 0 or above `MAX_PAIRS`.
    """
    _checked(split)
    if not 0 <= num <= MAX_PAIRS:
        raise UsageError(f"pairs: expected a number from 0 to {MAX_PAIRS}, got {num}")
    found: dict[ObjectPairSpec, None] = {}
    for pair in _drawn_pairs(("pairs", split, seed)):
        if len(found) == num:
            break
        if split_of(pair) == split:
            found[pair] = None
    return tuple(found)


def draw_pair(split: Split, *words: object) -> ObjectPairSpec:
    """Draw one pair of a split by some words, such as a picture's number.

    Args:
        split: Name of the split.
        words: Words that decide the draw, besides the split.
    """
    return next(pair for pair in _drawn_pairs(("pair", split, *words)) if split_of(pair) == split)


def meaning_of(id: str) -> Meaning:
    """Parse the id of a meaning.

    Raises:
        UsageError: No meaning has this id.

    Example:
        >>> meaning_of("blue-matte-mug--on--green-matte-cube").second.kind
        'cube'
    """
    words = [part.split("-") for part in id.split("--")]
    if len(words) == 1 and len(words[0]) == 3:
        color, finish, kind = words[0]
        return ObjectSpec(kind, color, finish)
    if len(words) == 3 and len(words[0]) == len(words[2]) == 3:
        first, second = (ObjectSpec(kind, color, finish) for color, finish, kind in (words[0], words[2]))
        return ObjectPairSpec(first, " ".join(words[1]), second)
    raise UsageError(f"meaning: expected an id such as 'red-metallic-chair', got {id!r}")


# ---- helpers ---------------------------------------------------------------------------------------------------------


def _checked(split: str) -> None:
    if split not in SPLITS:
        raise UsageError(f"split: expected a split of the closed world, got {split!r}; {nearest(split, SPLITS)}")


def _drawn_pairs(words: tuple[object, ...]) -> Iterator[ObjectPairSpec]:
    """Yield pairs of either split, without end."""
    everything = things()
    carriers = tuple(thing for thing in everything if thing.kind in CARRIERS)
    attempt = 0
    while True:
        a, b, c = (fraction(*words, attempt, i) for i in range(3))
        attempt += 1
        relation = RELATIONS[int(a * len(RELATIONS))]
        seconds = carriers if relation == "on" else everything
        first = everything[int(b * len(everything))]
        second = seconds[int(c * len(seconds))]
        if first.kind != second.kind:
            yield ObjectPairSpec(first, relation, second)
