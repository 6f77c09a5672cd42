"""Reads the text of `--seeds`, `--only` and `--set`, without knowing a suite.

It imports nothing heavy, so that the command line refuses a slip at once. Whether a suite has such an arm or field is
decided in `bench.suites.overrides`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection
from typing import NamedTuple

from bench.errors import UsageError, nearest

KEYS = ("scene", "caption", "arm", "variant", "table", "seed")
"""What `--only` may ask for."""


LARGEST_SEED = 2**32 - 1
"""Largest seed: JAX draws from 32 bits."""

MOST_SEEDS = 100_000
"""Seeds of one range beyond which a slip of the keyboard is likelier than a study."""


class Condition(NamedTuple):
    """A condition of `--only`.

    Attributes:
        key: One of `KEYS`.
        text: Values with commas between; trials of any are kept. Names may hold commas: see
            `split_known_names`.
    """

    key: str
    text: str


class Setting(NamedTuple):
    """A change that `--set` makes.

    Attributes:
        head: A variant, a method's type, `task` or `budget`.
        field: Dotted path of the field.
        value: Still text.
    """

    head: str
    field: str
    value: str


def parse_seeds(text: str) -> tuple[int, ...]:
    """Parse the seeds of `--seeds`.

    Raises:
        UsageError: No numbers and ranges.

    Example:
        >>> parse_seeds("0-2,7")
        (0, 1, 2, 7)
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", part.strip())
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise UsageError(
                f"--seeds: expected numbers and ranges such as 0-4 or 0,2,5, got {text!r}; try --seeds 0-4"
            )
        first = int(match[1])
        last = int(match[2] or match[1])
        if last > LARGEST_SEED or last - first >= MOST_SEEDS:
            raise UsageError(
                f"--seeds: expected at most {MOST_SEEDS} seeds, from 0 to {LARGEST_SEED}, got {text!r}; try --seeds 0-4"
            )
        seeds += range(first, last + 1)
    return tuple(dict.fromkeys(seeds))


def parse_condition(text: str) -> Condition:
    """Parse a condition of `--only`; its values are split when the names of the suite are known.

    Raises:
        UsageError: An unknown key, whose nearest is named, or no value.

    Example:
        >>> parse_condition("scene=kettle,rook")
        Condition(key='scene', text='kettle,rook')
    """
    key, equals, value = text.partition("=")
    if key not in KEYS:
        # A word alone is a value whose key was left out: the key that looks like it would mislead.
        advice = nearest(key, KEYS) if equals else f"write what it is, as in --only scene={shlex.quote(text)}"
        raise UsageError(f"--only: expected {'|'.join(KEYS)}=VALUE, got {text!r}; {advice}")
    if not equals:
        raise UsageError(f"--only: expected a value behind {key}, got {text!r}; write --only {key}=VALUE")
    return Condition(key, value)


def split_known_names(text: str, known: Collection[str]) -> tuple[str, ...]:
    """Split names at the commas between them, where a name may hold commas itself: the longest known one is taken.

    Args:
        text: Names with commas between.
        known: All names. What begins with none of them ends at the next comma, and is returned as it stands.

    Example:
        >>> split_known_names("NeRF,NeRF, 43 views, x", ["NeRF", "NeRF, 43 views"])
        ('NeRF', 'NeRF, 43 views', 'x')
    """
    longest_first = sorted(known, key=len, reverse=True)
    names: list[str] = []
    rest = text.strip()
    while True:
        found = (name for name in longest_first if re.match(rf"{re.escape(name)}\s*(,|$)", rest))
        name = next(found, rest.partition(",")[0].strip())
        names.append(name)
        _, comma, rest = rest[len(name) :].partition(",")
        if not comma:
            return tuple(dict.fromkeys(names))
        rest = rest.strip()


def parse_setting(text: str) -> Setting:
    """Parse a change of `--set`.

    Raises:
        UsageError: It is not of the form HEAD.FIELD=VALUE.

    Example:
        >>> parse_setting("nerf.field.width=64")
        Setting(head='nerf', field='field.width', value='64')
    """
    path, equals, value = text.partition("=")
    head, dot, field = path.partition(".")
    if not equals or not dot:
        raise UsageError(f"--set: expected HEAD.FIELD=VALUE, got {text!r}; for example --set nerf.num_rays=512")
    return Setting(head, field, value)
