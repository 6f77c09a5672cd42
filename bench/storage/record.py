"""Decides what a trial leaves: a record that reads as JSON, and beside it parameters, views and scores.

In curves and timings a number that is not finite is written as null and read back as NaN, so that an infinity comes
back as NaN too. Everything else in a record is finite, and a number that is not is refused.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from typing import TYPE_CHECKING, Any, Literal

from bench.errors import UsageError, escape_controls
from bench.import_paths import ROOT
from bench.storage import json_values
from bench.storage.environment import describe_environment

if TYPE_CHECKING:
    import numpy

SCHEMA_VERSION = 2
"""Of `Record`: raised when a field changes its meaning, is taken away or is added without a default.

2: `identity` and the hash in `trial_id` are those of `bench.suites.identity`. In version 1 they were those of
`bench.suites.legacy_identity`.
"""

WITH_NAN = ("curves", "timings")
"""Fields whose numbers need not be finite."""

PRINTED = (
    "variant",
    "task",
    "cluster",
    "budget",
    "environment",
    "scene",
    "reason",
    "traceback",
    "earlier_failures",
)
"""Fields that are shown to people as they are: what a terminal would obey is escaped when they are read."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """All that is known of a trial but its arrays and scores.

    Attributes:
        schema_version: The version of this class.
        trial_id: Also the name of its folder.
        status: Whether it ran to its end.
        variant: The method's short name.
        task: The task's name.
        cluster: What is paired: the scene.
        seed: Seed of everything random.
        budget: Its name.
        identity: All fields of task, method and budget, defaults included.
        environment: What it ran on, see `bench.storage.environment`.
        curves: `step`, and beside it the loss, its terms and the like: one number for each point.
        timings: Seconds by phase (`prepare_s`, `compile_s`, `train_s`, `render_s`, `score_s`, `wall_s`): a pack's,
            divided by `pack_size`. `shared_s` of `wall_s` are also another trial's, which this one continues.
        num_steps: Gradient steps asked for.
        num_parameters: Trained numbers.
        pack_size: How many trials were trained at once.
        first_bad_step: Where a loss that was not finite ended it; None if none did.
        reason: One line on why it failed; None if it did not.
        traceback: Where it failed; None if it did not, or if the reason says all.
        memory_bytes: Of each device, while its pack is trained, as the compiler plans it; None if it is not known.
        resumed_at: Steps at which training went on from a checkpoint: one for each sitting but the first. `timings` are
            of all sittings; `environment` is that of the last.
        earlier_failures: Why it was tried again, once for each attempt before the last, alone or in a pack.
        scene: Where a captured scene was placed: what lies around it, near, far, centre and scale, estimated ones too;
            empty for any other task.
        files: SHA-256 of each other file of the trial by its name, see `bench.storage.checksums`; empty if an earlier
            version stored it, or before it is stored. Two records are equal whatever their files.
    """

    schema_version: int
    trial_id: str
    status: Literal["finished", "failed"]
    variant: str
    task: str
    cluster: str
    seed: int
    budget: str
    identity: dict[str, Any]
    environment: dict[str, Any]
    curves: dict[str, list[float]]
    timings: dict[str, float]
    num_steps: int
    num_parameters: int
    pack_size: int
    first_bad_step: int | None
    reason: str | None
    traceback: str | None
    memory_bytes: int | None = None
    resumed_at: list[int] = dataclasses.field(default_factory=list)
    scene: dict[str, Any] = dataclasses.field(default_factory=dict)
    earlier_failures: list[str] = dataclasses.field(default_factory=list)
    files: dict[str, str] = dataclasses.field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        for name in ("seed", "num_steps", "num_parameters", "pack_size"):
            count = getattr(self, name)
            if not 0 <= count < 2**63:
                raise ValueError(f"{self.trial_id}: expected {name} from 0 to 2^63, got {count!r:.40}")
        if (self.status == "failed") != (self.reason is not None):
            raise ValueError(f"{self.trial_id}: expected a reason if and only if it failed, got {self.reason!r}")

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; a number in curves or timings that is not finite becomes None."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return plain | {name: json_values.nan_to_none(plain[name]) for name in WITH_NAN}

    def to_text(self) -> str:
        """Return the record as JSON, a field a line.

        Raises:
            ValueError: A number outside of curves and timings is not finite.
        """
        lines = [f'"{name}": {json.dumps(value, allow_nan=False)}' for name, value in self.to_json().items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def from_json(cls, plain: Any, where: str = "record.json") -> Record:
        """Read what `to_json` wrote.

        Args:
            plain: JSON values.
            where: Names the file in messages.

        Raises:
            UsageError: It has another schema version.
            ValueError: It is no record; says in one line which field is wrong.
        """
        if not isinstance(plain, dict) or not isinstance(plain.get("schema_version"), int):
            raise ValueError(f"{where}: expected a record, got something without a schema version")
        if plain["schema_version"] == 1:
            raise UsageError(
                f"{where}: expected a record of schema version {SCHEMA_VERSION}, got 1, in which trials could be taken "
                "for others; it stays as it is: `python -m bench adopt FOLDER` takes over what is certainly the same"
            )
        if plain["schema_version"] != SCHEMA_VERSION:
            raise UsageError(
                f"{where}: expected a record of schema version {SCHEMA_VERSION}, got {plain['schema_version']}; "
                "it stays as it is: read it with the version of bench that wrote it, or name another folder with "
                "--results"
            )
        with_nan = {name: json_values.none_to_nan(plain[name]) for name in WITH_NAN if name in plain}
        printable = {name: _escape(plain[name]) for name in PRINTED if name in plain}
        return json_values.convert(plain | with_nan | printable, cls, where)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """All that a trial leaves, as it travels from the worker that trained it to the driver that stores it.

    Attributes:
        record: What is known of it.
        parameters: By flat names: `params/field/Dense_0/kernel`, `state/...`; empty if there are none.
        views: `color`, `opacity`, `distance` as float16 and `ids` as int32; empty if there are none.
        scores: By protocol, as JSON; empty if the trial failed.
    """

    record: Record
    parameters: dict[str, numpy.ndarray]
    views: dict[str, numpy.ndarray]
    scores: dict[str, dict[str, Any]]


def make_record(
    trial: Any,
    *,
    status: Literal["finished", "failed"],
    curves: dict[str, list[float]] | None = None,
    timings: dict[str, float] | None = None,
    num_parameters: int = 0,
    pack_size: int = 1,
    first_bad_step: int | None = None,
    reason: str | None = None,
    traceback: str | None = None,
    memory_bytes: int | None = None,
    resumed_at: list[int] | None = None,
    with_device: bool = True,
) -> Record:
    """Return the record of a trial; to be called where it was trained.

    Args:
        trial: A `bench.suites.trial.Trial`; not named in the signature, because this file is imported by workers before
            their threads are limited, and must not import JAX.
        status: Whether it ran to its end.
        curves: As in `Record`.
        timings: As in `Record`.
        num_parameters: As in `Record`.
        pack_size: As in `Record`.
        first_bad_step: As in `Record`.
        reason: As in `Record`; put on one line.
        traceback: As in `Record`; the user's folders are taken out.
        memory_bytes: As in `Record`.
        resumed_at: As in `Record`.
        with_device: Whether to ask JAX for the device it ran on.
    """
    return Record(
        schema_version=SCHEMA_VERSION,
        trial_id=trial.id,
        status=status,
        variant=trial.variant,
        task=trial.task.name,
        cluster=trial.task.cluster,
        seed=trial.seed,
        budget=trial.budget.name,
        identity=trial.identity(),
        environment=describe_environment(with_device=with_device),
        curves=curves or {},
        timings=timings or {},
        num_steps=trial.method.total_steps,
        num_parameters=num_parameters,
        pack_size=pack_size,
        first_bad_step=first_bad_step,
        reason=None if reason is None else escape_controls(remove_user_folders(" ".join(reason.split()))),
        traceback=None if traceback is None else escape_controls(remove_user_folders(traceback)),
        memory_bytes=memory_bytes,
        resumed_at=resumed_at or [],
        scene=_placed_scene(trial.task),
    )


def _placed_scene(task: Any) -> dict[str, Any]:
    """Return where a task places its scene; empty if it is no captured one, or cannot be placed."""
    describe = getattr(task, "describe_placement", None)
    if describe is None:
        return {}
    try:
        return describe()
    except UsageError:  # then this is the record of a failure that says so
        return {}


def make_failed_outcome(trial: Any, reason: str, traceback: str | None = None, pack_size: int = 1) -> Outcome:
    """Return the outcome of a trial that was ended by an exception or by the death of its worker."""
    made = make_record(
        trial, status="failed", reason=reason, traceback=traceback, pack_size=pack_size, with_device=False
    )
    return Outcome(record=made, parameters={}, views={}, scores={})


def _escape(value: Any) -> Any:
    """Escape the texts in plain values; names of fields too."""
    if isinstance(value, str):
        return escape_controls(value)
    if isinstance(value, dict):
        return {_escape(name): _escape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_escape(inner) for inner in value]
    return value


def remove_user_folders(text: str) -> str:
    """Return a message without the folders of the user who ran it, and as text that any file can hold."""
    try:
        home = str(pathlib.Path.home())
    except RuntimeError:  # a user without one
        home = ""
    text = text.encode(errors="backslashreplace").decode()  # names of files may be no Unicode
    text = text.replace(f"{ROOT}{os.sep}", "").replace(str(ROOT), ".")
    return text if home in ("/", "") else text.replace(home + os.sep, "~" + os.sep)
