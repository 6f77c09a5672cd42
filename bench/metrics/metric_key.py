"""Reads and writes the names of metrics: `psnr`, `rprec1@embedded-judge-rn`, `rprec1_white@guide`.

A name is how a number is stored in `scores/<protocol>.json`, asked for by a suite and printed in a table. It has up to
three parts: what is measured, the encoder that measures it, and the background that the views were put on. Nothing else
in the project takes such a name apart.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

OWN_GUIDE = "guide"
"""Stands for the encoder that guided the trial, so that its number is never taken for one of a judge."""

_WHITE = "_white"


@dataclasses.dataclass(frozen=True)
class MetricKey:
    """The parts of a metric's name.

    Attributes:
        base: What is measured: "psnr", "rprec1".
        encoder: Name of the encoder that measures it, or `OWN_GUIDE`; None where no encoder does.
        background: "white" where the views are put on white whatever the protocol's background; else None.

    Example:
        >>> key = MetricKey.parse("rprec1_white@embedded-judge-rn")
        >>> key
        MetricKey(base='rprec1', encoder='embedded-judge-rn', background='white')
        >>> str(key), str(dataclasses.replace(key, background=None)), str(MetricKey("psnr"))
        ('rprec1_white@embedded-judge-rn', 'rprec1@embedded-judge-rn', 'psnr')
    """

    base: str
    encoder: str | None = None
    background: Literal["white"] | None = None

    @classmethod
    def parse(cls, name: str) -> MetricKey:
        """Take a name apart; `str` of the result is the name again.

        Only what an encoder measures has a background in its name: `psnr_white` would be a metric of that name.

        Example:
            >>> MetricKey.parse("psnr_fg"), MetricKey.parse("margin@file:/a@b.safetensors").encoder
            (MetricKey(base='psnr_fg', encoder=None, background=None), 'file:/a@b.safetensors')
        """
        base, at, encoder = name.partition("@")
        if not at:
            return cls(name)
        if base.endswith(_WHITE):
            return cls(base.removesuffix(_WHITE), encoder, "white")
        return cls(base, encoder)

    def __str__(self) -> str:
        return self.stem if self.encoder is None else f"{self.stem}@{self.encoder}"

    @property
    def stem(self) -> str:
        """The part before the @: the measure with its background, as protocols list it.

        Example:
            >>> MetricKey.parse("rprec1_white@guide").stem
            'rprec1_white'
        """
        return self.base + (_WHITE if self.background == "white" else "")

    @property
    def is_of_guide(self) -> bool:
        """Whether the trial's own guide measures it, so that the number is in-loop."""
        return self.encoder == OWN_GUIDE
