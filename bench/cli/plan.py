"""`plan`: what `run` would do: trials, packs, how each arm differs from its baseline, and how long it will take."""

from __future__ import annotations

import argparse
import json
import sys

from rich.console import Console
from rich.table import Table as Printed

from bench.cli import suite_options
from bench.storage.store import Store
from bench.suites import selection
from bench.suites.suite import Table
from bench.training import devices, packing, run_suite
from bench.training.progress import format_seconds

HELP = "say what run would do: trials, packs, arms' differences, time"
EXAMPLE = "python -m bench plan --suite ablations --budget standard"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `plan`."""
    suite_options.add_selection(parser)
    parser.add_argument("--no-pilot", action="store_true", help="do not compile and time a few steps of each program")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="workers to plan for (default: accelerators, else cores)"
    )
    parser.add_argument("--pack-size", type=int, metavar="N", help="trials trained at once by one program")
    parser.add_argument(
        "--shapes", action="store_true", help="trace every variant at full size instead: no steps, no encoders' weights"
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def main(args: argparse.Namespace) -> int:
    """Prints the plan."""
    chosen = suite_options.selection(args)
    trials_store = Store.open(args.results)
    missing = [trial for trial in chosen.trials if not trials_store.finished(trial.id)]
    packs = run_suite.TrainingOptions(pack_size=args.pack_size).make_packs(missing)
    num_workers = args.workers or devices.num_accelerators() or devices.num_cores()
    if args.shapes:
        print_shapes(Console(), packs)
        return 0
    costs = {} if args.no_pilot or not packs else pilots(packs)
    left_s = packing.estimate_seconds(packs, costs, num_workers) if costs else None
    if args.json:
        print(json.dumps(as_json(chosen, packs, costs, left_s), indent=1))
        return 0
    console = Console()
    for table in chosen.tables:
        print_arms(console, table)
    print_packs(console, packs, costs)
    console.print(
        f"{len(chosen.trials)} trials at budget {chosen.budget.name}, "
        f"{len(chosen.trials) - len(missing)} of them finished"
    )
    if left_s is not None:
        console.print(
            f"about {format_seconds(left_s)} on {num_workers} workers of this kind, from a pilot of each program"
        )
    return 0


def print_shapes(console: Console, packs: list[packing.Pack]) -> None:
    """A line a variant and shape of task: what it would train, traced at full size."""
    from bench.training import dry_run

    run_suite.prepare_data([trial for pack in packs for trial in pack.trials])
    printed = Printed(title="shapes", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name, justify in (("variant", "left"), ("views", "right"), ("pixels", "right"), ("steps", "right"),
                          ("parameters", "right"), ("of encoders", "right"), ("MiB a trial", "right")):  # fmt: skip
        printed.add_column(name, justify=justify)  # type: ignore[arg-type]
    trials = {(trial.variant, trial.task.layout()): trial for pack in reversed(packs) for trial in pack.trials}
    for (variant, layout), trial in sorted(trials.items()):
        found = dry_run.trace_trial(trial)
        printed.add_row(
            variant, str(layout.num_train), f"{layout.width} x {layout.height}", f"{trial.method.total_steps:,}",
            f"{found.num_parameters:,}", f"{found.num_encoder_parameters:,}", f"{found.num_state_bytes / 2**20:.1f}",
        )  # fmt: skip
    console.print(printed)


def pilots(packs: list[packing.Pack]) -> dict[str, packing.ProgramCost]:
    """Compiles each program and times a few of its steps."""
    from bench.training import programs

    run_suite.prepare_data([trial for pack in packs for trial in pack.trials])
    first = {pack.key: pack for pack in reversed(packs)}
    print(f"compiling and timing {len(first)} programs; --no-pilot leaves that out", file=sys.stderr, flush=True)
    return {key: programs.run_pilot(pack) for key, pack in first.items()}


def print_arms(console: Console, table: Table) -> None:
    """A line an arm: how it differs from the baseline."""
    printed = Printed(title=f"{table.name}: {table.question}", title_justify="left", box=None, padding=(0, 2, 0, 0))
    printed.add_column("arm")
    printed.add_column(f"differs from {table.baseline} in")
    for name in table.arms:
        found, own = table.said_differences(name)
        changed = [f"{field}: {other} → {value}" for field, (value, other) in found.items()]
        said = ", ".join([*changed, *(f"{field}: {value}" for field, value in own.items())])
        printed.add_row(name, "the baseline" if name == table.baseline else said)
    console.print(printed)


def print_packs(console: Console, packs: list[packing.Pack], costs: dict[str, packing.ProgramCost]) -> None:
    """A line a program: its packs, and what the pilot measured."""
    printed = Printed(title="programs", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name, justify in (("program", "left"), ("packs", "right"), ("trials", "right"), ("steps", "right"),
                          ("compile", "right"), ("ms a trial and step", "right")):  # fmt: skip
        printed.add_column(name, justify=justify)  # type: ignore[arg-type]
    for key in dict.fromkeys(pack.key for pack in packs):
        mine = [pack for pack in packs if pack.key == key]
        cost = costs.get(key)
        measured = (f"{cost.compile_s:.1f} s", f"{1e3 * cost.step_s:.2f}") if cost else ("", "")
        num_trials = sum(len(pack.trials) for pack in mine)
        steps = str(max(trial.method.total_steps for trial in mine[0].trials))
        printed.add_row(
            key,
            str(len(mine)),
            str(num_trials),
            steps,
            *measured,
        )
    console.print(printed)


def as_json(
    chosen: selection.Selection,
    packs: list[packing.Pack],
    costs: dict[str, packing.ProgramCost],
    left_s: float | None,
) -> dict[str, object]:
    """The plan as one JSON value."""
    return {
        "suite": chosen.suite.name,
        "budget": chosen.budget.name,
        "trials": [trial.id for trial in chosen.trials],
        "packs": [{"key": pack.key, "trials": [trial.id for trial in pack.trials]} for pack in packs],
        "differences": {
            table.name: {arm: {k: list(v) for k, v in table.arm_differences(arm).items()} for arm in table.arms}
            for table in chosen.tables
        },
        "costs": {key: cost._asdict() for key, cost in costs.items()},
        "left_s": left_s,
    }
