"""Hashes trials as stores of schema version 1 did. Only for taking such stores over; nothing else may call it.

Version 1 told types apart by their bare names, callables by `__name__`, photographs by name and size, and encoders by
their weights alone. A store of version 1 is taken over where the trial that is meant today had, under this hashing, the
id that is stored. The functions are kept as they were.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from bench.suites import registered_types
from bench.suites.identity import UNLESS_DEFAULT
from models.clip.checkpoints import catalog
from tasks.sparse_views import transforms_json
from tasks.sparse_views.nerf_synthetic import BlenderScene
from tasks.sparse_views.view_selection import digest_parts as digest_of_parts

BLENDER_FIELDS = (
    "scene", "folder", "num_views", "subset_seed", "views", "image_px", "test_every", "resize", "pixel_center",
    "background", "near", "far",
)  # fmt: skip
"""Those that `BlenderScene` had, in their order: its text was a part of its fingerprint."""


def described_v1(value: Any) -> Any:
    """Describe a value as version 1 did: a dataclass is its type's bare name and all its fields."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [f for f in dataclasses.fields(value) if f.metadata.get("identity", True)]
        later = {f.name for f in fields if f.metadata.get("identity") == UNLESS_DEFAULT}
        fields = [f for f in fields if f.name not in later or getattr(value, f.name) != f.default]
        if hasattr(value, "apply"):  # a linen module: flax adds `parent` and `name`
            fields = [f for f in fields if f.name not in ("parent", "name")]
        return {"type": name_v1(type(value))} | {f.name: described_v1(getattr(value, f.name)) for f in fields}
    if isinstance(value, Mapping):
        return {str(k): described_v1(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [described_v1(v) for v in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    raise TypeError(f"described: expected a dataclass or a JSON value, got {type(value).__name__}")


def name_v1(kind: type) -> str:
    """Return the name that a type had in version 1; registered names keep it when a class is renamed."""
    ours = registered_types.TYPES.get(f"{kind.__module__}:{kind.__qualname__}")
    return ours.name if ours is not None else kind.__name__


def digest_v1(tree: Any) -> str:
    """Hash a JSON value to eight hexadecimal digits."""
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def fingerprint_v1(task: Any) -> str:
    """Fingerprint a task's data as version 1 did: photographs by their names and sizes, not by their bytes."""
    if not isinstance(task, BlenderScene):
        return task.fingerprint()
    frames = task.frames()
    told = [hashlib.sha256(file.read_bytes()).hexdigest() for file in frames.files]
    for frame in (*frames.train.values(), *frames.test.values()):
        try:
            told.append(f"{frame.id} {frame.image.name} {frame.image.stat().st_size}")
        except OSError:
            transforms_json.image_size(frame)  # says what is wrong with it
            raise
    settings = {name: getattr(task, name) for name in BLENDER_FIELDS} | {"folder": None}
    written = ", ".join(f"{name}={value!r}" for name, value in settings.items())
    return digest_of_parts([*told, f"BlenderScene({written})"])


def identity_v1(trial: Any) -> dict[str, Any]:
    """Tell a trial's identity as version 1 did.

    Args:
        trial: A `bench.suites.trial.Trial`.
    """
    made = {
        "task": described_v1(trial.task),
        "method": described_v1(trial.method),
        "fingerprint": fingerprint_v1(trial.task),
        "budget": trial.budget.name,
        "seed": trial.seed,
    }
    if trial.method.encoders:
        made["encoders"] = {name: catalog.weights_fingerprint(name) for name in trial.method.encoders}
    return made


def id_v1(trial: Any) -> str:
    """Name a trial's folder as version 1 did."""
    return f"{trial.variant}__{trial.task.name}__s{trial.seed}__{digest_v1(identity_v1(trial))}"
