"""What a study cost: seconds and memory of each arm, hours of each device, and money where somebody names a price.

A pack's seconds are shared among its trials, so that they add up to what the devices were busy. What a trial continues
is counted once; a CPU is as many devices as it had workers.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bench.report.tables import contents
from bench.report.tables.contents import TableGrid, counted
from bench.storage.record import Record
from bench.storage.timings import own_seconds
from bench.suites.suite import TrialSlot

HOW_TIMED = (
    "s/trial holds compiling, which the first pack of a program bears for others; seconds are as they were where each "
    "ran, whatever ran beside: to be compared at equal device, packs and load"
)


class ArmCost(NamedTuple):
    """What an arm's finished trials took; texts hold a range where trials differ.

    Attributes:
        arm: Its label.
        wall_s: Mean seconds of a trial, all in all.
        train_s: Mean seconds of it that were spent on its steps.
        num_parameters: Trained numbers.
        device: What they ran on.
        pack_size: How many were trained at once: seconds and memory are shared among them.
        memory_mib: Mean MiB of device memory a trial, while it is trained; None where no record holds it.
    """

    arm: str
    wall_s: float | None
    train_s: float | None
    num_parameters: str
    device: str
    pack_size: str
    memory_mib: float | None


def of_arms(cells: Sequence[TrialSlot], by_id: Mapping[str, Record]) -> list[ArmCost]:
    """What every arm took, in the order of their places. It compares only where device and pack size are the same.

    Args:
        cells: Places of trials in tables.
        by_id: Records by trial; failed ones, and those that are missing, are left out.
    """
    found = []
    for arm in dict.fromkeys(cell.arm for cell in cells):
        ids = dict.fromkeys(cell.trial_id for cell in cells if cell.arm == arm)
        records = [record for trial_id in ids if (record := by_id.get(trial_id)) and record.status == "finished"]
        wall_s, train_s = (
            [s for record in records if (s := record.timings.get(lap, math.nan)) == s] for lap in ("wall_s", "train_s")
        )
        shares = [r.memory_bytes / max(r.pack_size, 1) / 2**20 for r in records if r.memory_bytes is not None]
        found.append(
            ArmCost(
                arm=arm,
                wall_s=float(np.mean(wall_s)) if wall_s else None,
                train_s=float(np.mean(train_s)) if train_s else None,
                num_parameters=span([record.num_parameters for record in records if record.num_parameters]),
                device=", ".join(sorted({str(d) for r in records if (d := r.environment.get("device"))})),
                pack_size=span([record.pack_size for record in records if record.num_parameters]),
                memory_mib=float(np.mean(shares)) if shares else None,
            )
        )
    return found


def span(numbers: Sequence[int]) -> str:
    """A number, or the range of several; empty for none.

    Example:
        >>> span([4, 4]), span([4, 24]), span([])
        ('4', '4-24', '')
    """
    low, high = (str(f(numbers)) if numbers else "" for f in (min, max))
    return low if low == high else f"{low}-{high}"


def grid(costs: Sequence[ArmCost], heading: str = "arm") -> TableGrid:
    """A row an arm."""
    rows = [
        (
            contents.TableCell(cost.arm),
            contents.three_digits(cost.wall_s),
            contents.three_digits(cost.train_s),
            contents.three_digits(cost.memory_mib),
            contents.TableCell(cost.num_parameters or contents.DASH),
            contents.TableCell(cost.pack_size or contents.DASH),
            contents.TableCell(cost.device or contents.DASH),
        )
        for cost in costs
    ]
    header = (heading, "s/trial", "to train", "MiB/trial", "parameters", "trained at once", "device")
    return TableGrid(header, tuple(rows), left=(0, 6))


class DevicePrice(NamedTuple):
    """What an hour of a device costs.

    Attributes:
        per_hour: Of each device, whichever it is.
        currency: How it is called.
    """

    per_hour: float
    currency: str = "USD"

    def of(self, hours: float) -> str:
        """What so many hours cost, with two digits that count where it is less than one.

        Example:
            >>> price = DevicePrice(2.5)
            >>> price.of(3.0), price.of(0.01), price.of(0.0), DevicePrice(1000.0, "EUR").of(1234.0)
            ('7.50 USD', '0.025 USD', '0.00 USD', '1,234,000.00 EUR')
        """
        money = hours * self.per_hour
        digits = 2 if money == 0 or money >= 1 else 1 - math.floor(math.log10(money))
        return f"{money:,.{digits}f} {self.currency}"


def rows(records: Sequence[Record], price: DevicePrice | None = None) -> list[tuple[str, str]]:
    """Rows of a report's provenance: device-hours by device, and with a price the money, in all and a trial.

    Args:
        records: Of the trials; those without a known time, or without a device, are counted and left out.
        price: None for hours only.
    """
    hours: dict[str, list[float]] = defaultdict(list)
    for record in records:
        seconds, device = own_seconds(record.timings), record.environment.get("device")
        if device is not None and math.isfinite(seconds):
            hours[str(device)].append(seconds * int(record.environment.get("num_devices", 1)) / 3600)
    if not hours:
        return []
    num_timed = sum(map(len, hours.values()))
    few = f"; {counted(len(records) - num_timed, 'trial')} left no time" if num_timed < len(records) else ""
    told = [f"{hours_text(sum(of))} on {device} ({counted(len(of), 'trial')})" for device, of in sorted(hours.items())]
    found = [("device-hours", " | ".join(told) + few)]
    if price is not None:
        each = [
            f"{price.of(sum(of))} on {device}, {price.of(sum(of) / len(of))} a trial"
            for device, of in sorted(hours.items())
        ]
        rate = f"at {price.per_hour:g} {price.currency} an hour of a device"
        total = sum(sum(of) for of in hours.values())
        whole = [f"{price.of(total)} in all, {price.of(total / num_timed)} a trial"] if len(each) > 1 else []
        found.append(("price", f"{' | '.join([*each, *whole])}, {rate}"))
    return found


def hours_text(hours: float) -> str:
    """Hours with digits that count.

    Example:
        >>> hours_text(12.345), hours_text(0.4321), hours_text(0.000123)
        ('12.3 h', '0.43 h', '0.00012 h')
    """
    if hours >= 1:
        return f"{hours:,.1f} h"
    digits = 2 if hours <= 0 else max(2, 1 - math.floor(math.log10(hours)))
    return f"{hours:.{digits}f} h"
