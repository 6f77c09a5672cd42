"""Looks at a store of trials and changes nothing: what is damaged, doubtful or taken for another."""

from __future__ import annotations

import pathlib

from bench.doctor.check import Check, Status
from bench.storage.folder_changes import modification_times
from bench.storage.store_check import FindingKind, check_store

MOST_LINES = 20
"""Findings that are printed one by one; the others are counted."""

QUICK_TRIALS = 300
"""Trials of a store that `--quick` looks at: it reads some thousand small files."""

_STATUS: dict[FindingKind, Status] = {"damaged": "FAIL", "mistaken": "FAIL", "doubtful": "warn"}


def check_trials(root: pathlib.Path, *, is_quick: bool = False) -> list[Check]:
    """Check all trials of a store, with their checksums, and whether their methods can have their parameters.

    Args:
        root: Folder of the trials; it need not exist.
        is_quick: Whether to leave a large store alone.
    """
    num = len(modification_times(root))
    what = f"trials in {root}"
    if not num:
        return [Check("ok", what, "none yet")]
    if is_quick and num > QUICK_TRIALS:
        return [Check("ok", what, f"{num} folders and files", "", "not looked at: --quick")]
    from bench.training import adoption

    found = check_store(root, judge=adoption.is_doubtful)
    checks = [Check("ok", what, f"{found.num_trials} trials, {found.num_files} files equal by SHA-256")]
    if found.unchecked:
        advice = "an earlier version stored them, without checksums"
        checks.append(Check("ok", "trials without checksums", str(len(found.unchecked)), "", advice))
    checks += [Check(_STATUS[each.kind], each.kind, each.reason) for each in found.findings[:MOST_LINES]]
    if len(found.findings) > MOST_LINES:
        checks.append(Check("warn", "further findings", str(len(found.findings) - MOST_LINES), "none"))
    return checks
