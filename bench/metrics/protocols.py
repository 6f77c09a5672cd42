"""Defines a protocol: a named, versioned way to make the numbers of a finished field.

A number is a trial, a metric and a protocol. `std-v1` is the protocol for claims about differences. The others do what
the code of a paper does, with its quirks, for the column beside the paper's numbers.

A protocol belongs to one kind of task. Those of photographs are in `bench.metrics.photo_protocols`, those of captions
in `bench.metrics.caption_protocols`; both kinds have one called `std-v1`. `bench.metrics.task_kinds` finds the protocol
of a name for a task.
"""

from __future__ import annotations

import abc
import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped

from bench.metrics.scores import Scores
from models.clip.encoder import Encoder

EncoderLoader = Callable[[str], Encoder | str]
"""Gives the encoder of a name, or the reason in one line why it cannot be had."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol(abc.ABC):
    """Says how the numbers of a finished field are made. Views are always scored from float16.

    Attributes:
        name: With dashes.
        version: "X.Y"; X goes up when numbers may change.
        about: One line for pages: the definition, and where it comes from.
    """

    name: str
    version: str
    about: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d+\.\d+", self.version):
            raise ValueError(f"protocol {self.name}: expected a version X.Y, got {self.version!r}")

    @abc.abstractmethod
    def has_metric(self, metric: str) -> bool:
        """Whether the protocol makes a metric."""

    @abc.abstractmethod
    def metric_names(self) -> tuple[str, ...]:
        """List the metrics that it makes; of an encoder's, those by encoders that have a name."""

    @abc.abstractmethod
    def can_score(self, view_ids: Sequence[int]) -> bool:
        """Whether these views of a task hold one that the protocol scores."""

    @abc.abstractmethod
    def score(
        self,
        data: Any,
        views: Mapping[str, Shaped[np.ndarray, "..."]],
        guides: Sequence[str] = (),
        load_encoder: EncoderLoader | None = None,
    ) -> Scores:
        """Make a trial's numbers from its stored views.

        Args:
            data: The task's arrays, as `task.load()` gives them.
            views: "color" and "ids", and "opacity" if there is one, as float16; the views in any order.
                "near_opacity", if there is one, is of other cameras.
            guides: Names of the encoders that guided the trial: they do not judge its captions.
            load_encoder: Gives the encoders that judge; None takes `bench.metrics.caption_protocols.encoder_of`.

        Raises:
            UsageError: The views are not views of this task's test set.
        """

    @abc.abstractmethod
    def crash_score(self, metric: str) -> tuple[tuple[int, ...], float] | None:
        """Give what tables put for a trial that crashed: ids of views and their number; None for a gap."""

    def version_mark(self, version: str) -> str | None:
        """Say that numbers were made under a version that may differ; None if they may stand beside today's.

        Example:
            >>> from bench.metrics.photo_protocols import PHOTO_PROTOCOLS
            >>> PHOTO_PROTOCOLS["std-v1"].version_mark("1.7")
            >>> PHOTO_PROTOCOLS["std-v1"].version_mark("0.3")
            'scored with std-v1 0.3, which is now 1.1: rescore, the numbers may differ'
        """
        if version.split(".")[0] == self.version.split(".")[0]:
            return None
        return f"scored with {self.name} {version}, which is now {self.version}: rescore, the numbers may differ"
