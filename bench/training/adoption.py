"""Takes over trials that were stored under schema version 1, where they are certainly the same trials as today.

Version 1 told methods apart by the bare names of their types, so that a network of a user's could be stored under the
name of one of ours. A record is taken over only if all of this holds:

- its task and method are made of types of ours alone, and can be built again from the fields that it holds;
- under the hashing of version 1 they have the identity and the id that are stored;
- the method has as many parameters as the record says.

What is left is named with its reason, and nothing of the old store is changed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import json
import pathlib
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax

from bench.errors import DamagedFile, UsageError, escape_controls
from bench.import_paths import OURS
from bench.storage import archive, checksums, files, json_values, number_tables
from bench.storage.driver_lock import driver_lock
from bench.storage.record import SCHEMA_VERSION, Record
from bench.storage.stored_scores import parse_scores
from bench.storage.trial_folder import MAX_ARRAYS_BYTES, RECORD, is_trial_name
from bench.suites import legacy_identity
from bench.suites.identity import Static
from bench.suites.registered_types import TYPES
from bench.suites.trial import Trial
from bench.suites.variant_names import without_paths
from models.dietnerf import DietNeRF, DietNeRFData
from models.dream_fields import DreamFields
from models.dream_fields.method import DreamFieldsData
from models.method import Method, num_parameters, split_hyperparameters
from models.nerf import NeRF, NeRFData
from tasks.budgets import BUDGETS
from tasks.data_dir.atomic_files import write_file
from tasks.data_dir.guarded_files import read_plain_file

LEGACY_VERSION = 1
"""The schema version that is taken over."""

UNKNOWN_WEIGHTS = "version 1 recorded no weights of its encoder, nor how its pixels were normalised"

USERS_OBJECT = "an object of a user's stands in it, of which version 1 kept the name alone"

TRAINED_TOGETHER = "was trained at once with code of a user's, which version 1 could take for it"


class OldTrial(NamedTuple):
    """A trial of an old store.

    Attributes:
        trial_id: Its id there.
        record: Its record as JSON, of schema version 1.
        contents: Its files by name, from an archive; None where it has a folder.
        folder: Its folder; None where it lies in an archive.
    """

    trial_id: str
    record: dict[str, Any]
    contents: dict[str, bytes] | None = None
    folder: pathlib.Path | None = None


class Verdict(NamedTuple):
    """The decision on an old trial: its record of today, or the reason why it is left."""

    trial_id: str
    record: Record | None
    reason: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adoption:
    """The report of one run of `adopt`.

    Attributes:
        taken: Old id -> new id.
        present: Old ids whose trial is in the new store already.
        left: Old id -> why it was left.
    """

    taken: dict[str, str]
    present: tuple[str, ...]
    left: dict[str, str]


def adopt(source: pathlib.Path, out: pathlib.Path, *, as_numbers: bool = False, is_dry: bool = False) -> Adoption:
    """Copy what is certainly the same from an old store into one of today.

    Folders become folders with all their arrays; an archive becomes an archive of the same name.

    Args:
        source: The old store; it stays as it is.
        out: The new store.
        as_numbers: Whether archives become tables of numbers (Parquet), without pictures and curves.
        is_dry: Whether only to say what would be done.

    Raises:
        UsageError: `source` holds no trial of schema version 1, or is `out`; or another driver writes there.
    """
    if source.resolve() == out.resolve():
        raise UsageError(
            f"adopt {source}: expected another folder to write into, got the same; name one with --results"
        )
    groups = {name: list(trials) for name, trials in _read_old(source).items()}
    if not any(groups.values()):
        raise UsageError(
            f"adopt {source}: expected trials of schema version {LEGACY_VERSION}, got none; look at --help"
        )
    mixed = _trained_with_foreign_code([trial.record for trials in groups.values() for trial in trials])
    taken: dict[str, str] = {}
    present: list[str] = []
    left: dict[str, str] = {}
    with contextlib.nullcontext() if is_dry else driver_lock(out):  # else a run stores there what is taken over
        for name, trials in groups.items():
            verdicts = [judge(trial, mixed) for trial in trials]
            left |= {verdict.trial_id: verdict.reason for verdict in verdicts if verdict.record is None}
            good = [(trial, verdict.record) for trial, verdict in zip(trials, verdicts, strict=True) if verdict.record]
            if name and not is_dry:
                _write_archive(out, name, good, as_numbers)
            for trial, record in good:
                if name or is_dry or _copy_folder(out, trial, record):
                    taken[trial.trial_id] = record.trial_id
                else:
                    present.append(trial.trial_id)
    return Adoption(taken=taken, present=tuple(present), left=left)


def judge(trial: OldTrial, mixed: frozenset[str]) -> Verdict:
    """Decide whether an old trial is certainly one of today.

    Args:
        trial: The old trial.
        mixed: Ids of trials that were trained at once with code of a user's.
    """
    known = trial.record
    if trial.trial_id in mixed:
        return Verdict(trial.trial_id, None, TRAINED_TOGETHER)
    if is_named_by_users(known["variant"]):
        return Verdict(trial.trial_id, None, USERS_OBJECT)
    try:
        rebuilt = rebuild_trial(known)
        same_identity = legacy_identity.identity_v1(rebuilt) == known["identity"]
        same_id = legacy_identity.id_v1(rebuilt) == trial.trial_id
    except (UsageError, KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        return Verdict(trial.trial_id, None, str(error).splitlines()[0])
    if not same_identity or not same_id:
        return Verdict(trial.trial_id, None, "its data, encoder or a default has changed since")
    expected = expected_parameters(rebuilt.method)
    if known["status"] == "finished" and known["num_parameters"] != expected:
        reason = f"has {known['num_parameters']} parameters where its method has {expected}: another network"
        return Verdict(trial.trial_id, None, reason)
    if None in known["identity"].get("encoders", {}).values():
        return Verdict(trial.trial_id, None, UNKNOWN_WEIGHTS)
    today = dataclasses.replace(rebuilt, variant=without_paths(rebuilt.variant, rebuilt.method.encoders))
    told = {"variant": today.variant, "trial_id": today.id, "identity": today.identity()}
    plain = known | {"schema_version": SCHEMA_VERSION} | told
    return Verdict(trial.trial_id, Record.from_json(plain, where=trial.trial_id))


def is_named_by_users(variant: str) -> bool:
    """Tell whether `--set` put an object of a user's module into a variant of version 1, which kept no digest of it.

    Example:
        >>> is_named_by_users("nerf+field=own-NET"), is_named_by_users("nerf+field=models.fields.networks-MLP")
        (True, False)
        >>> is_named_by_users("dream_fields+encoder=embedded-vit-8+learning_rate=1e-05")
        False
    """
    modules = re.findall(r"=([A-Za-z_][\w.]*)-[A-Za-z_]\w*(?=\+|$)", variant)
    return any(module.split(".")[0] not in OURS for module in modules)


def is_doubtful(record: Record) -> str:
    """Say why a stored trial may not be what it is named after; empty where nothing speaks against it.

    Trials with code of a user's are not judged: their code is not at hand.
    """
    try:
        trial = rebuild_trial(record.to_json())
    except (UsageError, KeyError, TypeError, ValueError):
        return ""
    expected = expected_parameters(trial.method)
    if record.status == "finished" and record.num_parameters != expected:
        return f"has {record.num_parameters} parameters where its method has {expected}"
    return ""


def rebuild_trial(record: Mapping[str, Any]) -> Trial:
    """Make the trial that a record tells of, from the fields that it holds.

    Raises:
        UsageError: It holds a type that is not one of ours.
    """
    identity = record["identity"]
    name = record["budget"]
    base = name.split("+")[0]
    if base not in BUDGETS:
        raise UsageError(f"its budget {name!r} is none of today's")
    return Trial(
        task=rebuild(identity["task"]),
        method=rebuild(identity["method"]),
        budget=dataclasses.replace(BUDGETS[base], name=name),
        seed=record["seed"],
        variant=record["variant"],
    )


def rebuild(tree: Any) -> Any:
    """Make a value from its description: types by their registered names, lists as tuples.

    Raises:
        UsageError: It holds a type that is not one of ours.
    """
    if isinstance(tree, list):
        return tuple(rebuild(each) for each in tree)
    if not isinstance(tree, dict):
        return tree
    if "type" not in tree:
        return {name: rebuild(value) for name, value in tree.items()}
    kind = _type_named(tree["type"].partition("/")[0])
    given = {field.name for field in dataclasses.fields(kind) if field.init}
    values = {name: rebuild(value) for name, value in tree.items() if name in given}
    return kind(**values)


@functools.cache
def _type_named(name: str) -> Any:
    """Import the type of ours that is registered under a name."""
    for place, registered in TYPES.items():
        if registered.name == name:
            module, _, attribute = place.partition(":")
            return getattr(importlib.import_module(module), attribute)
    raise UsageError(f"it holds {name!r}, which is not a type of this project: code of a user's")


def expected_parameters(method: Method) -> int:
    """Count the parameters that a method of ours has, without computing any."""
    return _count(Static(split_hyperparameters(method)[0]))


@functools.cache
def _count(static: Static) -> int:
    data = _empty_data(static.value)
    params, _ = jax.eval_shape(lambda key: static.value.init(key, data), jax.random.key(0))
    return num_parameters(params)


def _empty_data(method: Method) -> Any:
    """Return a method's data without arrays: methods of ours initialise from shapes of their own.

    Raises:
        UsageError: It is not one of those whose first parameters depend on no data.
    """
    pixels = NeRFData._make([None] * len(NeRFData._fields))
    if isinstance(method, DietNeRF):
        return DietNeRFData._make([None] * len(DietNeRFData._fields))._replace(pixels=pixels)
    if isinstance(method, NeRF):
        return pixels
    if isinstance(method, DreamFields):
        return DreamFieldsData._make([None] * len(DreamFieldsData._fields))
    raise UsageError(f"it is trained by {type(method).__name__}, whose parameters cannot be counted")


def _read_old(source: pathlib.Path) -> dict[str, Iterator[OldTrial]]:
    """Find old trials: by name of an archive, and under the empty name those in folders."""
    groups: dict[str, Iterator[OldTrial]] = {"": _read_folders(source)}
    for path in sorted(source.glob(f"*{archive.END}")):
        groups[path.name.removesuffix(archive.END)] = _read_old_archive(path)
    return groups


def _read_folders(source: pathlib.Path) -> Iterator[OldTrial]:
    for path in sorted(source.glob("*__*/record.json")):
        if not is_trial_name(path.parent.name):
            continue
        try:
            record = _old_record(read_plain_file(path, below=source), str(path))
        except (DamagedFile, FileNotFoundError) as error:
            _leave_out(error)
            continue
        if record is not None and record.get("trial_id") == path.parent.name:
            yield OldTrial(path.parent.name, record, folder=path.parent)


def _read_old_archive(path: pathlib.Path) -> Iterator[OldTrial]:
    try:
        found = archive.read_archive(path)
    except DamagedFile as error:
        _leave_out(error)
        return
    for trial_id, contents in sorted(found.items()):
        record = _old_record(contents.get("record.json", b""), f"{path}, {trial_id}")
        if record is not None:
            yield OldTrial(trial_id, record, contents=contents)


def _old_record(content: bytes, where: str) -> dict[str, Any] | None:
    """Return a record of the old schema; None for anything else."""
    try:
        plain = json_values.from_bytes(content, where)
    except ValueError:
        return None
    if not isinstance(plain, dict) or plain.get("schema_version") != LEGACY_VERSION:
        return None
    try:
        Record.from_json(plain | {"schema_version": SCHEMA_VERSION}, where)
    except ValueError as error:
        _leave_out(error)
        return None
    return plain


def _leave_out(error: Exception) -> None:
    """Say in a line which file is not taken over."""
    print(escape_controls(f"left out: {error}"), file=sys.stderr)


def _trained_with_foreign_code(records: list[dict[str, Any]]) -> frozenset[str]:
    """Find trials of ours that shared a pack with code of a user's: all trials of a pack have the same timings."""
    packs: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        seconds = {name: value for name, value in record["timings"].items() if name not in ("shared_s", "wall_s")}
        if record["pack_size"] > 1 and seconds:
            packs.setdefault(json.dumps([record["pack_size"], seconds], sort_keys=True), []).append(record)
    found = []
    for members in packs.values():
        if any("+code=" in record["variant"] for record in members):
            found += [record["trial_id"] for record in members]
    return frozenset(found)


def _copy_folder(out: pathlib.Path, trial: OldTrial, record: Record) -> bool:
    """Copy an old folder under its new name, with its record of today; False if the trial is there already."""
    assert trial.folder is not None
    if (out / record.trial_id).exists():
        return False
    out.mkdir(parents=True, exist_ok=True)
    temporary = files.temporary_path(out)
    try:
        contents = {
            name: read_plain_file(trial.folder / name, MAX_ARRAYS_BYTES) for name in _stored_names(trial.folder)
        }
        _, contents[RECORD] = checksums.seal_record(record, contents)
        for name, content in contents.items():
            write_file(temporary / name, content)
        files.publish_folder(temporary, out / record.trial_id)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return True


def _stored_names(folder: pathlib.Path) -> list[str]:
    """List the plain files of an old trial besides its record; what else lies there is left."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [path.relative_to(folder).as_posix() for path in paths if path != folder / RECORD]


def _write_archive(out: pathlib.Path, name: str, good: list[tuple[OldTrial, Record]], as_numbers: bool) -> None:
    """Write the trials of an old archive into one of today; leave a file of that name as it is."""
    path = out / f"{name}{number_tables.END if as_numbers else archive.END}"
    if path.exists():
        raise UsageError(f"{path}: expected no such file yet, got one; nothing is overwritten: name another --results")
    out.mkdir(parents=True, exist_ok=True)
    if as_numbers:
        number_tables.write_numbers(path, {record.trial_id: (record, _scores(trial)) for trial, record in good})
        return
    contents = {}
    for trial, record in good:
        contents[record.trial_id] = (trial.contents or {}) | {"record.json": record.to_text().encode()}
    archive.write_archive(path, contents)


def _scores(trial: OldTrial) -> dict[str, Any]:
    """Return the scores of an archived trial by protocol."""
    found = {}
    for name, content in (trial.contents or {}).items():
        if name.startswith("scores/"):
            found[pathlib.PurePosixPath(name).stem] = parse_scores(content, f"{trial.trial_id}, {name}")
    return found
