"""Tasks that start from photographs: few views of a scene are seen, others are rendered and compared with the truth."""

from __future__ import annotations

from bench.metrics import lpips
from bench.metrics.photo_protocols import PHOTO_PROTOCOLS
from bench.metrics.task_kinds.interface import TaskKind
from models.nerf import NeRF
from tasks.scenes.scenes import SCENES
from tasks.sparse_views.embedded import SparseViews
from tasks.sparse_views.noise_scene import NoiseScene
from tasks.task import Photos, SceneData, SceneTask


class PhotoKind(TaskKind):
    """Photographs of a scene. See `TaskKind` for what each function decides."""

    def example_task(self, cluster: str = "") -> SparseViews:
        """Make a task of three photographs of an embedded scene."""
        return SparseViews(scene=cluster or next(iter(SCENES)), num_views=3)

    def made_up_task(self, image_px: int) -> NoiseScene:
        """Make a scene of noise, so that no scene is rendered."""
        return NoiseScene(image_px=image_px)

    def folder_name(self, task: SceneTask) -> str:
        """Give the scene's name."""
        return task.cluster

    def needed_view_ids(self, data: SceneData) -> tuple[int, ...]:
        """List all test views."""
        return data.test.ids

    def background(self, task: SceneTask) -> float:
        """Give the task's own background; white where it names none."""
        return float(getattr(task, "background", 1.0))

    def photographs(self, data: SceneData) -> Photos:
        """Give the training views."""
        return data.train

    def frame_labels(self, data: SceneData) -> dict[int, str]:
        """Label every test view with its id."""
        return {i: f"view {i}" for i in data.test.ids}

    def retrieval_set(self, task: SceneTask) -> None:
        """Give None: nothing is retrieved."""

    def check_scorers(self) -> None:
        """Refuse missing or altered LPIPS weights."""
        lpips.load_weights("alex")
        lpips.load_weights("vgg")

    def guide_warning(self, task: SceneTask, encoders: tuple[str, ...]) -> None:
        """Give None: no words are asked for."""


PHOTOS = PhotoKind(
    noun="scene",
    start="photographs",
    types=(SceneTask, SceneData),
    protocols=PHOTO_PROTOCOLS,
    method_type=NeRF,
    recipes=("nerf", "nerf_2021"),
    size_field="image_px",
    has_photographs=True,
    needs_opacity=False,
    has_many_clusters=False,
)
