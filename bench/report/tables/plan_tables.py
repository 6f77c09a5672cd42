"""Prints the plan of a run: how arms differ, the programs and their packs, and the shapes of what is trained."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table as PrintedTable
from rich.text import Text

from bench.counted_nouns import format_count
from bench.metrics.task_kinds import kind_of
from bench.report.arm_notes import imagenet_encoder_notes, list_some
from bench.report.tables.costs import DevicePrice
from bench.suites.suite import Table
from bench.suites.trial import Trial
from bench.training import dry_run, run_suite
from bench.training.packing import Pack
from bench.training.planned_cluster import PlannedDevices, PlannedTime
from bench.training.progress import format_seconds
from bench.training.run_plan import RunPlan
from tasks.sparse_views.captured.captured_scene import CapturedScene
from tasks.task import FolderScene, scene_surroundings

MOST_NAMES = 12
"""Scenes or captions that a line names."""

PROGRAM_COLUMNS = ("packs", "trials", "steps", "compile", "ms a trial and step")

SHAPE_COLUMNS = ("views", "pixels", "steps", "parameters", "of encoders", "MiB a trial")


def print_plan(plan: RunPlan) -> None:
    """Print all of a plan."""
    console = Console()
    for line in scene_lines(plan):
        console.print(Text(line), soft_wrap=True)
    for table in plan.chosen.tables:
        _print_arms(console, table)
        for note in imagenet_encoder_notes(table, plan.chosen.cells, plan.chosen.trials):
            console.print(f"note: {note}")
        for line in plan.chosen.uneven_settings(table):
            console.print(Text(f"note: {line}"), soft_wrap=True)
    left_out = plan.chosen.suite.left_out_at(plan.chosen.budget)
    if left_out:
        console.print(Text(left_out), soft_wrap=True)
    if plan.num_missing:
        _print_packs(console, plan)
    console.print(
        f"{format_count(plan.num_trials, 'trial')} at budget {plan.chosen.budget.name}, "
        f"{plan.num_trials - plan.num_missing} of them finished"
    )
    for table in plan.chosen.without_baseline:
        console.print(f"{table.name}: without {table.baseline}, its baseline: means and no differences", markup=False)
    if plan.policy.describe():
        console.print(f"failures: {plan.policy.describe()}", markup=False)
    if plan.left_s is not None:
        workers = format_count(plan.num_workers, "worker")
        console.print(f"about {format_seconds(plan.left_s)} on {workers} of this kind, from a pilot of each program")
    for line in describe_missing(plan.missing):
        console.print(Text(line), soft_wrap=True)


def describe_devices(planned: PlannedDevices, time: PlannedTime, price: DevicePrice | None) -> str:
    """Say what a run takes on devices that are not here.

    Example:
        >>> describe_devices(PlannedDevices(4, "H100"), PlannedTime(3600.0, 7200.0), DevicePrice(2.5)).split("; ")[0]
        '4 x H100: about 1 h 0 min of wall time, 4.0 device-hours (50% busy), 10.00 USD'
    """
    held_h = planned.num * time.wall_s / 3600
    share = time.busy_s / (planned.num * time.wall_s) if time.wall_s else 0.0
    cost = "" if price is None else f", {price.format_cost(held_h)}"
    return (
        f"{planned.num} x {planned.kind}: about {format_seconds(time.wall_s)} of wall time, {held_h:.1f} device-hours "
        f"({share:.0%} busy){cost}; training and compiling, no scoring"
    )


def scene_lines(plan: RunPlan) -> list[str]:
    """Name the scenes of a plan; of a user's own count the photographs and tell what is odd, in a line each."""
    tasks = {trial.task.cluster: trial.task for trial in (*plan.chosen.trials, *plan.without_data)}
    folders = {name: task for name, task in tasks.items() if isinstance(task, FolderScene)}
    lines = []
    for noun in dict.fromkeys(kind_of(task).noun for task in tasks.values()):
        names = [name for name, task in tasks.items() if kind_of(task).noun == noun and name not in folders]
        if names:
            lines.append(f"{format_count(len(names), noun)}: {list_some(names, MOST_NAMES)}")
    for name, task in folders.items():
        if name not in {trial.task.cluster for trial in plan.without_data}:
            lines += describe_folder_scene(task)
    return lines


def describe_folder_scene(task: FolderScene) -> list[str]:
    """Count the photographs of a scene in a user's folder, and tell what is odd about it."""
    extent = task.extent()
    shapes = task.layout()
    world = scene_surroundings(task)
    counts = f"{format_count(extent.num_train, 'photo')} to train on, {shapes.num_test} held out"
    absent = f", {extent.num_absent} more listed that are not there" if extent.num_absent else ""
    doubts = task.doubts() if isinstance(task, CapturedScene) else ()
    size = f"{shapes.width} x {shapes.height} px"
    return [
        f"scene {task.scene}: {counts}{absent}; trained and scored at {size}; {world}",
        *(f"scene {task.scene}: doubt: {line}" for line in doubts),
    ]


def describe_missing(missing: Sequence[str]) -> list[str]:
    """Say what must be here before a run, a line for each kind of thing.

    Example:
        >>> describe_missing(["scene: expected 'chair', got none", "scene: expected 'drums', got none", "list: none"])
        ["not here yet: scene: expected 'chair', got none (and 1 more like it)", 'not here yet: list: none']
    """
    kinds: dict[str, list[str]] = {}
    for message in missing:
        kinds.setdefault(message.partition(":")[0], []).append(message)
    lines = []
    for messages in kinds.values():
        more = f" (and {len(messages) - 1} more like it)" if len(messages) > 1 else ""
        lines.append(f"not here yet: {messages[0]}{more}")
    return lines


def print_shapes(packs: list[Pack]) -> None:
    """Print one line for each variant and shape of task: what it would train, traced at full size."""
    trials = [trial for pack in packs for trial in pack.trials]
    run_suite.prepare_data(trials)
    printed = _table("shapes", "variant", SHAPE_COLUMNS)
    of_shape = {(trial.variant, trial.task.layout()): trial for trial in reversed(trials)}
    for (variant, layout), trial in sorted(of_shape.items()):
        found = dry_run.trace_trial(trial)
        printed.add_row(
            variant,
            str(layout.num_train),
            f"{layout.width} x {layout.height}",
            f"{trial.method.total_steps:,}",
            f"{found.num_parameters:,}",
            f"{found.num_encoder_parameters:,}",
            f"{found.num_state_bytes / 2**20:.1f}",
        )
    Console().print(printed)


def _print_arms(console: Console, table: Table) -> None:
    """Print one line for each arm: how it differs from the baseline."""
    printed = _table(f"{table.name}: {table.question}", "arm")
    printed.add_column(f"differs from {table.baseline} in")
    for name in table.arms:
        found, own = table.readable_differences(name)
        changed = [f"{field}: {other} → {value}" for field, (value, other) in found.items()]
        changed += [f"{field}: {value}" for field, value in own.items()]
        printed.add_row(name, "the baseline" if name == table.baseline else ", ".join(changed))
    console.print(printed)


def _print_packs(console: Console, plan: RunPlan) -> None:
    """Print one line for each program: its packs, and what the pilot measured; then trials without data by variant."""
    packs = plan.packs
    costs = plan.costs
    printed = _table("programs", "program", PROGRAM_COLUMNS)
    packs_of: dict[str, list[Pack]] = {}
    for pack in packs:
        packs_of.setdefault(pack.key, []).append(pack)
    for key, of_program in packs_of.items():
        num_trials = sum(len(pack.trials) for pack in of_program)
        num_steps = max(trial.method.total_steps for trial in of_program[0].trials)
        cost = costs.get(key)
        measured = (f"{cost.compile_s:.1f} s", f"{1e3 * cost.step_s:.2f}") if cost else ("", "")
        printed.add_row(key, str(len(of_program)), str(num_trials), str(num_steps), *measured)
    variants: dict[str, list[Trial]] = {}
    for trial in plan.without_data:
        variants.setdefault(trial.variant, []).append(trial)
    for variant, trials in variants.items():
        steps = max(trial.method.total_steps for trial in trials)
        printed.add_row(f"{variant}, without its data", "?", str(len(trials)), str(steps), "", "")
    console.print(printed)


def _table(title: str, first_column: str, number_columns: tuple[str, ...] = ()) -> PrintedTable:
    """Make an empty table; numbers stand at the right of their columns."""
    printed = PrintedTable(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    printed.add_column(first_column, overflow="fold")  # never cut: two names may differ in their ends alone
    for name in number_columns:
        printed.add_column(name, justify="right")
    return printed
