"""Loads the programs that a command asked for the last time, in threads, before it asks again.

To read a compiled program from JAX's cache takes time: 1.6 s for the steps of an object on an H100. Which programs a
command needs is known only when its arrays are there. So the names that a command asks for are kept, and the same
command loads these programs the next time as soon as the device is up. A name tells all that a program is made of
(`bench.programs.program_names`): a program that is loaded and not asked for changes nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import pathlib
import threading
from collections.abc import Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import jax

from bench.programs import program_names, traced_programs
from bench.programs.traced_programs import KeptProgram
from tasks.data_dir import location
from tasks.data_dir.atomic_files import write_file

NUM_THREADS = 3
"""Programs that are loaded at once."""

MOST_NAMES = 200
"""Names that are kept of a command, at most."""


class LoadedProgram(NamedTuple):
    """A kept program, with what was compiled of it.

    Attributes:
        kept: As it was read.
        compiled: Takes and gives flat arrays.
    """

    kept: KeptProgram
    compiled: jax.stages.Compiled


class ProgramsAhead:
    """The programs that a command loads ahead, and the names of those that it asks for.

    Args:
        names: Of the programs, in the order in which they are needed.
        starting: Thread that starts the device; nothing is loaded before it ends.
    """

    def __init__(self, names: list[str], starting: threading.Thread) -> None:
        self.starting = starting
        self.is_over = False
        self.asked: dict[str, None] = {}
        self.threads = ThreadPoolExecutor(NUM_THREADS, thread_name_prefix="load programs")
        self.begun = {name: self.threads.submit(self.load, name) for name in names}

    def load(self, name: str) -> LoadedProgram | None:
        """Load a program; None if it is not kept any more, or the command, which would wait for it, has ended."""
        self.starting.join()
        if self.is_over:
            return None
        kept = traced_programs.load_program(name)
        return None if kept is None else LoadedProgram(kept, traced_programs.lower_program(kept).compile())

    def end(self) -> None:
        """Load no more."""
        self.is_over = True
        self.threads.shutdown(wait=False, cancel_futures=True)

    def take(self, name: str) -> LoadedProgram | None:
        """Give a program out, once; None if nobody began to load it, or it could not be loaded."""
        self.asked[name] = None
        begun: Future[LoadedProgram | None] | None = self.begun.pop(name, None)
        if begun is None or begun.cancel():
            return None
        return None if begun.exception() is not None else begun.result()


_ahead: ProgramsAhead | None = None


def take_program(name: str) -> LoadedProgram | None:
    """Return a program that was loaded ahead, and remember that it was asked for; None if it was not."""
    ahead = _ahead
    return None if ahead is None else ahead.take(name)


@contextlib.contextmanager
def load_programs_ahead(command: Hashable, starting: threading.Thread) -> Iterator[None]:
    """Load what a command asked for the last time; remember what it asks for now, if it ends well.

    Args:
        command: What decides which programs it needs: its options, but not its caption.
        starting: Thread that starts the device.
    """
    global _ahead
    path = list_file(command)
    listed = read_names(path) if traced_programs.can_keep() else []
    ahead = ProgramsAhead(listed, starting)
    _ahead = ahead
    try:
        yield
    finally:
        _ahead = None
        ahead.end()
    asked = list(ahead.asked)
    if asked and asked != listed:
        with contextlib.suppress(OSError):
            write_file(path, json.dumps(asked[:MOST_NAMES]), sync=False)
            traced_programs.remove_old(path.parent)


def list_file(command: Hashable) -> pathlib.Path:
    """Return the file that holds the names of a command's programs.

    Under another version of JAX, or with other settings, none of them is asked for, and JAX's cache does not know them:
    to compile them would take as long as what is needed. So such a command has another file.
    """
    described = repr((command, jax.__version__, jax.lib.__version__, program_names.tell_variables()))
    digest = hashlib.sha256(described.encode(errors="replace")).hexdigest()
    return location.folder() / "programs" / "asked" / f"{digest}.json"


def read_names(path: pathlib.Path) -> list[str]:
    """Read the names of a command's programs; none if they are not kept, or their file is damaged."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return []
        names = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return []
    is_whole = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return [name for name in names[:MOST_NAMES] if traced_programs.OWN_NAME.fullmatch(name)] if is_whole else []
