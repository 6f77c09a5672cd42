"""How far the renders of an arm are, as a set, from photographs of the same scenes: FID and KID, arm by arm.

The renders of one seed are pooled over all scenes of a table. They are compared with all photographs of these scenes,
those that were seen and those that were not, training and test views together. Renders and photographs are values of
8-bit images on the task's background. The true test views stand in the last row as if an arm had rendered them: what a
perfect arm would get.

The choice of photographs moves the number. DietNeRF's published FID is against 3,200 of 400 x 400 on white: 100
training, 100 validation and 200 test views of eight scenes, averaged to their size with straight alpha and truncated to
8 bits before they are put on white. Its scripts' notes have the same renders at 74.9 against these, 72.5 against 200
test views, 124.6 against an earlier folder, and 163.2 with depth and normal maps among them. Here there are no
validation views, and of the test views those that the task scores.

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
from bench.metrics.task_kinds import kind_of
from bench.storage.trial_reader import TrialReader
from bench.suites.suite import Table, TrialSlot
from bench.suites.trial import Trial
from tasks.task import SceneTask

TRUTH = "true test views"

COLUMNS = (
    "table", "arm", "seed", "features", "fid", "kid", "kid_std", "kid_subset", "num_images", "num_reference", "stamp",
    "missing",
)  # fmt: skip


def of_table(
    table: Table,
    cells: Sequence[TrialSlot],
    trials: Sequence[Trial],
    store: TrialReader,
    features: str = "lpips-vgg",
    *,
    allow_in_loop: bool = False,
) -> pd.DataFrame:
    """Distances of every arm and seed.

    Args:
        table: Which arms.
        cells: Of the suite.
        trials: Of the suite.
        store: With the trials' views.
        features: See `bench.metrics.fid_kid.features`.
        allow_in_loop: Let an encoder judge what it guided; its numbers are stamped.

    Returns:
        A row an arm and seed, columns `COLUMNS`. Where a scene has no stored views there are no numbers, and `missing`
        says why.

    Raises:
        UsageError: The features are those of an encoder that guided one of the arms, and that was not allowed.
    """
    mine = [cell for cell in cells if cell.table == table.name]
    by_id = {trial.id: trial for trial in trials}
    judge = None
    if features.startswith(fid_kid.PREFIX):
        guides = {
            cell.trial_id: judges.guides_of(store.read(cell.trial_id).identity)
            for cell in mine
            if store.finished(cell.trial_id)
        }
        name = features.removeprefix(fid_kid.PREFIX)
        judge = judges.judge_of(name, guides, allow_in_loop=allow_in_loop)
    extract = fid_kid.features(features)
    # The baseline's tasks where it was chosen: arms may see more views of a scene, and all are of the same photographs.
    tasks: dict[str, SceneTask] = {}
    for cell in sorted(mine, key=lambda cell: cell.arm != table.baseline):
        task = by_id[cell.trial_id].task
        kind = kind_of(task)
        if not kind.has_photographs:
            raise UsageError(
                f"table {table.name}: expected photographs to measure distances from, got {kind.start}; leave it out "
                "with --only table=..."
            )
        tasks.setdefault(cell.cluster, cast(SceneTask, task))
    reference = np.concatenate([extract(photographs(task)) for task in tasks.values()])
    rows = []
    for arm in table.arms:
        for seed in dict.fromkeys(cell.seed for cell in mine if cell.arm == arm):
            chosen = [cell for cell in mine if (cell.arm, cell.seed) == (arm, seed)]
            row: dict[str, Any] = {"table": table.name, "arm": arm, "seed": seed, "features": features}
            row["stamp"] = judge.stamp([cell.trial_id for cell in chosen]) if judge else None
            row["missing"] = why_missing(chosen, store)
            if row["missing"] is None:
                row |= compared(rendered(chosen, store, extract), reference)
            rows.append(row)
    truth = np.concatenate([extract(quantize_to_8bit(task.load().test.colors)) for task in tasks.values()])
    rows.append({"table": table.name, "arm": TRUTH, "features": features} | compared(truth, reference))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def photographs(task: SceneTask) -> Float[np.ndarray, "n h w 3"]:
    """All of a task's scene: every training view, seen or not, and the task's test views."""
    fields = {field.name: field.default for field in dataclasses.fields(task)}  # type: ignore[arg-type]
    plain = {name: fields[name] for name in ("subset_seed", "views") if name in fields}
    everything = dataclasses.replace(task, num_views=len(task.load().all_train_poses), **plain).load()  # type: ignore[type-var]
    return np.concatenate([quantize_to_8bit(everything.train.colors), quantize_to_8bit(everything.test.colors)])


def rendered(cells: Sequence[TrialSlot], store: TrialReader, extract: Features) -> Float[np.ndarray, "n f"]:
    """Features of the stored views of some trials."""
    return np.concatenate([extract(quantize_to_8bit(store.views(cell.trial_id)["color"])) for cell in cells])


def quantize_to_8bit(colors: np.ndarray) -> Float[np.ndarray, "n h w 3"]:
    """What an 8-bit file would hold, truncated as NeRF's `to8b` does; what is not finite is black."""
    finite = np.nan_to_num(np.asarray(colors, np.float32), posinf=0.0, neginf=0.0)
    return (np.floor(255 * np.clip(finite, 0, 1)) / 255).astype(np.float32)


def compared(found: Float[np.ndarray, "n f"], reference: Float[np.ndarray, "m f"]) -> dict[str, Any]:
    """Both distances, and of how many images."""
    kid = fid_kid.kernel(found, reference)
    return {
        "fid": fid_kid.frechet(found, reference),
        "kid": kid.mean,
        "kid_std": kid.std,
        "kid_subset": kid.subset_size,
        "num_images": len(found),
        "num_reference": len(reference),
    }


def why_missing(cells: Sequence[TrialSlot], store: TrialReader) -> str | None:
    """Why an arm has no set of renders; None if it has one."""
    reasons: dict[str, list[str]] = {}
    for cell in cells:
        if store.failed(cell.trial_id):
            reasons.setdefault("failed", []).append(cell.cluster)
        elif not store.finished(cell.trial_id):
            reasons.setdefault("not trained", []).append(cell.cluster)
        elif not store.has_views(cell.trial_id):
            reasons.setdefault("no stored views", []).append(cell.cluster)
    return "; ".join(f"{reason}: {', '.join(scenes)}" for reason, scenes in reasons.items()) or None


# ---- said ------------------------------------------------------------------------------------------------------------


def format_distances(found: pd.DataFrame) -> list[str]:
    """A table's distances as lines of text: means over seeds, with the range where there are several."""
    features, table = found["features"].iloc[0], found["table"].iloc[0]
    lines = [f"{table}: distance of each arm's renders from the scenes' photographs, features {features}"]
    width = max(len(arm) for arm in found["arm"])
    for arm, rows in found.groupby("arm", sort=False):
        full = rows.dropna(subset=["fid"])
        stamps = sorted(set(rows["stamp"].dropna()))
        said = [f"FID {spread(full['fid'], 1)}  KID {spread(full['kid'], 4)}"] if len(full) else []
        said += [f"[{stamp}]" for stamp in stamps]
        said += [
            f"seed {int(row.seed)} missing, {row.missing}" for row in rows.itertuples() if isinstance(row.missing, str)
        ]
        lines.append(f"  {arm:{width}}  {'  '.join(said)}")
    full = found.dropna(subset=["fid"])
    num_images, num_reference = int(full["num_images"].max()), int(full["num_reference"].max())
    lines.append(
        f"  {num_images} renders a seed, {num_reference} photographs (training and test views, 8-bit values). FID "
        "falls with the number of images: compare only sets of one size. KID is a mean over "
        f"{fid_kid.NUM_SUBSETS} random subsets of {int(full['kid_subset'].max())} of each."
    )
    if not str(features).startswith(fid_kid.INCEPTION):
        lines.append(
            "  These features are not those of Inception: no published FID or KID compares with these numbers."
        )
    else:
        lines.append(
            "  Published numbers of DietNeRF are against 3,200 photographs: 100 training, 100 validation and 200 test "
            "views of eight scenes, 400 x 400 on white. Those above have no validation views, and only the test views "
            "that are scored."
        )
    return lines


def spread(values: pd.Series, digits: int) -> str:
    """A mean, and the range over seeds where there are several.

    Example:
        >>> spread(pd.Series([1.0, 2.0]), 1), spread(pd.Series([1.0]), 1)
        ('1.5 (1.0 to 2.0)', '1.0')
    """
    mean = f"{values.mean():.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ({values.min():.{digits}f} to {values.max():.{digits}f})"
