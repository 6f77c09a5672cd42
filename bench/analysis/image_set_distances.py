"""Measures how far the renders of an arm are, as a set, from photographs of the same scenes: FID and KID.

The renders of one seed are pooled over all scenes of a table. They are compared with all photographs of these scenes:
those that were seen and those that were not, training and test views together. Renders and photographs are values of
8-bit images on the task's background. The last row holds the true test views in place of renders: what a perfect arm
would get.

The choice of photographs changes the number. DietNeRF's published FID is against 3,200 photographs of 400 x 400 on
white: 100 training, 100 validation and 200 test views of eight scenes, averaged to their size with straight alpha and
truncated to 8 bits before they are put on white. The notes of its scripts have the same renders at 74.9 against these,
72.5 against 200 test views, 124.6 against an earlier folder, and 163.2 with depth and normal maps among them. Here
there are no validation views, and of the test views only those that the task scores.

n: images, h and w: pixels, f: features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from jaxtyping import Float

from bench.errors import UsageError
from bench.metrics import fid_kid, judges
from bench.metrics.fid_kid import Features
from bench.metrics.judges import Judge
from bench.metrics.task_kinds import kind_of
from bench.storage.trial_reader import TrialReader
from bench.suites.suite import Table, TrialSlot
from bench.suites.trial import Trial
from models.imagenet.catalog import IMAGENET
from tasks.task import SceneTask

TRUTH = "true test views"

COLUMNS = (
    "table", "arm", "seed", "features", "fid", "kid", "kid_std", "kid_subset", "num_images", "num_reference", "stamp",
    "missing",
)  # fmt: skip


def measure_table(
    table: Table,
    slots: Sequence[TrialSlot],
    trials: Sequence[Trial],
    store: TrialReader,
    features: str = "lpips-vgg",
    *,
    allow_in_loop: bool = False,
) -> pd.DataFrame:
    """Measure the distances of every arm and seed of a table.

    Args:
        table: Whose arms.
        slots: Of the suite.
        trials: Of the suite.
        store: With the trials' views.
        features: See `bench.metrics.fid_kid.features`.
        allow_in_loop: Let an encoder judge what it guided; its numbers are stamped.

    Returns:
        One row for each arm and seed, columns `COLUMNS`. Where a scene has no stored views there are no numbers, and
        `missing` gives the reason.

    Raises:
        UsageError: The table is not of photographs, or the features are those of an encoder that guided one of the
            arms, and that was not allowed.
    """
    own_slots = [slot for slot in slots if slot.table == table.name]
    judge = judge_of_features(features, own_slots, store, allow_in_loop=allow_in_loop)
    extract = fid_kid.features(features)
    tasks = tasks_by_scene(table, own_slots, trials)
    reference = np.concatenate([extract(photographs(task)) for task in tasks.values()])
    by_run: dict[tuple[str, int], list[TrialSlot]] = {}
    for slot in sorted(own_slots, key=lambda slot: list(table.arms).index(slot.arm)):
        by_run.setdefault((slot.arm, slot.seed), []).append(slot)
    rows = []
    for (arm, seed), chosen in by_run.items():
        row: dict[str, Any] = {"table": table.name, "arm": arm, "seed": seed, "features": features}
        row["stamp"] = judge.stamp([slot.trial_id for slot in chosen]) if judge else None
        row["missing"] = missing_views(chosen, store)
        if row["missing"] is None:
            row |= distances(features_of_renders(chosen, store, extract), reference)
        rows.append(row)
    truth = np.concatenate([extract(quantize_to_8bit(task.load().test.colors)) for task in tasks.values()])
    rows.append({"table": table.name, "arm": TRUTH, "features": features} | distances(truth, reference))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def judge_of_features(
    features: str, slots: Sequence[TrialSlot], store: TrialReader, *, allow_in_loop: bool
) -> Judge | None:
    """Make the encoder behind the features a judge of the trials; None where the features are of no encoder.

    Raises:
        UsageError: It guided one of the trials, and that was not allowed.
    """
    if not features.startswith(fid_kid.PREFIX):
        return None
    finished = [slot.trial_id for slot in slots if store.finished(slot.trial_id)]
    guides = {trial_id: judges.guides_of(store.read(trial_id).identity) for trial_id in finished}
    return judges.judge_of(features.removeprefix(fid_kid.PREFIX), guides, allow_in_loop=allow_in_loop)


def tasks_by_scene(table: Table, slots: Sequence[TrialSlot], trials: Sequence[Trial]) -> dict[str, SceneTask]:
    """Choose one task a scene, the baseline's where there is one: arms may see more views, of the same photographs.

    Raises:
        UsageError: The tasks have no photographs.
    """
    by_id = {trial.id: trial for trial in trials}
    tasks: dict[str, SceneTask] = {}
    for slot in sorted(slots, key=lambda slot: slot.arm != table.baseline):
        task = by_id[slot.trial_id].task
        kind = kind_of(task)
        if not kind.has_photographs:
            raise UsageError(
                f"table {table.name}: expected photographs to measure distances from, got {kind.start}; leave it out "
                "with --only table=..."
            )
        tasks.setdefault(slot.cluster, cast(SceneTask, task))
    return tasks


def photographs(task: SceneTask) -> Float[np.ndarray, "n h w 3"]:
    """Load all photographs of a task's scene: every training view, seen or not, and the task's test views."""
    defaults = {field.name: field.default for field in dataclasses.fields(task)}  # type: ignore[arg-type]
    # A task that picks its views by seed or by number takes all of them with those fields at their defaults.
    changes = {name: defaults[name] for name in ("subset_seed", "views") if name in defaults}
    num_views = len(task.load().all_train_poses)
    everything = dataclasses.replace(task, num_views=num_views, **changes).load()  # type: ignore[type-var]
    return np.concatenate([quantize_to_8bit(everything.train.colors), quantize_to_8bit(everything.test.colors)])


def features_of_renders(slots: Sequence[TrialSlot], store: TrialReader, extract: Features) -> Float[np.ndarray, "n f"]:
    """Extract the features of the stored views of some trials."""
    return np.concatenate([extract(quantize_to_8bit(store.views(slot.trial_id)["color"])) for slot in slots])


def quantize_to_8bit(colors: np.ndarray) -> Float[np.ndarray, "n h w 3"]:
    """Truncate colours to the values of an 8-bit file, as NeRF's `to8b` does; what is not finite becomes black.

    Example:
        >>> pixel = np.array([-1.0, 0.501, np.inf]).reshape(1, 1, 1, 3)
        >>> (255 * quantize_to_8bit(pixel)).round().ravel().tolist()
        [0.0, 127.0, 0.0]
    """
    finite = np.nan_to_num(np.asarray(colors, np.float32), posinf=0.0, neginf=0.0)
    return (np.floor(255 * np.clip(finite, 0, 1)) / 255).astype(np.float32)


def distances(found: Float[np.ndarray, "n f"], reference: Float[np.ndarray, "m f"]) -> dict[str, Any]:
    """Compute both distances, with the number of images."""
    kid = fid_kid.kernel(found, reference)
    return {
        "fid": fid_kid.frechet(found, reference),
        "kid": kid.mean,
        "kid_std": kid.std,
        "kid_subset": kid.subset_size,
        "num_images": len(found),
        "num_reference": len(reference),
    }


def missing_views(slots: Sequence[TrialSlot], store: TrialReader) -> str | None:
    """Say which scenes have no stored views, and why; None if all have."""
    reasons: dict[str, list[str]] = {}
    for slot in slots:
        if store.failed(slot.trial_id):
            reasons.setdefault("failed", []).append(slot.cluster)
        elif not store.finished(slot.trial_id):
            reasons.setdefault("not trained", []).append(slot.cluster)
        elif not store.has_views(slot.trial_id):
            reasons.setdefault("no stored views", []).append(slot.cluster)
    return "; ".join(f"{reason}: {', '.join(scenes)}" for reason, scenes in reasons.items()) or None


# ---- text ------------------------------------------------------------------------------------------------------------


def format_distances(found: pd.DataFrame) -> list[str]:
    """Format a table's distances as lines of text: means over seeds, with the range where there are several."""
    features = str(found["features"].iloc[0])
    table = found["table"].iloc[0]
    what = " (trained on ImageNet's labels, not CLIP)" if features.removeprefix(fid_kid.PREFIX) in IMAGENET else ""
    lines = [f"{table}: distance of each arm's renders from the scenes' photographs, features {features}{what}"]
    width = max(len(arm) for arm in found["arm"])
    for arm, rows in found.groupby("arm", sort=False):
        lines.append(f"  {arm:{width}}  {'  '.join(format_arm(rows))}")
    full = found.dropna(subset=["fid"])
    num_images = int(full["num_images"].max())
    num_reference = int(full["num_reference"].max())
    lines.append(
        f"  {num_images} renders a seed, {num_reference} photographs (training and test views, 8-bit values). FID "
        "falls with the number of images: compare only sets of one size. KID is a mean over "
        f"{fid_kid.NUM_SUBSETS} random subsets of {int(full['kid_subset'].max())} of each."
    )
    if features.startswith(fid_kid.INCEPTION):
        lines.append(
            "  Published numbers of DietNeRF are against 3,200 photographs: 100 training, 100 validation and 200 test "
            "views of eight scenes, 400 x 400 on white. Those above have no validation views, and only the test views "
            "that are scored."
        )
    else:
        lines.append(
            "  These features are not those of Inception: no published FID or KID compares with these numbers."
        )
    return lines


def format_arm(rows: pd.DataFrame) -> list[str]:
    """Format the distances of one arm: the numbers, stamps, and seeds without numbers."""
    full = rows.dropna(subset=["fid"])
    parts = []
    if len(full):
        parts.append(f"FID {spread(full['fid'], 1)}  KID {spread(full['kid'], 4)}")
    parts += [f"[{stamp}]" for stamp in sorted(set(rows["stamp"].dropna()))]
    without = rows[[isinstance(reason, str) for reason in rows["missing"]]]
    parts += [f"seed {int(row.seed)} missing, {row.missing}" for row in without.itertuples()]
    return parts


def spread(values: pd.Series, digits: int) -> str:
    """Format a mean, with the range over seeds where there are several.

    Example:
        >>> spread(pd.Series([1.0, 2.0]), 1), spread(pd.Series([1.0]), 1)
        ('1.5 (1.0 to 2.0)', '1.0')
    """
    mean = f"{values.mean():.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ({values.min():.{digits}f} to {values.max():.{digits}f})"
