"""Tasks that start from a caption: an object is made of words alone, and judges look for the caption in its views."""

from __future__ import annotations

from bench.metrics.caption_protocols import CAPTION_PROTOCOLS
from bench.metrics.caption_scorers import NUM_AROUND, RING
from bench.metrics.recognition_protocol import RECOGNITION_PROTOCOLS
from bench.metrics.task_kinds.interface import TaskKind
from models.clip.checkpoints import catalog
from models.dream_fields import DreamFields
from tasks.captions.caption_sets import CaptionSet
from tasks.captions.caption_task import CaptionData, CaptionTask, held_out_tasks
from tasks.closed_world import grammar


class CaptionKind(TaskKind):
    """Captions. See `TaskKind` for what each function decides."""

    def example_task(self, cluster: str = "") -> CaptionTask:
        """Make a task of a caption of the closed world."""
        return CaptionTask(caption=cluster) if cluster else held_out_tasks(1)[0]

    def folder_name(self, task: CaptionTask) -> str:
        """Give the caption with dashes."""
        return task.name

    def needed_view_ids(self, data: CaptionData) -> tuple[int, ...]:
        """List the ring of `std-v1`."""
        return RING

    def background(self, task: CaptionTask) -> float:
        """Give the grey behind views from a caption."""
        return task.load().background

    def photographs(self, data: CaptionData) -> None:
        """Give None: no photograph is seen."""

    def frame_labels(self, data: CaptionData) -> dict[int, str]:
        """Label the lower ring of views, once round the object, with their azimuths."""
        azimuths = zip(data.test.ids, data.test.azimuth_deg, strict=True)
        return {i: f"azimuth {azimuth_deg:g}°" for i, azimuth_deg in azimuths if i < NUM_AROUND}

    def retrieval_set(self, task: CaptionTask) -> CaptionSet:
        """Give the set that the caption is one of."""
        return task.found_in

    def check_scorers(self) -> None:
        """Refuse nothing: a judge that cannot be had leaves a gap with its reason."""

    def guide_warning(self, task: CaptionTask, encoders: tuple[str, ...]) -> str | None:
        """Say which words embedded guides have never seen; others are not known."""
        return grammar.warning(task.caption) if set(encoders) & set(catalog.EMBEDDED) else None


CAPTIONS = CaptionKind(
    noun="caption",
    start="captions",
    types=(CaptionTask, CaptionData),
    protocols={**CAPTION_PROTOCOLS, **RECOGNITION_PROTOCOLS},
    method_type=DreamFields,
    recipes=("dream_fields", "dream_fields_2022"),
    size_field="view_px",
    has_photographs=False,
    needs_opacity=True,
    has_many_clusters=True,
)
