"""What several verbs ask for: a suite at a budget, and its trials."""

from __future__ import annotations

import argparse
import shlex

from bench.cli.common_options import add_results
from bench.suites import overrides, registry
from bench.suites.selection import Selection, SelectionOptions, select_trials
from bench.suites.suite import budget_named
from bench.training import devices
from tasks.budgets import BUDGETS, Budget


def add_selection(parser: argparse.ArgumentParser, suite: str | None = None) -> None:
    """Options that choose trials; `--suite` must be given where none is the default."""
    usual = f" (default: {suite})" if suite else ""
    parser.add_argument(
        "--suite", required=suite is None, default=suite, metavar="NAME",
        help=f"one of {', '.join(registry.SUITES)}{usual}",
    )  # fmt: skip
    parser.add_argument(
        "--budget",
        metavar="NAME",
        help=f"size of everything: {', '.join(BUDGETS)} (default: standard on an accelerator, else quick)",
    )
    parser.add_argument("--seeds", metavar="0-4", help="seeds, instead of the suite's")
    parser.add_argument(
        "--only", action="append", default=[], metavar="KEY=VALUE",
        help=f"trials of one {', '.join(overrides.KEYS)}; KEY=A,B of either; given twice, of both at once",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", default=[], metavar="HEAD.FIELD=VALUE", dest="settings",
        help="change a field of a variant, of `task` or of `budget`: nerf.num_rays=512",
    )  # fmt: skip
    add_results(parser)


def selection(args: argparse.Namespace) -> Selection:
    """The trials that the command line asks for.

    Raises:
        UsageError: An unknown suite, budget, arm, scene, key or value.
    """
    options = SelectionOptions(
        suite=args.suite,
        budget=chosen_budget(args),
        seeds=args.seeds,
        only=tuple(args.only),
        settings=tuple(args.settings),
    )
    return select_trials(options)


def chosen_budget(args: argparse.Namespace) -> Budget:
    """The budget that is asked for, or the one that suits this machine."""
    return budget_named(args.budget or ("standard" if devices.num_accelerators() else "quick"))


def command_line(verb: str, args: argparse.Namespace) -> str:
    """The command that makes this again, without where results lie."""
    words = [f"python -m bench {verb}", f"--suite {args.suite}"]
    words += [f"--{name} {getattr(args, name)}" for name in ("budget", "seeds") if getattr(args, name)]
    words += [f"--only {shlex.quote(condition)}" for condition in args.only]
    words += [f"--set {shlex.quote(setting)}" for setting in args.settings]
    return " ".join(words)
