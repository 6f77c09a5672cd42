"""`status`: what is running now, seen from a second terminal."""

from __future__ import annotations

import argparse
import pathlib
import sys
import time
from collections.abc import Collection
from typing import Any

from bench.cli import common_options
from bench.cli.common_options import add_json, add_results, existing, to_json_text
from bench.errors import UsageError, escape_controls
from bench.storage import folder_changes
from bench.storage.checkpoint_files import CheckpointFolder
from bench.storage.store import Store
from bench.storage.trial_reader import describe_damage

HELP = "say what is running now, and what is done"
EXAMPLE = "python -m bench status --watch"

EVERY_S = 2.0
"""Seconds from one look to the next, if nobody says others."""

ALWAYS_NEW = ("heartbeat", "silent_s", "left_s")
"""Fields of a status that change though nothing has happened."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `status`."""
    add_results(parser)
    parser.add_argument("--watch", action="store_true", help="look again and again until nothing runs any more")
    common_options.add_every(parser, "--watch", EVERY_S)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Print; 0 whether anything runs or not."""
    every_s = common_options.every_s(args, "--watch", EVERY_S)
    if args.watch and args.json:
        raise UsageError("--watch: expected no --json beside it, got both; leave one of them out")
    if args.watch:
        try:
            watch(args.results, every_s)
        except KeyboardInterrupt:  # how one leaves it
            return 0
        return 0
    trials = Store.open(existing(args.results))
    status = trials.read_status()
    if args.json:
        told = {
            "stored": counts(trials),
            "set_aside": trials.set_aside,
            "left_out": trials.left_out,
            "begun": begun_trials(trials),
        }
        print(to_json_text(told | {"running": status}))
        return 0
    print(escape_controls("\n".join([*describe_store(trials), *_described(status)])))
    return 0


def watch(results: pathlib.Path, every_s: float) -> None:
    """Show it again and again until nothing runs: in place in a terminal, in a log whenever something has happened.

    Args:
        results: The store; it is read again only when something new lies there.
        every_s: Seconds from one look to the next.
    """
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console()
    live = Live(console=console, auto_refresh=False) if console.is_terminal and sys.stdout.isatty() else None
    trials = Store.open(results)
    seen: Any = None
    before: Any = None
    if live:
        live.start()
    try:
        while True:
            status = trials.read_status()  # before the trials: a driver clears it when they are stored
            times = folder_changes.modification_times(results)
            if times != seen:
                trials = Store.open(results)
                seen = times
            running = {name: value for name, value in (status or {}).items() if name not in ALWAYS_NEW}
            stored = describe_store(trials)
            now = (running, stored)
            lines = escape_controls("\n".join([*stored, *_described(status)]))
            if live:
                live.update(Text(lines), refresh=True)
            elif now != before:
                print(lines, flush=True)
            before = now
            if status is None or not status["alive"]:
                return
            time.sleep(every_s)
    finally:
        if live:
            live.stop()


def counts(trials: Store) -> dict[str, int]:
    """Count the trials that are stored."""
    num_finished = sum(record.status == "finished" for record in trials.records())
    return {"num_finished": num_finished, "num_failed": len(trials.ids()) - num_finished}


def describe_store(trials: Store) -> list[str]:
    """Describe in lines what is stored."""
    stored = counts(trials)
    first = f"stored in {trials.root}: {stored['num_finished']} finished, {stored['num_failed']} failed"
    return [first, *describe_damage(trials), *describe_begun(trials)]


def begun_trials(trials: Store) -> dict[str, dict[str, Any]]:
    """Return how far the trials have come that have a checkpoint and are not stored, by their id."""
    begun: dict[str, dict[str, Any]] = {}
    for head in CheckpointFolder.open(trials.root).heads.values():
        for trial_id, num_steps in head.trials.items():
            is_further = head.step > begun.get(trial_id, {"step": -1})["step"]
            if not trials.finished(trial_id) and is_further:
                seconds = sum(head.seconds.values())
                begun[trial_id] = {"step": head.step, "num_steps": num_steps, "seconds": seconds}
    return dict(sorted(begun.items()))


def describe_begun(trials: Store, only: Collection[str] | None = None) -> list[str]:
    """Describe in lines the trials that are trained in part: all, or only some."""
    begun = {name: found for name, found in begun_trials(trials).items() if only is None or name in only}
    lines = [f"  {found['step']}/{found['num_steps']} steps: {name}" for name, found in begun.items()]
    return [f"trained in part: {len(lines)}", *lines] if lines else []


def _described(status: dict[str, Any] | None) -> list[str]:
    """Describe in lines what a driver last said of itself."""
    if status is None:
        return ["nothing is running"]
    done = _progress_line(status)
    if not status["alive"]:
        return [
            f"nothing is running: the run in process {status['pid']} ended without saying so "
            f"{status['silent_s']:.0f} s ago{done}",
            "the same command again continues it",
        ]
    lines = [f"running in process {status['pid']}, last heard of {status['silent_s']:.0f} s ago{done}"]
    for pack in status.get("running", []):
        loss = "" if pack.get("loss") is None else f", loss {pack['loss']:.4f}"
        first, *others = pack["trial_ids"]
        more = f" and {len(others)} more" if others else ""
        lines.append(f"  {pack['phase']:8} {pack['step']}/{pack['num_steps']}{loss}: {first}{more}")
    return lines


def _progress_line(status: dict[str, Any]) -> str:
    if "num_trials" not in status:
        return ""
    failed = f", {status['num_failed']} failed" if status.get("num_failed") else ""
    left = "" if status.get("left_s") is None else f", about {status['left_s'] / 60:.0f} min to go"
    policy = f"; {status['policy']}" if status.get("policy") else ""
    return f": {status['num_done']} of {status['num_trials']} trials done{failed}{left}{policy}"
