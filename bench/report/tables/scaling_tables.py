"""Prints how training scales: a line for each measurement, with the parts of the slowest worker's time."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table as PrintedTable

from bench.training.scaling import Measurement, efficiency, warm_efficiency
from bench.training.worker_times import PARTS

WIDTH = 110
"""Least width of the table, in characters."""


def print_measurements(measurements: Sequence[Measurement]) -> None:
    """Print measurements; those of fewest devices are what the others are compared with."""
    if not measurements:
        return
    one = min(measurements, key=lambda found: found.num_devices)
    console = Console(width=max(WIDTH, Console().width))
    title = f"{one.num_trials} trials on {one.device or 'unknown devices'}; right: seconds of the slowest worker"
    printed = PrintedTable(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    printed.add_column("devices", no_wrap=True)
    for name in ("wall s", "efficiency", "warm", *PARTS):
        printed.add_column(name, justify="right", no_wrap=True)
    for found in measurements:
        shares = (f"{100 * efficiency(one, found):.0f}%", f"{100 * warm_efficiency(one, found):.0f}%")
        parts = [f"{found.slowest.seconds[part]:.1f}" for part in PARTS]
        printed.add_row(f"{found.num_devices} {found.executor}", f"{found.wall_s:.1f}", *shares, *parts)
    console.print(printed)
    console.print("warm: without starting and compiling, which a long study does once", soft_wrap=True)
