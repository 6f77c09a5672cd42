"""The caption family's tables: what makes an object out of a caption, and what only makes an encoder believe it.

They are parts of suites, not one: `ablations` holds the four, `text-to-3d` and `compositional` take arms from here.

Most arms differ from the baseline in numbers alone and share its compiled program. At `quick` a table has its one or
two most telling arms, on four captions; the full recipe and the one without crops and backgrounds have twelve, enough
for a verdict on the judge's margin. At `paper` the arms are those of the paper's tables, on its 153 captions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from bench.suites.identity import describe, digest
from bench.suites.suite import Arm, Table
from models import augmentations as augmentations_module
from models.dream_fields import DREAM_FIELDS, DREAM_FIELDS_2022, HASH_GRID, SIMPLE_FIELD, VOXELS, DreamFields
from models.fields.encodings import Integrated, Positional
from models.fields.networks import MLP, ResidualMLP
from tasks.budgets import BUDGETS, Budget, sized
from tasks.captions.caption_sets import CLOSED_WORLD_JUDGES, judges_of
from tasks.captions.caption_task import CaptionTask, held_out_tasks, tasks_of

FEW, SOME = 4, 12
"""Captions of an arm at `quick`, and of the two arms that get a verdict there."""

NUM_CAPTIONS = 64

MAIN_SEEDS = 2
"""Of the full recipe and of the arm without crops and backgrounds; others have one."""

BASELINE = "Dream Fields"

MOVING = tuple(
    kind for kind in augmentations_module.BACKGROUNDS if kind not in augmentations_module.CONSTANT_BACKGROUNDS
)

READERS = ("embedded-vit-8", "embedded-vit-16")
"""Embedded guides that read whole captions."""

PLAIN = {"crop_share": 1.0, "backgrounds": ("white",), "max_blur_px": 0.0}
"""What is changed for neither crops nor backgrounds."""


def metrics(judges: Sequence[str]) -> tuple[str, ...]:
    """Columns: the primary judge's, then the others'."""
    first, *others = judges
    found = [f"margin@{first}", f"rprec1@{first}", f"rprec5@{first}"]
    found += [f"rprec1_white@{judge}" for judge in judges]  # on white judges disagree most
    found += [f"rprec1@{other}" for other in others]
    return (*found, "rprec1@guide", "repeats", "opacity")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CaptionStudySettings:
    """What all tables of a budget share.

    Attributes:
        tasks: Captions.
        base: The recipe that arms are changes of.
        variant: Its short name.
        num_octaves: Of encodings along the axes.
        guides: Other guides than the budget's.
        budget: Its name.
    """

    tasks: tuple[CaptionTask, ...]
    base: DreamFields
    variant: str
    num_octaves: int
    guides: tuple[str, ...]
    budget: str

    @property
    def is_small(self) -> bool:
        """Whether there is time for a few arms only."""
        return self.budget in ("smoke", "quick")

    @property
    def network(self) -> ResidualMLP:
        """The recipe's network."""
        assert isinstance(self.base.field, ResidualMLP)
        return self.base.field

    def field(self, **fields: Any) -> ResidualMLP:
        """The recipe's network with some fields changed."""
        return dataclasses.replace(self.network, **fields)

    @property
    def simple(self) -> MLP:
        """The network of simplified NeRF."""
        return dataclasses.replace(SIMPLE_FIELD, encoding=Positional(num_octaves=self.num_octaves))

    def as_grid(self, other: DreamFields) -> dict[str, Any]:
        """What is changed to have another recipe's grid, over this one's cube, and the rate that it wants."""
        grid = dataclasses.replace(other.field, half_width=self.base.half_width)  # type: ignore[call-arg]
        return {"field": grid, "learning_rate": other.learning_rate}

    def changed(self, label: str, *, note: str = "", num: int | None = FEW, **fields: Any) -> Arm:
        """An arm that changes fields of the recipe."""
        return Arm(
            method=dataclasses.replace(self.base, **fields), variant=f"{self.variant}_{slug(label)}",
            changes=tuple(f"method.{name}" for name in fields), note=note, **self.size(num),
        )  # fmt: skip

    def size(self, num: int | None, seeds: int | None = 1) -> dict[str, Any]:
        """How many captions and seeds an arm has: at a small budget `num` captions, else all, and `seeds` seeds."""
        if self.is_small:
            return {"num_tasks": num}
        return {"num_seeds": seeds}

    def table(self, name: str, question: str, arms: Mapping[str, Arm], baseline: str = BASELINE) -> Table:
        """A table whose first row is the recipe."""
        full = Arm(method=self.base, variant=self.variant, note="the full recipe", **self.size(SOME, MAIN_SEEDS))
        return Table(
            name=name, question=question, tasks=self.tasks, baseline=baseline, arms={BASELINE: full, **arms},
            metrics=metrics(judges_of(self.tasks[0].captions)), protocol="std-v1",
        )  # fmt: skip

    def plain(self, num: int | None = SOME) -> Arm:
        """The arm without crops and backgrounds."""
        arm = self.changed("plain", num=num, note="the whole view, on white", **PLAIN)
        return arm if self.is_small else dataclasses.replace(arm, num_seeds=MAIN_SEEDS)


def regularizers(study: CaptionStudySettings) -> Table:
    """The first table: what keeps the object solid."""
    arms = {"no transmittance loss": study.changed("no transmittance loss", transmittance="none")}
    if not study.is_small:
        noisy = study.field(density_noise=1.0)
        arms |= {
            "gated": study.changed("gated", transmittance="gated"),
            "clipped gated": study.changed("clipped gated", transmittance="clipped gated"),
            "density noise": study.changed("density noise", transmittance="none", field=noisy,
                                           note="NeRF's, instead of the transmittance loss"),
            "beta prior": study.changed("beta prior", transmittance="none", beta_weight=0.1,
                                        note="of Neural Volumes, instead of the transmittance loss"),
        }  # fmt: skip
    return study.table("regularizers", "What keeps an object solid and single?", arms)


def augmentations(study: CaptionStudySettings) -> Table:
    """The second table: what stands between a render and its guide."""
    arms = {
        "no crops, no backgrounds": study.plain(),
        "no backgrounds": study.changed("no backgrounds", backgrounds=("white",), max_blur_px=0.0),
    }
    if not study.is_small:
        arms |= {
            "no crops": study.changed("no crops", crop_share=1.0),
            "small crops": study.changed("small crops", crop_share=0.5),
            "no blur": study.changed("no blur", max_blur_px=0.0),
            "black background": study.changed("black", backgrounds=("black",), max_blur_px=0.0),
            **{kind: study.changed(kind, backgrounds=(kind,)) for kind in MOVING},
            "caption in a template": study.changed("template", prompt="a photo of {}",
                                                   note="what the guide reads; the plain caption is scored"),
        }  # fmt: skip
    return study.table("augmentations", "What must stand between a render and the encoder that guides it?", arms)


def architectures(study: CaptionStudySettings) -> Table:
    """The third table: what the field is made of, and where it may be."""
    nerfs = dataclasses.replace(study.simple, encoding=study.network.encoding)
    axes = study.field(encoding=Positional(num_octaves=study.num_octaves))
    arms = {
        "NeRF's network": study.changed("nerfs network", field=nerfs, note="no residual blocks, no layer norm"),
        "hash grid": study.changed("hash grid", **study.as_grid(HASH_GRID),
                                   note="features in grids of many resolutions"),
    }  # fmt: skip
    if not study.is_small:
        other = "bfloat16" if sized(study.network, BUDGETS[study.budget]).dtype == "float32" else "float32"
        arms |= {
            "axis-aligned encoding": study.changed("axis aligned", field=axes, note="sines along the axes, of points"),
            "view directions": study.changed("view directions", field=dataclasses.replace(nerfs, view_directions=True),
                                             note="NeRF's network, and its colour depends on direction"),
            "no bounds": study.changed("no bounds", bounds=False),
            "tracked origin": study.changed("tracked origin", track_origin=True),
            "no annealing": study.changed("no annealing", first_blur=0.0, note="of the encoding"),
            "many elevations": study.changed("many elevations", low_deg=0.0, high_deg=60.0,
                                             note="cameras from 0 to 60 degrees, judged ones among them"),
            other: study.changed(other, field=study.field(dtype=other)),
        }  # fmt: skip
    return study.table("architectures", "What should the field be made of, and where may it be?", arms)


def cumulative(study: CaptionStudySettings, before: Sequence[Table]) -> Table:
    """The paper's first table: one prior after the other, from simplified NeRF on; its last steps are in `before`."""
    simple, fourier = study.simple, dataclasses.replace(study.simple, encoding=study.network.encoding)
    integrated = Integrated(num_octaves=study.num_octaves)
    crops = {"crop_share": study.base.crop_share}
    behind = {"backgrounds": study.base.backgrounds, "max_blur_px": study.base.max_blur_px}
    kept: dict[str, Any] = {**PLAIN, "transmittance": "none", "bounds": False, "track_origin": False}
    steps: dict[str, dict[str, Any]] = {
        "simplified NeRF": {"field": simple},
        "+ integrated encoding": {"field": dataclasses.replace(simple, encoding=integrated)},
        "+ Fourier features": {"field": fourier},
        "+ random crops": crops,
        "+ transmittance loss": {"transmittance": study.base.transmittance},
        "+ backgrounds": behind,
        "+ residual MLP": {"field": study.base.field},
        "+ bounds": {"bounds": True},
        "+ tracked origin": {"track_origin": True},
    }
    arms = {}
    for label, step in steps.items():
        kept = kept | step
        arms[label] = study.changed(label, **{k: v for k, v in kept.items() if v != getattr(study.base, k)})
    table = study.table("one prior after the other", "What does each prior add, as the paper adds them?", arms)
    return named_as_before(table, before, BUDGETS[study.budget])


def named_as_before(table: Table, before: Sequence[Table], budget: Budget) -> Table:
    """A table in which what is trained already, by an arm of it or of the tables before, has the variant name of there.

    A trial's folder begins with that name: under two names one trial would be trained twice.

    Args:
        table: Whose arms may be others' under new names; its tasks are those of the tables before.
        before: Their names stay.
        budget: Fills open sizes, so that what becomes equal counts as equal.
    """
    known: dict[str, tuple[str, str]] = {}
    for name, arm in (row for some in (*before, table) for row in some.arms.items()):
        known.setdefault(trained(arm, budget), (name, arm.variant))
    arms = {}
    for name, arm in table.arms.items():
        first, variant = known[trained(arm, budget)]
        said = arm.note if first == name else "; ".join(filter(None, (arm.note, f"the trials of {first}")))
        arms[name] = dataclasses.replace(arm, variant=variant, note=said)
    return dataclasses.replace(table, arms=arms)


def trained(arm: Arm, budget: Budget) -> str:
    """What an arm trains, as text: equal where trials are."""
    return digest([describe(sized(arm.method, budget)), describe(arm.task)])


def backbones(study: CaptionStudySettings) -> Table:
    """The fourth table: who guides."""
    arms = {f"guide {name}": study.changed(name, encoder=name) for name in study.guides}
    made = study.table("CLIP backbones", "Does it matter which encoder guides?", arms)
    if study.budget != "standard":
        return made
    return dataclasses.replace(made, metrics=(*made.metrics, *(f"rprec1@{name}" for name in READERS)))


def parametrizations(study: CaptionStudySettings) -> Table:
    """What an object may be made of: the arms of `text-to-3d`."""
    arms = {
        "simplified NeRF": study.changed("simplified nerf", num=SOME, field=study.simple, **PLAIN, transmittance="none",
                                         bounds=False, note="no prior at all"),
        "voxel grid": study.changed("voxels", num=SOME, **study.as_grid(VOXELS), note="explicit density and colour"),
        "hash grid": study.changed("hash grid", num=SOME, **study.as_grid(HASH_GRID),
                                   note="features in grids of many resolutions"),
    }  # fmt: skip
    return study.table("text to 3D", "What should an object be made of?", arms)


def embedded(budget: str) -> CaptionStudySettings:
    """On the closed world's held-out captions."""
    guides = {"smoke": ("embedded-vit-16",), "quick": ("embedded-vit-8",)}
    tasks = held_out_tasks(SOME if budget in ("smoke", "quick") else NUM_CAPTIONS)
    if budget == "standard":  # guides judge what others made, for the matrix of both
        tasks = tuple(dataclasses.replace(task, judges=(*CLOSED_WORLD_JUDGES, *READERS)) for task in tasks)
    return CaptionStudySettings(
        tasks=tasks,
        base=DREAM_FIELDS, variant="dream_fields", num_octaves=4,
        guides=guides.get(budget, ("embedded-vit-16", "embedded-vit-8-labels")), budget=budget,
    )  # fmt: skip


def as_published() -> CaptionStudySettings:
    """On the paper's 153 captions, with its settings; fetches the captions if they are not there."""
    return CaptionStudySettings(
        tasks=tasks_of("coco-153"), base=DREAM_FIELDS_2022, variant="dream_fields_2022", num_octaves=6,
        guides=("openai-vit-b-32",), budget="paper",
    )  # fmt: skip


def slug(label: str) -> str:
    """A label as a part of a variant's name."""
    return "_".join("".join(letter if letter.isalnum() else " " for letter in label).split())
