"""Asks Ray for a sign of life: it is imported, a local one starts and answers, or the one at an address does.

Ray is asked in a process of its own, which is given so many seconds and no more: a cluster that hangs must not hang
the doctor.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time

from bench.doctor.check import Check
from bench.import_paths import ROOT

LIMIT_S = 45.0

SCRIPT = """
import contextlib, json, sys
sys.path.insert(0, sys.argv[2])
from bench.errors import UsageError
from bench.training import cluster_token
try:
    if sys.argv[1]:
        cluster_token.choose_token_mode(sys.argv[1])  # before Ray is imported
    from bench.training import ray_connection
    ray = ray_connection.ray
    with contextlib.redirect_stdout(sys.stderr), ray_connection.connect_ray(sys.argv[1] or None):
        answer = ray.get(ray.remote(lambda: 6 * 7).remote(), timeout=float(sys.argv[3]))
        told = {"answer": answer, "version": ray.__version__, "resources": ray.cluster_resources()}
except Exception as error:
    told = {"error": str(error) if isinstance(error, UsageError) else f"{type(error).__name__}: {error}"}
print(json.dumps(told))
"""
"""Starts or joins Ray as a run does, and lets a worker compute."""


def check_ray_import() -> list[Check]:
    """Say whether Ray is installed, without starting it."""
    if importlib.util.find_spec("ray") is None:
        return [
            Check("warn", "ray", "not installed", "installed", "runs train one pack after the other: pip install ray")
        ]
    return [Check("ok", "ray", "installed", "", "not started: --quick")]


def check_ray(address: str | None = None, limit_s: float = LIMIT_S) -> list[Check]:
    """Start Ray on this host, or join a cluster, and let one of its workers compute.

    Args:
        address: Of a cluster; None starts Ray here, and ends it again.
        limit_s: Seconds after which Ray counts as dead.
    """
    if importlib.util.find_spec("ray") is None:
        return check_ray_import()
    what = f"ray at {address}" if address else "ray, started here"
    begun = time.monotonic()
    words = [sys.executable, "-c", SCRIPT, address or "", str(ROOT), str(limit_s)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return [Check("FAIL", what, f"no answer in {limit_s:.0f} s", "an answer", "try --executor inline")]
    taken_s = time.monotonic() - begun
    try:
        told = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        return [
            Check("FAIL", what, f"ended with {done.returncode}: {last[:200]}", "an answer", "try --executor inline")
        ]
    return [read_answer(what, told, taken_s)]


def read_answer(what: str, told: dict, taken_s: float) -> Check:
    """Read what Ray's process told."""
    if told.get("answer") != 42:
        reason = " ".join(str(told.get("error", told)).split())[:300]
        return Check("FAIL", what, reason, "an answer", "try --executor inline")
    resources = told["resources"]
    num_gpus = resources.get("GPU", 0)
    accelerators = f", {num_gpus:.0f} GPUs" if num_gpus else ""
    measured = f"Ray {told['version']} answers after {taken_s:.1f} s: {resources.get('CPU', 0):.0f} cores{accelerators}"
    return Check("ok", what, measured, f"an answer within {LIMIT_S:.0f} s")
