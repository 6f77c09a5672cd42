"""Lists the configs of a TFDS builder by name, without making them before they are asked for.

TFDS's own table holds finished configs, so it would need the version of each one, which contains a fingerprint, as soon
as the builder is imported. Fingerprints take seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

Config = TypeVar("Config")


class LazyBuilderConfigs(Mapping[str, Config]):
    """Mapping from a name to its config, which is made on every look-up.

    Names that are not listed may have a config too: then a look-up finds it, but no iteration shows it.

    Example:
        >>> configs = LazyBuilderConfigs(int, ("1", "2"))
        >>> list(configs), len(configs), configs["7"]
        (['1', '2'], 2, 7)
    """

    def __init__(self, make: Callable[[str], Config], names: tuple[str, ...]) -> None:
        """Take the function that makes configs, and the names to list.

        Args:
            make: Function from a name to its config; raises KeyError if no config has this name.
            names: Names that iteration and `len` show.
        """
        self._make = make
        self._names = names

    def __getitem__(self, name: str) -> Config:
        return self._make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
