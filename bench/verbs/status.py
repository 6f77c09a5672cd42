"""`status`: what is running now, seen from a second terminal."""

from __future__ import annotations

import argparse
import json
from typing import Any

from bench import store
from bench.verbs.places import add_results

HELP = "say what is running now, and what is done"
EXAMPLE = "python -m bench status"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `status`."""
    add_results(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def main(args: argparse.Namespace) -> int:
    """Prints; 0 whether anything runs or not."""
    trials = store.open(args.results)
    num_finished = sum(record.status == "finished" for record in trials.records())
    counts = {"num_finished": num_finished, "num_failed": len(trials.ids()) - num_finished}
    status = trials.read_status()
    if args.json:
        print(json.dumps({"stored": counts, "set_aside": trials.set_aside, "running": status}, indent=1))
        return 0
    print(f"stored in {args.results}: {num_finished} finished, {counts['num_failed']} failed")
    for name in trials.set_aside:
        print(f"set aside, it did not parse: {name}")
    print("\n".join(_described(status)))
    return 0


def _described(status: dict[str, Any] | None) -> list[str]:
    """What a driver last said of itself, in lines."""
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
    return f": {status['num_done']} of {status['num_trials']} trials done{failed}{left}"
