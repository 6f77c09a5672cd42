"""Deals the pictures of a quiz into forms: no form shows one thing twice, and all show as many pictures of each arm.

A picture joins its arm to what it shows; a form is a colour of such joints. Each arm is split into parts of as many
pictures as there are forms. A proper edge colouring, which two-sided graphs always have with as many colours as joints
meet at most (König 1916), then shows each thing once a form and spreads each part over the forms. Where all arms share
all captions it is a Latin square: the forms rotate the arms over the captions.

Colours are forms from 0, joints are places among the pictures.
"""

from __future__ import annotations

import collections
from collections.abc import Hashable, Sequence

import numpy as np

from bench.errors import UsageError
from bench.report.quiz.sampling import ChosenView
from tasks.closed_world.meanings import ObjectPairSpec


def deal_forms(shown: Sequence[ChosenView], seed: int, asked: int | None = None) -> list[int]:
    """Deal pictures into forms.

    Args:
        shown: The pictures.
        seed: Of the draw.
        asked: A number of forms; None for the fewest.

    Returns:
        The form of each picture, from 1. Of each arm, and of all, forms show numbers that differ by at most one.

    Raises:
        UsageError: So many forms are impossible.
    """
    num_forms = choose_num_forms(shown, asked)
    if num_forms == 1:
        return [1] * len(shown)
    random = np.random.default_rng((seed, 5))
    order = [int(place) for place in random.permutation(len(shown))]
    coloring = EdgeColoring(num_forms)
    for place, part in split_arms(shown, order, num_forms):
        coloring.add_edge(place, ("part", part), ("meaning", shown[place].meaning.id))
    coloring.even_out()
    return [coloring.color_of[place] + 1 for place in range(len(shown))]


def choose_num_forms(shown: Sequence[ChosenView], asked: int | None = None, *, num_more: int = 0) -> int:
    """Choose the number of forms: the fewest that show nothing twice, or what is asked for.

    Args:
        shown: The pictures.
        asked: A number of forms; None for the fewest.
        num_more: Further pictures, each of another thing.

    Raises:
        UsageError: Fewer would show a thing twice, or more would leave a form empty.
    """
    fewest = max(collections.Counter(one.meaning.id for one in shown).values())
    most = len(shown) + num_more
    if asked is not None and asked < fewest:
        raise UsageError(
            f"--forms: expected {fewest} to {most}, as a thing has {fewest} pictures and a form shows it once, got "
            f"{asked}; write --forms {fewest}, or lower --num-views"
        )
    if asked is not None and asked > most:
        raise UsageError(
            f"--forms: expected {fewest} to {most}, as there are {most} pictures, got {asked}; write --forms {fewest}"
        )
    return asked or fewest


def split_arms(shown: Sequence[ChosenView], order: Sequence[int], num_forms: int) -> list[tuple[int, tuple[str, int]]]:
    """Split each arm into parts of as many pictures as there are forms, single things before pairs.

    So forms differ little in their share of pairs as well.
    """
    sorted_order = sorted(order, key=lambda place: isinstance(shown[place].meaning, ObjectPairSpec))
    taken: collections.Counter[str] = collections.Counter()
    parts = []
    for place in sorted_order:
        arm = shown[place].arm
        parts.append((place, (arm, taken[arm] // num_forms)))
        taken[arm] += 1
    return parts


class EdgeColoring:
    """Colours the edges of a two-sided graph so that no two of a colour meet.

    Attributes:
        color_of: Colour of each edge.
    """

    def __init__(self, num_colors: int) -> None:
        self.num_colors = num_colors
        self.color_of: dict[int, int] = {}
        self._ends: dict[int, tuple[Hashable, Hashable]] = {}
        self._edge_at: dict[Hashable, dict[int, int]] = collections.defaultdict(dict)

    def add_edge(self, edge: int, first: Hashable, second: Hashable) -> None:
        """Add an edge; at most as many as there are colours meet at one end."""
        self._ends[edge] = (first, second)
        color = self._free_color(first)
        if color in self._edge_at[second]:
            # The path from `second` that takes this colour in turn with one that is free there cannot end at `first`.
            other = self._free_color(second)
            self._swap(self._find_path(second, color, other), color, other)
        self._paint(edge, color)

    def even_out(self) -> None:
        """Swap colours along paths until there are as many edges of each, or one more."""
        while True:
            counts = collections.Counter(dict.fromkeys(range(self.num_colors), 0))
            counts.update(self.color_of.values())
            most = max(counts, key=counts.__getitem__)
            fewest = min(counts, key=counts.__getitem__)
            if counts[most] - counts[fewest] <= 1:
                return
            self._swap(self._find_longer_path(most, fewest), most, fewest)

    def _free_color(self, end: Hashable) -> int:
        """Find the first colour that no edge has at an end."""
        return next(color for color in range(self.num_colors) if color not in self._edge_at[end])

    def _find_path(self, start: Hashable, first: int, second: int) -> list[int]:
        """Find the longest path from an end whose edges have two colours in turn."""
        path: list[int] = []
        end = start
        color = first
        other = second
        while color in self._edge_at[end]:
            edge = self._edge_at[end][color]
            path.append(edge)
            one, another = self._ends[edge]
            end = another if end == one else one
            color, other = other, color
        return path

    def _find_longer_path(self, most: int, fewest: int) -> list[int]:
        """Find a path of two colours in turn that has one more edge of the colour of which there are more."""
        for end, edges in self._edge_at.items():
            if most in edges and fewest not in edges:
                path = self._find_path(end, most, fewest)
                if len(path) % 2:
                    return path
        raise AssertionError("of a colour with more edges some path has more")

    def _swap(self, path: Sequence[int], first: int, second: int) -> None:
        """Swap the two colours of a path."""
        swapped = {edge: second if self.color_of[edge] == first else first for edge in path}
        for edge in path:
            for end in self._ends[edge]:
                del self._edge_at[end][self.color_of[edge]]
        for edge, color in swapped.items():
            self._paint(edge, color)

    def _paint(self, edge: int, color: int) -> None:
        self.color_of[edge] = color
        for end in self._ends[edge]:
            self._edge_at[end][color] = edge
