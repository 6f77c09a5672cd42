"""Who may judge: an encoder never judges what it guided, unless that is asked for and stamped on every number.

A guide likes what it made: scored by its own guide, a worse field can come out ahead. Encoders are compared by their
weights, not by their names: the same file under another name is the same encoder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from bench.errors import UsageError
from models.clip.checkpoints import catalog

IN_LOOP = "in-loop"
"""What stands beside every number of a judge that guided what it judges."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judge:
    """An encoder that scores, and which of the trials it guided.

    Attributes:
        name: Of the encoder.
        in_loop: Ids of the trials that it guided; empty unless that was allowed.
    """

    name: str
    in_loop: frozenset[str] = frozenset()

    def stamp(self, trial_ids: Sequence[str]) -> str | None:
        """What to print beside a number made of these trials; None where there is nothing to say.

        Example:
            >>> Judge(name="a", in_loop=frozenset({"t1"})).stamp(["t0", "t1"])
            'in-loop'
            >>> Judge(name="a").stamp(["t0"])
        """
        return IN_LOOP if self.in_loop.intersection(trial_ids) else None


def judge_of(name: str, guides: Mapping[str, Mapping[str, str | None]], *, allow_in_loop: bool = False) -> Judge:
    """The judge of that name over some trials, unless it guided one of them.

    Args:
        name: Of the encoder.
        guides: By trial id, the encoders that it was trained with, by name, and the SHA-256 of each: `guides_of`.
        allow_in_loop: Take it all the same; its numbers are stamped.

    Raises:
        UsageError: It guided some of them, and that was not allowed; other judges are named.

    Example:
        >>> judge_of("embedded-judge-rn", {"t0": {"embedded-vit-8": None}}).in_loop
        frozenset()
    """
    digest = catalog.fingerprint(name)
    own = frozenset(
        trial
        for trial, encoders in guides.items()
        for guide, other in encoders.items()
        if guide == name or (digest is not None and digest == other)
    )
    if own and not allow_in_loop:
        others = ", ".join(other for other in catalog.JUDGES if other != name)
        raise UsageError(
            f"judge {name}: expected an encoder that guided none of the trials, got the guide of {len(own)} of "
            f"{len(guides)}; choose {others}, or pass --in-loop, which stamps its numbers"
        )
    return Judge(name=name, in_loop=own)


def guides_of(identity: Mapping[str, Any]) -> dict[str, str | None]:
    """The encoders that a trial was trained with, from its record's identity.

    Example:
        >>> guides_of({"seed": 0, "encoders": {"embedded-vit-8": {"weights": "d471", "mean": [0.5, 0.5, 0.5]}}})
        {'embedded-vit-8': 'd471'}
    """
    return {name: told["weights"] for name, told in (identity.get("encoders") or {}).items()}
