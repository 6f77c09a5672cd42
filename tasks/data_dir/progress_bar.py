"""Shows a bar of progress on standard error while something takes minutes, such as rendering."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol


class Advance(Protocol):
    """Moves a bar on."""

    def __call__(self, num: int = 1, title: str | None = None) -> None:
        """Count what is done, and say what is done next; None leaves the words."""


@contextlib.contextmanager
def progress_bar(title: str, total: int, *, show: bool) -> Iterator[Advance]:
    """Show a bar; yield the function that moves it on.

    Args:
        title: Stands in front of the bar.
        total: What there is to do.
        show: Whether there is a bar at all.
    """
    import rich.console
    import rich.progress as bars

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=rich.console.Console(stderr=True), disable=not show) as progress:
        bar = progress.add_task(title, total=total)

        def advance(num: int = 1, title: str | None = None) -> None:
            progress.update(bar, advance=num, description=title)

        yield advance
