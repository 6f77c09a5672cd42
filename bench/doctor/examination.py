"""Examines an install: all checks in their order, the quick ones first, and the stamp that sums them up."""

from __future__ import annotations

import datetime
import hashlib
import json
import pathlib
import tempfile
from collections.abc import Iterable, Iterator

from bench.doctor import machine_checks, package_checks, ray_checks
from bench.doctor.check import Check, Section, verdict
from bench.storage import environment
from bench.storage.doctor_stamp import Stamp
from tasks.data_dir import location


def examine(results: pathlib.Path, address: str | None = None, *, is_quick: bool = False) -> Iterator[Section]:
    """Yield the sections of an examination as they are done.

    Args:
        results: Folder of trials.
        address: Ray cluster to ask; None starts Ray here.
        is_quick: Whether to leave out what takes long: most encoders, LPIPS, training, Ray.
    """
    folders = {"results": results, "cache": location.folder(), "temporary": pathlib.Path(tempfile.gettempdir())}
    yield Section("folders", machine_checks.check_folders(folders))
    yield Section("packages", package_checks.check_packages())
    yield from _examine_results(is_quick)
    yield Section("Ray", ray_checks.check_ray_import() if is_quick else ray_checks.check_ray(address))
    from bench.doctor import store_checks

    yield Section("trials", store_checks.check_trials(results, is_quick=is_quick))


def _examine_results(is_quick: bool) -> Iterator[Section]:
    """Examine what is computed here: devices, products, golden values, determinism."""
    from bench.doctor import determinism, golden_checks, product_checks
    from bench.doctor.golden_values import read_golden
    from bench.doctor.probes.all_probes import list_probes
    from bench.training import devices

    devices.use_compilation_cache()
    yield Section("devices", [*machine_checks.check_devices(), *product_checks.check_products()])
    probes = [probe for probe in list_probes() if probe.is_quick or not is_quick]
    if not is_quick:
        yield Section("determinism", determinism.check_determinism())
    yield Section("golden values", golden_checks.check_probes(probes, read_golden()))


def make_stamp(sections: Iterable[Section], *, is_quick: bool) -> Stamp:
    """Sum an examination up; equal findings on equal versions have equal digests."""
    checks: list[Check] = [check for section in sections for check in section.checks]
    packages = environment.installed_packages()
    told = [packages, [(check.status, check.what, check.expected) for check in checks]]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:8]
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return Stamp(digest, verdict(checks), today, is_quick, packages)
