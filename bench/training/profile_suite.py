"""Profiles several methods at several sizes of pack, one after the other."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable

from bench.errors import OutOfDeviceMemory, UsageError, nearest
from bench.suites import overrides, registry
from bench.suites.option_syntax import parse_setting
from bench.training import device_peaks, devices
from bench.training.profiling import Profile, ProfileOptions, profile
from models.method import Method
from tasks.budgets import Budget


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProfileSuite:
    """Methods and sizes to profile.

    Attributes:
        methods: Names of methods.
        budget: Of the sizes that they leave open.
        pack_sizes: Trials that are trained at once.
        num_devices: Local devices that may train them, a profile each; None for one on all.
        steps: Steps of a timed chunk.
        traces: Whether to find where the time goes.
        settings: Changes of fields, as `--set` takes them.
    """

    methods: tuple[str, ...]
    budget: Budget
    pack_sizes: tuple[int, ...] = (1,)
    num_devices: tuple[int | None, ...] = (None,)
    steps: int = 20
    traces: bool = False
    settings: tuple[str, ...] = ()


def profile_methods(suite: ProfileSuite, report: Callable[[str, int], None] | None = None) -> list[Profile]:
    """Profile every method at every size; small packs first, so that the largest memory is the last one's.

    Args:
        suite: What to profile.
        report: Called with the name and the pack size of what is profiled next.

    Raises:
        UsageError: There is no such method or field, or a pack does not fit in the device's memory.
    """
    methods, budget = apply_settings(suite)
    peaks = device_peaks.measure_peaks()
    profiles = []
    sizes = sorted(suite.pack_sizes)
    for size, num_devices, name in itertools.product(sizes, suite.num_devices, methods):
        options = ProfileOptions(pack_size=size, num_devices=num_devices, steps=suite.steps, traces=suite.traces)
        if report is not None:
            report(name, size)
        try:
            profiles.append(profile(name, methods[name], budget, peaks, options))
        except Exception as error:
            if not devices.is_out_of_memory(error):
                raise
            raise OutOfDeviceMemory(f"{name}: {size} trials do not fit in memory; try --pack {size // 2}") from error
    return profiles


def apply_settings(suite: ProfileSuite) -> tuple[dict[str, Method], Budget]:
    """Return the methods by name, and the budget, with all settings carried out.

    Raises:
        UsageError: A setting names neither a method of the suite nor `budget`, or no field of it.
    """
    methods = {name: registry.variant(name) for name in suite.methods}
    budget = suite.budget
    for setting in suite.settings:
        head, field, text = parse_setting(setting)
        if head == "budget":
            budget = overrides.with_field(budget, field, text, setting)
        elif head in methods:
            methods[head] = overrides.with_field(methods[head], field, text, setting)
        else:
            known = sorted([*methods, "budget"])
            raise UsageError(
                f"--set {setting}: expected one of {', '.join(known)}, got {head!r}; {nearest(head, known)}"
            )
    return methods, budget
