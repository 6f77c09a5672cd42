"""Adds up what a study cost: seconds and memory of each arm, hours of each device, and money at a price.

A pack's seconds are shared among its trials, so that they add up to the time that the devices were busy. What a trial
continues is counted once. A CPU counts as many devices as it had workers.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bench.counted_nouns import format_count
from bench.report.tables.cells import DASH, TableCell, amount_cell
from bench.report.tables.grids import TableGrid
from bench.storage.record import Record
from bench.storage.timings import own_seconds
from bench.suites.suite import TrialSlot

HOW_TIMED = (
    "s/trial is all that a trial needs: data, compilation (charged to the first pack of each program), steps, "
    "rendering and scoring, those of a trial that it continues too; training s/trial, as in the figure of cost, is "
    "steps alone. The time at the head of a page adds up all workers, and counts once what several trials share. Times "
    "are wall-clock times: compare them only at equal device, pack size and machine load."
)

COST_COLUMNS = ("s/trial", "training s/trial", "MiB/trial", "parameters", "trained at once", "device")


class ArmCost(NamedTuple):
    """Costs of an arm's finished trials; texts hold a range where trials differ.

    Attributes:
        arm: Label of the arm.
        wall_s: Mean seconds of a trial, all in all: s/trial, wherever it is printed.
        train_s: Mean seconds of its steps alone: training s/trial.
        num_parameters: Number of trained parameters.
        device: Devices that the trials ran on.
        pack_size: Number of trials that were trained at once: they share seconds and memory.
        memory_mib: Mean MiB of device memory a trial, while it is trained; None where no record holds it.
    """

    arm: str
    wall_s: float | None
    train_s: float | None
    num_parameters: str
    device: str
    pack_size: str
    memory_mib: float | None


def costs_by_arm(cells: Sequence[TrialSlot], by_id: Mapping[str, Record]) -> list[ArmCost]:
    """Add up the costs of every arm, in the order of their places.

    Args:
        cells: Places of trials in tables.
        by_id: Records by trial; failed ones, and those that are missing, are left out.
    """
    costs = []
    for arm in dict.fromkeys(cell.arm for cell in cells):
        trial_ids = dict.fromkeys(cell.trial_id for cell in cells if cell.arm == arm)
        records = [by_id[trial_id] for trial_id in trial_ids if trial_id in by_id]
        costs.append(cost_of_arm(arm, [record for record in records if record.status == "finished"]))
    return costs


def cost_of_arm(arm: str, records: Sequence[Record]) -> ArmCost:
    """Add up the costs of one arm.

    Args:
        arm: Label of the arm.
        records: Records of its finished trials.
    """
    trained = [record for record in records if record.num_parameters]
    devices = {str(record.environment["device"]) for record in records if record.environment.get("device")}
    memory_mib = [
        record.memory_bytes / max(record.pack_size, 1) / 2**20 for record in records if record.memory_bytes is not None
    ]
    num_parameters = format_range([record.num_parameters for record in trained])
    pack_size = format_range([record.pack_size for record in trained])
    return ArmCost(
        arm=arm,
        wall_s=mean_seconds(records, "wall_s"),
        train_s=mean_seconds(records, "train_s"),
        num_parameters=num_parameters,
        device=", ".join(sorted(devices)),
        pack_size=pack_size,
        memory_mib=float(np.mean(memory_mib)) if memory_mib else None,
    )


def mean_seconds(records: Sequence[Record], phase: str) -> float | None:
    """Average the seconds of a phase over the records that know them; None where none does."""
    seconds = [record.timings[phase] for record in records if phase in record.timings]
    known = [value for value in seconds if not math.isnan(value)]
    return float(np.mean(known)) if known else None


def format_range(numbers: Sequence[int]) -> str:
    """Write a number, or the range of several; empty for none.

    Example:
        >>> format_range([4, 4]), format_range([4, 24]), format_range([])
        ('4', '4-24', '')
    """
    if not numbers:
        return ""
    low = min(numbers)
    high = max(numbers)
    return str(low) if low == high else f"{low}-{high}"


def cost_grid(costs: Sequence[ArmCost], heading: str = "arm") -> TableGrid:
    """Lay out costs, an arm a row.

    Args:
        costs: Costs by arm.
        heading: Heading of the first column.
    """
    rows = []
    for cost in costs:
        amounts = (amount_cell(cost.wall_s), amount_cell(cost.train_s), amount_cell(cost.memory_mib))
        texts = (cost.num_parameters, cost.pack_size, cost.device)
        rows.append((TableCell(cost.arm), *amounts, *(TableCell(text or DASH) for text in texts)))
    return TableGrid((heading, *COST_COLUMNS), tuple(rows), left=(0, 6))


class DevicePrice(NamedTuple):
    """Price of an hour of a device.

    Attributes:
        per_hour: Price of an hour of each device, whichever it is.
        currency: Name or sign of the currency.
    """

    per_hour: float
    currency: str = "USD"

    def format_cost(self, hours: float) -> str:
        """Write the price of so many hours, with two digits that count where it is less than one.

        Example:
            >>> price = DevicePrice(2.5)
            >>> price.format_cost(3.0), price.format_cost(0.01), price.format_cost(0.0)
            ('7.50 USD', '0.025 USD', '0.00 USD')
            >>> DevicePrice(1000.0, "EUR").format_cost(1234.0)
            '1,234,000.00 EUR'
        """
        money = hours * self.per_hour
        digits = 2 if money == 0 or money >= 1 else 1 - math.floor(math.log10(money))
        return f"{money:,.{digits}f} {self.currency}"


def cost_rows(records: Sequence[Record], price: DevicePrice | None = None) -> list[tuple[str, str]]:
    """List device-hours by device, and with a price the money, in all and a trial, each under a name.

    Args:
        records: Records of the trials; those without a known time, or without a device, are counted and left out.
        price: Price of an hour; None for hours only.
    """
    hours = hours_by_device(records)
    if not hours:
        return []
    num_timed = sum(len(of_device) for of_device in hours.values())
    parts = [
        f"{format_hours(sum(of_device))} on {device} ({format_count(len(of_device), 'trial')})"
        for device, of_device in hours.items()
    ]
    text = " | ".join(parts)
    if num_timed < len(records):
        text += f". {format_count(len(records) - num_timed, 'trial')} left no time."
    rows = [("device-hours", text)]
    if price is not None:
        rows.append(("price", describe_price(hours, price)))
    return rows


def hours_by_device(records: Sequence[Record]) -> dict[str, list[float]]:
    """List the device-hours of each trial, by device in alphabetical order."""
    hours: dict[str, list[float]] = defaultdict(list)
    for record in records:
        seconds = own_seconds(record.timings)
        device = record.environment.get("device")
        if device is not None and math.isfinite(seconds):
            num_devices = int(record.environment.get("num_devices", 1))
            hours[str(device)].append(seconds * num_devices / 3600)
    return dict(sorted(hours.items()))


def describe_price(hours: Mapping[str, Sequence[float]], price: DevicePrice) -> str:
    """Say what the trials cost on each device, and in all where there are several."""
    parts = [
        f"{price.format_cost(sum(of_device))} on {device}, {price.format_cost(sum(of_device) / len(of_device))} a trial"
        for device, of_device in hours.items()
    ]
    if len(hours) > 1:
        total = sum(sum(of_device) for of_device in hours.values())
        num_timed = sum(len(of_device) for of_device in hours.values())
        parts.append(f"{price.format_cost(total)} in all, {price.format_cost(total / num_timed)} a trial")
    return f"{' | '.join(parts)}, at {price.per_hour:g} {price.currency} an hour of a device"


def format_hours(hours: float) -> str:
    """Write hours with digits that count.

    Example:
        >>> format_hours(12.345), format_hours(0.4321), format_hours(0.000123)
        ('12.3 h', '0.43 h', '0.00012 h')
    """
    if hours >= 1:
        return f"{hours:,.1f} h"
    digits = 2 if hours <= 0 else max(2, 1 - math.floor(math.log10(hours)))
    return f"{hours:.{digits}f} h"
