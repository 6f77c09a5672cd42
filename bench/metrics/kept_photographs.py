"""Keeps photographs, and what is computed of them, on the device: all trials of a scene are compared with them.

Half of the work of LPIPS is on photographs, and so are more than half of the bytes that a view sends. Scores have the
same digits whether something was kept or made anew: the same program makes it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import jax

MOST_BYTES = {"cpu": 1 << 29, "accelerator": 1 << 32}
"""Bytes that are kept, at most; of a device's memory no more than `MOST_SHARE`."""

MOST_SHARE = 1 / 16

Arrays = tuple[Any, ...]
"""Photographs, or what was computed of them: layers of a network, the finest first."""


class Photographs(NamedTuple):
    """Some photographs, as a protocol prepares them.

    Attributes:
        arrays: What they were made of: compared by identity, and kept alive with what is kept of them.
        how: How they were chosen and prepared.
    """

    arrays: tuple[Any, ...]
    how: tuple[Hashable, ...]

    @property
    def key(self) -> Hashable:
        """Tell them from others while the arrays live."""
        return (*(id(array) for array in self.arrays), *self.how)


class KeptPhotographs:
    """Arrays of photographs on the device, the last used ones."""

    def __init__(self) -> None:
        self.kept: OrderedDict[Hashable, tuple[Photographs, Arrays]] = OrderedDict()
        self.num_bytes = 0
        self.lock = threading.Lock()

    def get(self, photographs: Photographs, part: Hashable, make: Callable[[], Arrays]) -> Arrays:
        """Return arrays of some photographs; make and keep them if they are not there.

        Args:
            photographs: Whose they are.
            part: Which arrays, and of which of the photographs.
            make: Makes the arrays.
        """
        key = (photographs.key, part)
        with self.lock:
            if key in self.kept:
                self.kept.move_to_end(key)
                return self.kept[key][1]
        arrays = make()
        with self.lock:
            if key not in self.kept:
                self.kept[key] = (photographs, arrays)
                self.num_bytes += count_bytes(arrays)
            while self.num_bytes > most_bytes() and self.kept:
                _, (_, dropped) = self.kept.popitem(last=False)
                self.num_bytes -= count_bytes(dropped)
        return arrays


KEPT_PHOTOGRAPHS = KeptPhotographs()


def count_bytes(arrays: Arrays) -> int:
    """Count the bytes of arrays."""
    return sum(array.nbytes for array in arrays)


def most_bytes() -> int:
    """Return how many bytes may be kept on this device."""
    if jax.default_backend() == "cpu":
        return MOST_BYTES["cpu"]
    memory = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", 0)
    return min(MOST_BYTES["accelerator"], int(MOST_SHARE * memory))
