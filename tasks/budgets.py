"""Defines the budgets, which are named sets of sizes, and fills the open sizes of a task or a method from one.

A size is open if it is None; `sized` fills it from the budget's field of the same name. A size that has a value stays:
for this reason `--set nerf.num_rays=512` wins over a budget.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, TypeVar

from bench.errors import UsageError, nearest

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget:
    """A named set of sizes. It never changes what is trained.

    Attributes:
        name: Name on the command line.
        image_px: Width and height of the views.
        num_spp: Samples a pixel when an embedded scene is rendered.
        num_steps: Gradient steps of a trial.
        num_rays: Rays in one step.
        num_samples: Stratified samples along a ray.
        num_importance: Additional samples of the fine network.
        width: Units of a hidden layer.
        depth: Hidden layers.
        num_curve_points: Points of a training curve. The steps between two are taken at once: a run that is to stop
            takes them to their end.
        consistency_px: Width and height of the render that an encoder sees.
        num_crops: Augmented crops of one render.
        finetune_steps: Steps of the last phase, for a method that has one.
        encoder: Name of DietNeRF's encoder, if the method leaves it open.
        guide: Name of the encoder that guides a field made from a caption, or of several with commas between.
        caption_steps: Gradient steps of a caption trial.
        render_px: Width and height of the views that a caption trial is trained on.
        caption_samples: Samples along the rays of these training views.
        view_samples: Samples along the rays of the views that a caption trial is scored on.
        view_px: Width and height of these scored views, equal to the input size of the judges.
        residual_width: Units of a residual stream; a block has twice as many inside.
        num_blocks: Residual blocks.
        guide_dtype: Number type that a guide computes with.
        field_dtype: Number type that the field of a caption trial computes with.
    """

    name: str
    image_px: int
    num_spp: int
    num_steps: int
    num_rays: int
    num_samples: int
    num_importance: int
    width: int
    depth: int
    num_curve_points: int = 50
    consistency_px: int = 64
    num_crops: int = 8
    finetune_steps: int = 500
    encoder: str = "embedded-vit-8"
    guide: str = "embedded-vit-8"
    caption_steps: int = 1500
    render_px: int = 64
    caption_samples: int = 32
    view_samples: int = 64
    view_px: int = 64
    residual_width: int = 64
    num_blocks: int = 3
    guide_dtype: Literal["float32", "bfloat16"] = "float32"
    field_dtype: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int) and value < (0 if field.name == "num_importance" else 1):
                raise ValueError(f"budget {self.name}: {field.name} is at least 1, got {value}")


def sized(value: T, budget: Budget) -> T:
    """Fill the open sizes of a task or a method, and of the dataclasses inside it.

    Args:
        value: A frozen dataclass. A field is open if it is None and the budget has a field of that name. If the field's
            metadata have an entry "budget", that entry is the name.
        budget: Budget that the sizes are taken from.

    Returns:
        A value of the same type, with no open size.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Net:
        ...     width: int | None = None
        ...     activation: str | None = None
        >>> sized(Net(), BUDGETS["smoke"])
        Net(width=16, activation=None)
    """
    changes = {}
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        if not field.init or field.name in ("parent", "name"):  # flax adds `parent` and `name` to a linen module
            continue
        inner = getattr(value, field.name)
        name = field.metadata.get("budget", field.name)
        if inner is None and hasattr(budget, name):
            changes[field.name] = getattr(budget, name)
        elif dataclasses.is_dataclass(inner) and not isinstance(inner, type):
            filled = sized(inner, budget)
            if filled != inner:
                changes[field.name] = filled
    return dataclasses.replace(value, **changes) if changes else value  # type: ignore[type-var]


BUDGETS = {
    budget.name: budget
    for budget in (
        Budget(
            name="smoke",
            image_px=16,
            num_spp=4,
            num_steps=20,
            num_rays=32,
            num_samples=8,
            num_importance=8,
            width=16,
            depth=2,
            num_curve_points=5,
            consistency_px=16,
            num_crops=2,
            finetune_steps=5,
            caption_steps=20,
            render_px=16,
            caption_samples=8,
            view_samples=8,
            view_px=16,
            residual_width=16,
            num_blocks=1,
        ),
        Budget(
            name="quick",
            image_px=48,
            num_spp=64,
            num_steps=700,
            num_rays=128,
            num_samples=20,
            num_importance=20,
            width=64,
            depth=4,
            consistency_px=32,
            num_crops=4,
            finetune_steps=175,
            guide="embedded-vit-16",
            caption_steps=400,
            render_px=32,
            caption_samples=16,
            view_samples=32,
            residual_width=32,
            num_blocks=2,
        ),
        Budget(
            name="standard",
            image_px=96,
            num_spp=64,
            num_steps=2000,
            num_rays=512,
            num_samples=32,
            num_importance=48,
            width=128,
            depth=8,
            consistency_px=64,
            num_crops=4,
            caption_steps=1000,
            render_px=48,
            caption_samples=16,
            num_blocks=2,
            guide_dtype="bfloat16",
            field_dtype="bfloat16",
        ),
        Budget(
            name="fine",
            image_px=200,
            num_spp=128,
            num_steps=10_000,
            num_rays=1024,
            num_samples=48,
            num_importance=64,
            width=128,
            depth=8,
            num_crops=6,
            guide="embedded-vit-8-large",
            caption_steps=1000,
            residual_width=128,
            num_blocks=2,
            guide_dtype="bfloat16",
            field_dtype="bfloat16",
        ),
        Budget(
            name="paper",
            image_px=400,
            num_spp=256,
            num_steps=200_000,
            num_rays=1024,
            num_samples=64,
            num_importance=128,
            width=256,
            depth=8,
            num_curve_points=800,
            consistency_px=168,
            finetune_steps=50_000,
            encoder="openai-vit-b-32",
            num_crops=64,
            guide="openai-vit-b-16",
            caption_steps=10_000,
            render_px=168,
            caption_samples=192,
            view_samples=512,
            view_px=224,
            residual_width=128,
            num_blocks=4,
        ),
    )
}


def budget_named(name: str) -> Budget:
    """Look up a budget by name.

    Raises:
        UsageError: No budget has this name; the message gives the nearest.
    """
    if name not in BUDGETS:
        raise UsageError(f"--budget: expected one of {', '.join(BUDGETS)}, got {name!r}; {nearest(name, BUDGETS)}")
    return BUDGETS[name]
