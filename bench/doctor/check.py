"""Defines what the doctor says of one thing: ok, doubtful or wrong, what was measured and what was expected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

Status = Literal["ok", "warn", "FAIL"]


class Check(NamedTuple):
    """Says whether one thing is as it should be.

    Attributes:
        status: "warn" where numbers stay right but somebody should know; "FAIL" where they are wrong or work is lost.
        what: What was looked at.
        measured: What was found.
        expected: What should be, or the bound.
        advice: Why it is so, or what to do; empty for nothing.
    """

    status: Status
    what: str
    measured: str
    expected: str = ""
    advice: str = ""


class Section(NamedTuple):
    """Checks of one kind, under a title.

    Attributes:
        title: Its name.
        checks: Its lines.
    """

    title: str
    checks: Sequence[Check]


def verdict(checks: Iterable[Check]) -> str:
    """Sum checks up.

    Example:
        >>> fine = Check("ok", "disk", "3 GiB free")
        >>> verdict([fine]), verdict([fine, fine._replace(status="warn")]), verdict([fine._replace(status="FAIL")])
        ('ok', '1 warning', '1 failed')
    """
    statuses = [check.status for check in checks]
    num_failed = statuses.count("FAIL")
    num_warnings = statuses.count("warn")
    if num_failed:
        return f"{num_failed} failed"
    return f"{num_warnings} warning{'s' if num_warnings > 1 else ''}" if num_warnings else "ok"


def to_lines(section: Section) -> list[str]:
    """Write a section as lines with columns.

    Example:
        >>> print(*to_lines(Section("disk", [Check("ok", "results", "3 GiB free", "at least 1 GiB")])), sep=chr(10))
        disk
          ok    results  3 GiB free  at least 1 GiB
    """
    what_width = max((len(check.what) for check in section.checks), default=0)
    measured_width = max((len(check.measured) for check in section.checks), default=0)
    lines = [section.title]
    for check in section.checks:
        columns = [check.what.ljust(what_width), check.measured.ljust(measured_width), check.expected]
        line = f"  {check.status:4}  {'  '.join(columns)}".rstrip()
        lines.append(f"{line}; {check.advice}" if check.advice else line)
    return lines
