"""Defines what the rest of the project asks of a kind of task."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any

from bench.errors import UsageError, nearest
from bench.metrics.protocols import Protocol
from tasks.captions.caption_sets import CaptionSet
from tasks.task import Photos, Task


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TaskKind(abc.ABC):
    """A kind of task; a value of a subclass stands for it.

    Attributes:
        noun: What a cluster of such tasks is called in tables: "scene". Stored with tables, and the key in `KINDS`.
        start: What a method starts from, for messages: "photographs".
        types: Of its tasks, and of the arrays that they load.
        protocols: Ways to score it, by name.
        method_type: Base of the methods that start from it.
        recipes: Names of the methods that a network of a user's becomes the field of: in the embedded world, and at the
            budget `paper`.
        size_field: The field of a budget that says how large its views are.
        has_photographs: Whether there are photographs: some that a method sees, others that renders are compared with.
        needs_opacity: Whether renders that were made elsewhere must bring alpha.
        has_many_clusters: Whether a table has many clusters: in tables by cluster they are rows then, and pages show
            only the first metrics.
    """

    noun: str
    start: str
    types: tuple[type, ...]
    protocols: Mapping[str, Protocol]
    method_type: type
    recipes: tuple[str, str]
    size_field: str
    has_photographs: bool
    needs_opacity: bool
    has_many_clusters: bool

    def protocol(self, name: str) -> Protocol:
        """Give the protocol of a name.

        Raises:
            UsageError: This kind has none of that name.
        """
        if name not in self.protocols:
            raise UsageError(
                f"protocol: expected one of {self.start} ({', '.join(self.protocols)}), got {name!r}; "
                f"{nearest(name, self.protocols)}"
            )
        return self.protocols[name]

    @abc.abstractmethod
    def example_task(self, cluster: str = "") -> Task:
        """Make a small task that `check` tries a method on; an empty cluster stands for the first there is."""

    def made_up_task(self, image_px: int) -> Task:
        """Make a task that `profile` trains on: of any content, as only its shapes cost time.

        Args:
            image_px: Width and height of photographs, where there are some.
        """
        return self.example_task()

    @abc.abstractmethod
    def folder_name(self, task: Any) -> str:
        """Name the folder that holds a task's images where renders are imported."""

    @abc.abstractmethod
    def needed_view_ids(self, data: Any) -> tuple[int, ...]:
        """List the views that imported renders must have."""

    @abc.abstractmethod
    def background(self, task: Any) -> float:
        """Give the grey that a task's views stand on: 1 is white."""

    @abc.abstractmethod
    def photographs(self, data: Any) -> Photos | None:
        """Give the photographs that a method sees; None where there are none."""

    @abc.abstractmethod
    def frame_labels(self, data: Any) -> dict[int, str]:
        """Label the views that a turning picture may show, by their ids."""

    @abc.abstractmethod
    def retrieval_set(self, task: Any) -> CaptionSet | None:
        """Give the captions among which judges look for the task's; None where judges look for none."""

    @abc.abstractmethod
    def check_scorers(self) -> None:
        """Refuse missing or altered weights of scorers, before anything is trained.

        Raises:
            UsageError: With what to do.
        """

    @abc.abstractmethod
    def guide_warning(self, task: Any, encoders: tuple[str, ...]) -> str | None:
        """Say why guides cannot know what the task asks for; None where they can."""
