"""Makes the tables that train from captions, for the suites `ablations`, `text-to-3d` and `compositional`.

Most arms differ from the baseline in numbers alone and share its compiled program. At the small budgets a table has
only its one or two most important arms; which of them `ablations` has at `quick`, on how many captions, is decided in
`bench/suites/builtin/ablations.py`. At `paper` the arms are those of the paper's tables, on its 153 captions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from bench.suites.identity import describe, digest
from bench.suites.suite import Arm, Table
from bench.suites.variant_names import slug
from models.augmentations import BACKGROUNDS, CONSTANT_BACKGROUNDS
from models.clip.checkpoints import catalog
from models.dream_fields import (
    DREAM_FIELDS_2022,
    DREAM_FIELDS_SHAPE,
    HASH_GRID,
    SIMPLE_FIELD,
    VOXELS,
    DreamFields,
    embedded_recipe,
)
from models.fields.encodings import IntegratedPositional, Positional
from models.fields.networks import MLP, ResidualMLP
from tasks.budgets import BUDGETS, Budget, sized
from tasks.captions.caption_sets import CLOSED_WORLD_JUDGES, ranked_judges_of
from tasks.captions.caption_task import CaptionTask, held_out_tasks
from tasks.captions.judge_agreement import rank_judges
from tasks.captions.unlisted import tasks_or_places

FEW = 4
"""Captions of an arm at a small budget, unless it says otherwise."""

SOME = 12
"""Captions of a study at a small budget."""

NUM_CAPTIONS = 64

NUM_PUBLISHED_CAPTIONS = 153

MAIN_SEEDS = 2
"""Seeds of the full recipe and of the arm without crops and backgrounds; others have one."""

BASELINE = "Dream Fields"

RANDOM_BACKGROUNDS = tuple(kind for kind in BACKGROUNDS if kind not in CONSTANT_BACKGROUNDS)

READERS = ("embedded-vit-8", "embedded-vit-16")
"""Embedded guides that read whole captions."""

PLAIN = {"crop_share": 1.0, "backgrounds": ("white",), "max_blur_px": 0.0}
"""Fields of the recipe without crops and backgrounds."""


def metrics(judges: Sequence[str]) -> tuple[str, ...]:
    """List the columns of a table: the primary judge's, then the others'."""
    first, *others = judges
    found = [f"margin@{first}", f"rprec1@{first}", f"rprec5@{first}"]
    found += [f"rprec1_white@{judge}" for judge in judges]  # on white judges disagree most
    found += [f"rprec1@{other}" for other in others]
    return (*found, "rprec1@guide", "repeats", "opacity")


def recognition_metrics(judges: Sequence[str]) -> tuple[str, ...]:
    """List the columns of a table of what is recognised: the primary judge's, then the others' kinds."""
    first, *others = judges
    found = [f"{name}@{first}" for name in ("kind", "color", "finish", "kind_single", "kind_pair")]
    return (*found, *(f"kind@{other}" for other in others))


def recognized(table: Table, judges: Sequence[str]) -> Table:
    """Make a second table of the same trials: what judges recognise without being told the caption."""
    return dataclasses.replace(
        table,
        name=f"{table.name}, recognised",
        question="Which objects are recognised without their caption?",
        metrics=recognition_metrics(judges),
        protocol="recognition-v1",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CaptionStudySettings:
    """The settings that all tables of a budget share.

    Attributes:
        tasks: The captions.
        base: The full recipe; arms change some of its fields.
        variant: The recipe's short name.
        num_octaves: Octaves of encodings along the axes.
        guides: Guides to compare with the budget's own.
        budget: Name of the budget.
    """

    tasks: tuple[CaptionTask, ...]
    base: DreamFields
    variant: str
    num_octaves: int
    guides: tuple[str, ...]
    budget: str

    @property
    def is_small(self) -> bool:
        """Tell whether the budget has time for a few arms only."""
        return self.budget in ("smoke", "quick")

    @property
    def judges(self) -> tuple[str, ...]:
        """Name the judges of its tables, the one that agrees best with people first."""
        task = self.tasks[0]
        if task.judges is None:
            return ranked_judges_of(task.captions)
        return rank_judges([name for name in task.judges if name in catalog.JUDGES])

    @property
    def network(self) -> ResidualMLP:
        """Return the recipe's network."""
        assert isinstance(self.base.field, ResidualMLP)
        return self.base.field

    def field(self, **fields: Any) -> ResidualMLP:
        """Return a copy of the recipe's network with some fields changed."""
        return dataclasses.replace(self.network, **fields)

    @property
    def simple(self) -> MLP:
        """Make the network of simplified NeRF."""
        return dataclasses.replace(SIMPLE_FIELD, encoding=Positional(num_octaves=self.num_octaves))

    def as_grid(self, other: DreamFields) -> dict[str, Any]:
        """Return the fields that give this recipe another's grid and learning rate; the grid spans this one's cube."""
        grid = dataclasses.replace(other.field, half_width=self.base.half_width)  # type: ignore[call-arg]
        return {"field": grid, "learning_rate": other.learning_rate}

    def changed(self, label: str, *, note: str = "", num: int | None = FEW, **fields: Any) -> Arm:
        """Make an arm that changes fields of the recipe."""
        return Arm(
            method=dataclasses.replace(self.base, **fields),
            variant=f"{self.variant}_{slug(label)}",
            changes=tuple(f"method.{name}" for name in fields),
            note=note,
            **self.size(num),
        )

    def size(self, num: int | None, seeds: int | None = 1) -> dict[str, Any]:
        """Return an arm's number of captions at a small budget, else its number of seeds; None stands for all."""
        if self.is_small:
            return {"num_tasks": num}
        return {"num_seeds": seeds}

    def table(self, name: str, question: str, arms: Mapping[str, Arm], baseline: str = BASELINE) -> Table:
        """Make a table whose first row is the full recipe."""
        full = Arm(method=self.base, variant=self.variant, note="the full recipe", **self.size(SOME, MAIN_SEEDS))
        return Table(
            name=name,
            question=question,
            tasks=self.tasks,
            baseline=baseline,
            arms={BASELINE: full, **arms},
            metrics=metrics(self.judges),
            protocol="std-v1",
        )

    def plain(self, num: int | None = SOME) -> Arm:
        """Make the arm without crops and backgrounds."""
        arm = self.changed("plain", num=num, note="the whole view, on white", **PLAIN)
        return arm if self.is_small else dataclasses.replace(arm, num_seeds=MAIN_SEEDS)


def regularizers(study: CaptionStudySettings) -> Table:
    """Make the first table: losses and noise that keep an object solid."""
    arms = {"no transmittance loss": study.changed("no transmittance loss", transmittance="none")}
    if not study.is_small:
        noisy = study.field(density_noise=1.0)
        arms |= {
            "gated": study.changed("gated", transmittance="gated"),
            "clipped gated": study.changed("clipped gated", transmittance="clipped gated"),
            "density noise": study.changed(
                "density noise", transmittance="none", field=noisy, note="NeRF's, instead of the transmittance loss"
            ),
            "beta prior": study.changed(
                "beta prior",
                transmittance="none",
                beta_weight=0.1,
                note="of Neural Volumes, instead of the transmittance loss",
            ),
        }
    return study.table("regularizers", "What keeps an object solid and single?", arms)


def augmentations(study: CaptionStudySettings) -> Table:
    """Make the second table: changes to a render before its guide reads it."""
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
            **{kind: study.changed(kind, backgrounds=(kind,)) for kind in RANDOM_BACKGROUNDS},
            "caption in a template": study.changed(
                "template", prompt="a photo of {}", note="what the guide reads; the plain caption is scored"
            ),
        }
    return study.table("augmentations", "What must stand between a render and the encoder that guides it?", arms)


def architectures(study: CaptionStudySettings) -> Table:
    """Make the third table: networks, encodings and bounds of the field."""
    nerfs = dataclasses.replace(study.simple, encoding=study.network.encoding)
    axes = study.field(encoding=Positional(num_octaves=study.num_octaves))
    arms = {
        "NeRF's network": study.changed("nerfs network", field=nerfs, note="no residual blocks, no layer norm"),
        "hash grid": study.changed(
            "hash grid", **study.as_grid(HASH_GRID), note="features in grids of many resolutions"
        ),
    }
    if not study.is_small:
        other = "bfloat16" if sized(study.network, BUDGETS[study.budget]).dtype == "float32" else "float32"
        arms |= {
            "axis-aligned encoding": study.changed("axis aligned", field=axes, note="sines along the axes, of points"),
            "view directions": study.changed(
                "view directions",
                field=dataclasses.replace(nerfs, view_directions=True),
                note="NeRF's network, and its colour depends on direction",
            ),
            "no bounds": study.changed("no bounds", bounds=False),
            "tracked origin": study.changed("tracked origin", track_origin=True),
            "no annealing": study.changed("no annealing", first_blur=0.0, note="of the encoding"),
            **elevations(study),
            other: study.changed(other, field=study.field(dtype=other)),
        }
    return study.table("architectures", "What should the field be made of, and where may it be?", arms)


def elevations(study: CaptionStudySettings) -> dict[str, Arm]:
    """Make the arm whose cameras stand at other elevations than the recipe's."""
    if study.base.low_deg < study.base.high_deg:
        return {"one elevation": study.changed("one elevation", low_deg=30.0, high_deg=30.0)}
    note = "cameras from 0 to 60 degrees, judged ones among them"
    return {"many elevations": study.changed("many elevations", low_deg=0.0, high_deg=60.0, note=note)}


def cumulative(study: CaptionStudySettings, before: Sequence[Table]) -> Table:
    """Make the paper's first table, which adds one prior after the other to simplified NeRF.

    Args:
        study: The settings that all tables share.
        before: Tables that hold the last arms already, under other names.
    """
    simple = study.simple
    fourier = dataclasses.replace(study.simple, encoding=study.network.encoding)
    integrated = IntegratedPositional(num_octaves=study.num_octaves)
    crops = {"crop_share": study.base.crop_share}
    backgrounds = {"backgrounds": study.base.backgrounds, "max_blur_px": study.base.max_blur_px}
    kept: dict[str, Any] = {**PLAIN, "transmittance": "none", "bounds": False, "track_origin": False}
    steps: dict[str, dict[str, Any]] = {
        "simplified NeRF": {"field": simple},
        "+ integrated encoding": {"field": dataclasses.replace(simple, encoding=integrated)},
        "+ Fourier features": {"field": fourier},
        "+ random crops": crops,
        "+ transmittance loss": {"transmittance": study.base.transmittance},
        "+ backgrounds": backgrounds,
        "+ residual MLP": {"field": study.base.field},
        "+ bounds": {"bounds": True},
        "+ tracked origin": {"track_origin": True},
    }
    arms = {}
    for label, step in steps.items():
        kept = kept | step
        changed = {name: value for name, value in kept.items() if value != getattr(study.base, name)}
        arms[label] = study.changed(label, **changed)
    table = study.table("one prior after the other", "What does each prior add, as the paper adds them?", arms)
    return named_as_before(table, before, BUDGETS[study.budget])


def named_as_before(table: Table, before: Sequence[Table], budget: Budget) -> Table:
    """Give arms that train the same trials one variant name, that of the first.

    A trial's folder begins with the variant's name: under two names one trial would be trained twice.

    Args:
        table: The table whose arms are named anew; its tasks are those of the tables before.
        before: Tables whose names stay.
        budget: The budget that fills open sizes, so that arms which become equal count as equal.
    """
    known: dict[str, tuple[str, str]] = {}
    for other in (*before, table):
        for name, arm in other.arms.items():
            known.setdefault(arm_digest(arm, budget), (name, arm.variant))
    arms = {}
    for name, arm in table.arms.items():
        first, variant = known[arm_digest(arm, budget)]
        note = arm.note
        if first != name:
            note = "; ".join(filter(None, (arm.note, f"the trials of {first}")))
        arms[name] = dataclasses.replace(arm, variant=variant, note=note)
    return dataclasses.replace(table, arms=arms)


def arm_digest(arm: Arm, budget: Budget) -> str:
    """Digest the method and the changes of the task of an arm: equal where its trials are."""
    return digest([describe(sized(arm.method, budget)), describe(arm.task)])


def backbones(study: CaptionStudySettings) -> Table:
    """Make the fourth table: the encoder that guides."""
    arms = {f"guide {name}": study.changed(name, encoder=name) for name in study.guides}
    table = study.table("CLIP backbones", "Does it matter which encoder guides?", arms)
    if study.budget != "standard":
        return table
    of_readers = (f"rprec1@{name}" for name in READERS)
    return dataclasses.replace(table, metrics=(*table.metrics, *of_readers))


def parametrizations(study: CaptionStudySettings) -> Table:
    """Make the table of `text-to-3d`: kinds of fields that represent the object."""
    arms = {
        "simplified NeRF": study.changed(
            "simplified nerf",
            num=SOME,
            field=study.simple,
            **PLAIN,
            transmittance="none",
            bounds=False,
            note="no prior at all",
        ),
        "voxel grid": study.changed("voxels", num=SOME, **study.as_grid(VOXELS), note="explicit density and colour"),
        "hash grid": study.changed(
            "hash grid", num=SOME, **study.as_grid(HASH_GRID), note="features in grids of many resolutions"
        ),
    }
    return study.table("text to 3D", "What should an object be made of?", arms)


def embedded_settings(budget: str) -> CaptionStudySettings:
    """Return the settings of a study on the closed world's held-out captions, with the budget's recipe."""
    variant, recipe = embedded_recipe(budget)
    if recipe is DREAM_FIELDS_SHAPE:
        return shape_settings(budget)
    guides = {"smoke": ("embedded-vit-16",), "quick": ("embedded-vit-8",)}
    tasks = held_out_tasks(SOME if budget in ("smoke", "quick") else NUM_CAPTIONS)
    if budget == "standard":  # guides judge what others made, for the matrix of both
        judges = (*CLOSED_WORLD_JUDGES, *READERS)
        tasks = tuple(dataclasses.replace(task, judges=judges) for task in tasks)
    return CaptionStudySettings(
        tasks=tasks,
        base=recipe,
        variant=variant,
        num_octaves=4,
        guides=guides.get(budget, ("embedded-vit-16", "embedded-vit-8-labels")),
        budget=budget,
    )


def shape_settings(budget: str) -> CaptionStudySettings:
    """Return the settings of a study of the recipe for recognisable objects."""
    return CaptionStudySettings(
        tasks=held_out_tasks(SOME if budget == "smoke" else NUM_CAPTIONS),
        base=DREAM_FIELDS_SHAPE,
        variant="dream_fields_shape",
        num_octaves=5,
        guides=("embedded-vit-8-attacked", "embedded-vit-8", "embedded-vit-16", "embedded-vit-8-labels"),
        budget=budget,
    )


def published_settings() -> CaptionStudySettings:
    """Return the paper's settings, on its captions; download these if they are missing, or let a plan count them."""
    return CaptionStudySettings(
        tasks=tasks_or_places("coco-153", NUM_PUBLISHED_CAPTIONS),
        base=DREAM_FIELDS_2022,
        variant="dream_fields_2022",
        num_octaves=6,
        guides=("openai-vit-b-32",),
        budget="paper",
    )
