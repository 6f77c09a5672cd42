"""Defines what a report holds before anything is drawn.

`bench.report.build` gathers one `ReportContents` from a store, and `bench.report.page.report_files` draws it. Numbers
are gathered at once. Pictures take long, so they wait as `DeferredDrawing`s until the report is really drawn.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import pandas as pd
from PIL import Image

from bench.analysis.table_result import TableResult
from bench.report.caption_context import CaptionTableContext
from bench.report.images.interactive_media import InteractiveMedia
from bench.report.tables.costs import DevicePrice
from bench.storage.doctor_stamp import NOT_RUN
from bench.storage.record import Record
from bench.suites.suite import TrialSlot

Drawing = TypeVar("Drawing")


@dataclasses.dataclass(frozen=True)
class DeferredDrawing(Generic[Drawing]):
    """A drawing that is made only when the report is drawn.

    Attributes:
        inputs: Plain values (JSON) that identify the drawing: equal inputs give equal drawings.
        draw: Makes the drawing.
    """

    inputs: Any
    draw: Callable[[], Drawing]


NO_MEDIA: DeferredDrawing[InteractiveMedia] = DeferredDrawing((), InteractiveMedia)
"""Media of a page in which nothing can be turned."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportContents:
    """Everything that a report shows.

    Attributes:
        title: Name of the suite.
        question: The suite's question; empty for none.
        notes: Sentences at the head of the page, such as that the scenes are the embedded ones.
        command: Command line that makes this report again.
        results: Compared tables.
        frame: Scores of the trials, as `bench.storage.store.Store.frame` gives them, for the figures.
        cells: Places of trials in tables.
        records: Records of the trials, in any order, for curves, costs and provenance.
        contexts: Of each table of captions, its retrieval set, judge and confusions.
        sheets: Pictures by title; one that draws None is left out.
        media: Turntables and meshes.
        price: Price of an hour of a device; None to print hours only.
        refresh_s: Seconds after which the page loads itself again, while trials run; None for a page that does not.
        is_small: Whether to write the small form, which is kept beside code, see `bench.report.page.compact`.
        doctor: Stamp of `python -m bench doctor` on the machine that draws, see `bench.storage.doctor_stamp`.
    """

    title: str
    question: str = ""
    notes: tuple[str, ...] = ()
    command: str
    results: tuple[TableResult, ...]
    frame: pd.DataFrame
    cells: tuple[TrialSlot, ...]
    records: tuple[Record, ...]
    contexts: Mapping[str, CaptionTableContext] = dataclasses.field(default_factory=dict)
    sheets: Mapping[str, DeferredDrawing[Image.Image | None]] = dataclasses.field(default_factory=dict)
    media: DeferredDrawing[InteractiveMedia] = NO_MEDIA
    price: DevicePrice | None = None
    refresh_s: float | None = None
    is_small: bool = False
    doctor: str = NOT_RUN
