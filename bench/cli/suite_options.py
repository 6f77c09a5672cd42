"""Defines the options that choose a suite, a budget and trials; imports what is heavy when trials are selected."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import shlex
from typing import TYPE_CHECKING

from bench.cli.common_options import add_results
from bench.suites import option_syntax, registry
from tasks import budgets

if TYPE_CHECKING:
    from bench.suites.selection import Selection, SelectionOptions
    from bench.suites.trial import Trial


def add_selection(parser: argparse.ArgumentParser, suite: str | None = None) -> None:
    """Add the options that choose trials, and where they are stored."""
    add_trials(parser, suite)
    add_results(parser)


def add_trials(parser: argparse.ArgumentParser, suite: str | None = None) -> None:
    """Add the options that choose trials; `--suite` must be given where none is the default."""
    default_suite = f" (default: {suite})" if suite else ""
    parser.add_argument(
        "--suite",
        type=registry.check_suite_name,
        required=suite is None,
        default=suite,
        metavar="NAME",
        help=f"one of {', '.join(registry.SUITES)}{default_suite}",
    )
    add_budget(parser)
    add_scenes(parser)
    parser.add_argument("--seeds", type=seeds_text, metavar="0-4", help="seeds, instead of the suite's")
    parser.add_argument(
        "--only",
        type=condition_text,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"trials of one {', '.join(option_syntax.KEYS)}; KEY=A,B of either; given twice, of both at once",
    )
    add_settings(parser, "change a field of a variant, of `task` or of `budget`: nerf.num_rays=512")


def add_scenes(parser: argparse.ArgumentParser) -> None:
    """Add the option `--scenes`."""
    parser.add_argument(
        "--scenes",
        metavar="FOLDERS",
        help="your own photographs in place of the suite's scenes: a folder of scenes, or scene folders",
    )


def add_settings(parser: argparse.ArgumentParser, text: str) -> None:
    """Add the option `--set`, which may be given several times, with its help."""
    parser.add_argument(
        "--set",
        type=setting_text,
        action="append",
        default=[],
        metavar="HEAD.FIELD=VALUE",
        dest="settings",
        help=text,
    )


def add_budget(parser: argparse.ArgumentParser, on_accelerator: str = "standard") -> None:
    """Add the option `--budget`, with the name of its default on an accelerator."""
    parser.add_argument(
        "--budget",
        type=budget_name,
        metavar="NAME",
        help=f"size of everything: {', '.join(budgets.BUDGETS)} (default: {on_accelerator} on an accelerator, "
        "else quick)",
    )


def budget_name(text: str) -> str:
    """Check the name of a budget; UsageError names the nearest."""
    return budgets.budget_named(text).name


def seeds_text(text: str) -> str:
    """Check that `--seeds` can be read; UsageError says what it looks like."""
    option_syntax.parse_seeds(text)
    return text


def condition_text(text: str) -> str:
    """Check that a condition of `--only` can be read; UsageError names the nearest key."""
    option_syntax.parse_condition(text)
    return text


def setting_text(text: str) -> str:
    """Check that a change of `--set` can be read; UsageError says what it looks like."""
    option_syntax.parse_setting(text)
    return text


def selection(args: argparse.Namespace, *, allow_missing: bool = False) -> Selection:
    """Select the trials that the command line asks for.

    Args:
        args: The command line.
        allow_missing: Whether trials whose data is not here are listed apart, instead of an error.

    Raises:
        UsageError: An unknown arm, scene, field or value.
    """
    from bench.suites.selection import SelectionOptions, select_trials

    options = SelectionOptions(
        suite=args.suite,
        budget=chosen_budget(args),
        seeds=args.seeds,
        only=tuple(args.only),
        settings=tuple(args.settings),
        scenes=args.scenes,
    )
    if len(options.settings) > 1 and getattr(args, "results", None) is not None:
        settings = order_settings(options, args.results)
        options = dataclasses.replace(options, settings=settings)
    return select_trials(options, allow_missing=allow_missing)


def order_settings(options: SelectionOptions, results: pathlib.Path) -> tuple[str, ...]:
    """Put `--set` into the order in which its trials are stored, if they are, so that none is trained again.

    Args:
        options: What is selected.
        results: Folder of the stored trials; nothing in it is changed.
    """
    from bench.storage.store import Store
    from bench.suites.selection import select_trials
    from bench.suites.setting_order import order_as_stored

    def select(settings: tuple[str, ...]) -> list[Trial]:
        return select_trials(dataclasses.replace(options, settings=settings), allow_missing=True).trials

    def list_stored() -> frozenset[str]:
        return frozenset(Store.open(results, is_guest=True).ids())

    return order_as_stored(options.settings, select, list_stored)


def chosen_budget(args: argparse.Namespace) -> budgets.Budget:
    """Return the budget that is asked for, or the one that suits this machine."""
    from bench.training import accelerators

    return budgets.budget_named(args.budget or ("standard" if accelerators.num_accelerators() else "quick"))


def command_line(verb: str, args: argparse.Namespace) -> str:
    """Write the command that makes this again, without where results lie."""
    words = [f"python -m bench {verb}", f"--suite {args.suite}"]
    words += [f"--{name} {getattr(args, name)}" for name in ("budget", "seeds") if getattr(args, name)]
    words += [f"--scenes {shlex.quote(args.scenes)}"] if args.scenes else []
    words += [f"--only {shlex.quote(condition)}" for condition in args.only]
    words += [f"--set {shlex.quote(setting)}" for setting in args.settings]
    return " ".join(words)
