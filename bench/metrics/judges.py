"""Decides which encoders may judge: one never judges what it guided, unless that is asked for and stamped.

A field is optimised to please its guide: scored by that guide, a worse field can come out ahead. Encoders are compared
by their weights, not by their names: the same file under another name is the same encoder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from bench.errors import UsageError
from models.clip.checkpoints import catalog
from models.clip.identity import canonical_name, encoder_identity, path_of

IN_LOOP = "in-loop"
"""Stamp beside every number of a judge that guided the trial."""


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
        """Give the stamp for a number made of these trials; None where the judge guided none of them.

        Example:
            >>> Judge(name="a", in_loop=frozenset({"t1"})).stamp(["t0", "t1"])
            'in-loop'
            >>> Judge(name="a").stamp(["t0"])
        """
        return IN_LOOP if self.in_loop.intersection(trial_ids) else None


def judge_of(name: str, guides: Mapping[str, Mapping[str, str | None]], *, allow_in_loop: bool = False) -> Judge:
    """Make an encoder the judge of some trials, unless it guided one of them.

    Args:
        name: Of the encoder.
        guides: By trial id, the encoders that guided it: name and SHA-256 of each, as `guides_of` gives them.
        allow_in_loop: Accept a guide as judge; its numbers are stamped.

    Raises:
        UsageError: It guided some of them, and that was not allowed; the message names other judges.

    Example:
        >>> judge_of("embedded-judge-rn", {"t0": {"embedded-vit-8": None}}).in_loop
        frozenset()
    """
    names, digest = _names_and_weights(name)
    own = frozenset(
        trial
        for trial, encoders in guides.items()
        for guide, other in encoders.items()
        if guide in names or (digest is not None and digest == other)
    )
    if own and not allow_in_loop:
        others = ", ".join(other for other in catalog.JUDGES if other != name)
        raise UsageError(
            f"judge {name}: expected an encoder that guided none of the trials, got the guide of {len(own)} of "
            f"{len(guides)}; choose {others}, or pass --in-loop, which stamps its numbers"
        )
    return Judge(name=name, in_loop=own)


def _names_and_weights(name: str) -> tuple[set[str], str | None]:
    """Return the names that records may have for an encoder, and the SHA-256 of its weights, None if it is unknown."""
    path = path_of(name)
    if path is None or not path.exists():
        return {name}, catalog.weights_fingerprint(name)
    return {name, canonical_name(name)}, encoder_identity(name)["weights"]


def guides_of(identity: Mapping[str, Any]) -> dict[str, str | None]:
    """Read the encoders that guided a trial from its record's identity.

    Example:
        >>> guides_of({"seed": 0, "encoders": {"embedded-vit-8": {"weights": "d471", "mean": [0.5, 0.5, 0.5]}}})
        {'embedded-vit-8': 'd471'}
    """
    return {name: told["weights"] for name, told in (identity.get("encoders") or {}).items()}
