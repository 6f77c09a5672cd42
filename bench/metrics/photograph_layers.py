"""Keeps what LPIPS compares of photographs: the views of all trials of a scene are compared with the same ones.

Half of the work of LPIPS is on photographs. Digits do not depend on what is kept: the layers come from the same program
in any case.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import jax

from bench.metrics import lpips

MOST_BYTES = {"cpu": 1 << 29, "accelerator": 1 << 32}
"""Bytes of layers that are kept, at most; of a device's memory no more than `MOST_SHARE`."""

MOST_SHARE = 1 / 16


class Photographs(NamedTuple):
    """Some photographs, as a protocol prepares them.

    Attributes:
        arrays: What they were made of: compared by identity, and kept alive with their layers.
        how: How they were chosen and prepared.
    """

    arrays: tuple[Any, ...]
    how: tuple[Hashable, ...]

    @property
    def key(self) -> Hashable:
        """Tell them from others while the arrays live."""
        return (*(id(array) for array in self.arrays), *self.how)


class KeptLayers:
    """Layers of photographs, the last used ones."""

    def __init__(self) -> None:
        self.kept: OrderedDict[Hashable, tuple[Photographs, lpips.Layers]] = OrderedDict()
        self.num_bytes = 0
        self.lock = threading.Lock()

    def get(self, photographs: Photographs, part: Hashable, make: Callable[[], lpips.Layers]) -> lpips.Layers:
        """Return the layers of a part of some photographs; make and keep them if they are not there.

        Args:
            photographs: Theirs.
            part: Which of them, by which network.
            make: Computes the layers.
        """
        key = (photographs.key, part)
        with self.lock:
            if key in self.kept:
                self.kept.move_to_end(key)
                return self.kept[key][1]
        layers = make()
        with self.lock:
            if key not in self.kept:
                self.kept[key] = (photographs, layers)
                self.num_bytes += count_bytes(layers)
            while self.num_bytes > most_bytes() and self.kept:
                _, (_, dropped) = self.kept.popitem(last=False)
                self.num_bytes -= count_bytes(dropped)
        return layers


KEPT_LAYERS = KeptLayers()


def count_bytes(layers: lpips.Layers) -> int:
    """Count the bytes of layers."""
    return sum(layer.nbytes for layer in layers)


def most_bytes() -> int:
    """Return how many bytes may be kept on this device."""
    if jax.default_backend() == "cpu":
        return MOST_BYTES["cpu"]
    memory = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", 0)
    return min(MOST_BYTES["accelerator"], int(MOST_SHARE * memory))
