"""Prints profiles: one line for each program, what its field is computed in, and where its time goes."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table as PrintedTable

from bench.training.profiling import Profile

COLUMNS = ("cold / warm s", "ms a step", "ms each", "Mpoints/s", "GFLOP/s", "% peak", "GiB")
"""Seconds to compile without and with a cache; a step of all trials, and its share of each; points of the field; the
rate of products, and its share of the fastest product in the same call; planned memory."""

WIDTH = 100
"""Least width of the table, in characters: in a narrower one numbers would be cut."""


def print_progress(variant: str, pack_size: int) -> None:
    """Print what is profiled next."""
    print(f"profiling {variant}, {pack_size} at once", file=sys.stderr, flush=True)


def print_profiles(profiles: list[Profile]) -> None:
    """Print all profiles as tables."""
    console = Console(width=max(WIDTH, Console().width))
    if not profiles:
        return
    first = profiles[0]
    console.print(f"{first.device}; in this call: {describe_peaks(first)}", soft_wrap=True)
    printed = PrintedTable(title=f"budget {first.budget}", title_justify="left", box=None, padding=(0, 1, 0, 0))
    printed.add_column("method x trials", no_wrap=True)
    for name in COLUMNS:
        printed.add_column(name, justify="right", no_wrap=True)
    for found in profiles:
        printed.add_row(describe_program(found), *cells(found))
    console.print(printed)
    for found in profiles:
        where = "" if found.num_devices == 1 else f" on {found.num_devices} devices"
        console.print(f"{found.variant}, {found.pack_size} at once{where}: {describe_types(found)}", soft_wrap=True)
        if found.scope_ms is not None:
            console.print(f"  ms a step: {describe_scopes(found.scope_ms)}")
    made_up = sorted({name for found in profiles for name in found.random_encoders})
    if made_up:
        console.print(f"random weights, as the files are not here: {', '.join(made_up)}")


def describe_program(found: Profile) -> str:
    """Name what is profiled: method, trials, and the devices that share them or their rays, as `nerf x1 on 4, rays`."""
    name = f"{found.variant} x{found.pack_size}"
    return name if found.num_devices == 1 else f"{name} on {found.num_devices}, {found.shared}"


def cells(found: Profile) -> list[str]:
    """Format one profile's numbers, in the order of `COLUMNS`."""
    steps_per_s = 1e3 / found.field_step_ms
    return [
        f"{found.trace_s + found.compile_cold_s:.1f} / {found.trace_s + found.compile_warm_s:.1f}",
        f"{found.step_ms:.4g}",
        f"{found.field_step_ms:.3g}",
        "" if found.points_per_step is None else f"{found.points_per_step * steps_per_s / 1e6:.3g}",
        f"{found.flops_per_s / 1e9:,.0f}",
        f"{100 * found.share_of_peak:.0f}",
        "" if found.planned_bytes is None else f"{found.planned_bytes / 2**30:.2f}",
    ]


def describe_peaks(found: Profile) -> str:
    """Say what the device reached in the same call."""
    peaks = found.peaks
    return (
        f"products of {peaks.width} x {peaks.width}: {peaks.bfloat16_product / 1e12:.3g} TFLOP/s in bfloat16, "
        f"{peaks.float32_product / 1e12:.3g} in float32; copies {peaks.copy / 1e9:.3g} GB/s"
    )


def describe_types(found: Profile) -> str:
    """Say what the field's products are computed in, and which part of the step's arithmetic each part has."""
    total = sum(found.product_types.values()) or 1.0
    types = [
        f"{100 * flops / total:.0f}% {name}" for name, flops in found.product_types.items() if flops > 0.005 * total
    ]
    all_flops = found.flops_per_step or 1.0
    scopes = [f"{name} {100 * flops / all_flops:.0f}%" for name, flops in found.flops_by_scope.items()]
    return f"field computes {', '.join(types) or 'no products'}; arithmetic: {', '.join(scopes)}"


def describe_scopes(scope_ms: dict[str, float]) -> str:
    """List parts of a step with their milliseconds."""
    return ", ".join(f"{name} {milliseconds:.3g}" for name, milliseconds in scope_ms.items())
