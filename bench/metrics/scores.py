"""The numbers of one trial under one protocol, as they are stored: one number for each view, or why there is none.

`bench.metrics.protocols` makes them, of photographs itself and of captions through `bench.metrics.caption_protocols`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from bench.errors import UsageError
from bench.storage import json_values

FieldState = Literal["ok", "empty", "solid", "unknown"]

NOT_FINITE = "render is not finite"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scores:
    """The numbers of one trial under one protocol.

    Attributes:
        protocol: Its name.
        version: Its version when they were made.
        view_ids: Ids of the scored views, in the order of all lists here.
        per_view: By metric, one number for each view; None where it is missing.
        reasons: By metric, why numbers are missing; also why a field counts as a miss in every view.
        context: What is known of a view and is no metric: "angle_to_nearest_deg", to the nearest training camera;
            "mask_share", the share of its pixels that counts, where photographs have masks;
            "azimuth_deg", "elevation_deg"; "predicted@JUDGE", the place in the retrieval set of the caption that a
            judge found, and "wrong@JUDGE", that of the best wrong one; None where a render was not finite.
        departs: Where the task is not what the protocol is defined on; None if it is.
        field_state: "empty" or "solid" if training ended in such a volume, "unknown" if opacity cannot tell.
        about: What the numbers were made with: a retrieval set and what chance gives in it, judges and their weights,
            masks.
    """

    protocol: str
    version: str
    view_ids: tuple[int, ...]
    per_view: Mapping[str, Sequence[float | None]]
    reasons: Mapping[str, str]
    context: Mapping[str, Sequence[float | int | None]]
    departs: str | None = None
    field_state: FieldState = "ok"
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        where = f"scores under {self.protocol}"
        for name, values in {**self.per_view, **self.context}.items():
            if len(values) != len(self.view_ids):
                raise ValueError(f"{where}: expected {len(self.view_ids)} numbers of {name}, got {len(values)}")
            if not all(value is None or math.isfinite(value) for value in values):
                raise ValueError(f"{where}: expected finite numbers of {name}; a missing one is None, with a reason")
        without = [name for name, values in self.per_view.items() if None in values and not self.reasons.get(name)]
        if without:
            raise ValueError(f"{where}: expected a reason for the missing numbers of {', '.join(without)}")

    def to_json(self) -> dict[str, Any]:
        """Convert to plain values, for one file."""
        return dataclasses.asdict(self) | {"view_ids": list(self.view_ids)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Scores:
        """Read the values of `to_json`, also those from before there was `about`.

        Raises:
            UsageError: A field is missing, unknown or of another type.
        """
        try:
            return json_values.convert(values, cls, "scores")
        except ValueError as error:
            raise UsageError(f"{error}; make them again with `rescore`") from error


NOT_A_THING = ("empty", "solid")
"""States of a field that count as a miss in every view."""
