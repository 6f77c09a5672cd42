"""`doctor`: examines this install: golden values, rounding, determinism, devices, room, packages, Ray, trials."""

from __future__ import annotations

import argparse
import pathlib
import sys
from typing import Any

from bench.cli.common_options import add_results, check_out_file, existing, to_json_text
from bench.errors import UsageError

HELP = "examine this install and device: known numbers, determinism, memory, room, packages, Ray, stored trials"
EXAMPLE = "python -m bench doctor --quick"

STANDARD_OUTPUT = pathlib.Path("-")
"""Stands for no file: `--json` alone."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `doctor`."""
    add_results(parser)
    parser.add_argument("--quick", action="store_true", help="leave out what takes long: under 10 seconds, not 60")
    parser.add_argument("--address", metavar="HOST:PORT", help="Ray cluster to ask (default: Ray is started here)")
    parser.add_argument(
        "--json",
        type=pathlib.Path,
        nargs="?",
        const=STANDARD_OUTPUT,
        metavar="FILE",
        help="print the findings as JSON, and the page on standard error; with FILE, write them there, beside the page",
    )


def main(args: argparse.Namespace) -> int:
    """Print the page; exit with 1 if something is wrong."""
    from bench.doctor import examination
    from bench.doctor.check import to_lines
    from bench.storage.doctor_stamp import write_stamp

    is_printed = args.json == STANDARD_OUTPUT
    if not is_printed:
        check_out_file(args.json, "--json")
    page = sys.stderr if is_printed else sys.stdout
    if args.quick and args.address:
        raise UsageError("doctor: expected --address or --quick, got both; --quick asks no cluster")
    sections = []
    for section in examination.examine(existing(args.results), args.address, is_quick=args.quick):
        sections.append(section)
        print("\n".join(to_lines(section)), file=page, flush=True)
    stamp = examination.make_stamp(sections, is_quick=args.quick)
    try:
        place = f"kept in {write_stamp(stamp)}, and said in reports"
    except OSError as error:
        place = f"not kept: {error}"
    print(f"\n{stamp.describe()} ({place})", file=page)
    findings = findings_to_json(sections, stamp)
    if is_printed:
        print(to_json_text(findings))
    elif args.json is not None:
        write_findings(args.json, findings)
    return int("failed" in stamp.verdict)


def findings_to_json(sections: list[Any], stamp: Any) -> dict[str, Any]:
    """Return all findings as plain values."""
    found = {section.title: [check._asdict() for check in section.checks] for section in sections}
    return {"stamp": stamp._asdict(), "sections": found}


def write_findings(path: pathlib.Path, findings: dict[str, Any]) -> None:
    """Write findings to a file.

    Raises:
        UsageError: It cannot be written.
    """
    from tasks.data_dir.atomic_files import write_file

    try:
        write_file(path, (to_json_text(findings) + "\n").encode())
    except OSError as error:
        raise UsageError(f"--json: expected a file that can be written, got {path} ({error.strerror})") from error
