"""What a bad input is, and what the command line must make of it: one line, the right exit code, nothing changed."""

from __future__ import annotations

import hashlib
import importlib
import pathlib
import re
import shlex
import sys
from collections.abc import Callable
from typing import NamedTuple

from bench import __main__ as command_line
from bench import import_paths

STORE = "runs"
"""Folder of the stored trials, in the folder that a case runs in."""

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a terminal obeys and does not show."""


class BadCase(NamedTuple):
    """A command that must be refused.

    Attributes:
        words: The command line behind `python -m bench`, as a shell reads it; `{here}` is the folder it runs in.
        says: Words that its one line must hold, or what it prints where the exit code is not 2; `{here}` as above.
        setup: What puts the bad files there, by its name in `SETUPS`; empty where the words alone are bad.
        code: The exit code: 2 for a mistake of the user's, 1 for something that failed, 0 where the rest can be used.
        variables: Environment variables, as `NAME=VALUE NAME=`; without a value a variable is taken away.
        writes: A file that is written, as the rest can be used.
        moves: Start of the names, below the store, that may be moved aside: what does not parse is, and is named.
    """

    words: str
    says: str
    setup: str = ""
    code: int = 2
    variables: str = ""
    moves: str = ""
    writes: str = ""


Setup = Callable[[pathlib.Path], object]

SETUPS: dict[str, Setup] = {}
"""The functions that write bad files, by name."""


def setup(function: Setup) -> Setup:
    """Let cases name a function that writes bad files into the folder it is given."""
    assert function.__name__ not in SETUPS, f"two set-ups are named {function.__name__}"
    SETUPS[function.__name__] = function
    return function


class Outcome(NamedTuple):
    """What a command did.

    Attributes:
        code: Its exit code.
        changed: Files that are not what they were, that are new or gone.
    """

    code: int
    changed: list[str]


def run_case(case: BadCase, place: pathlib.Path, monkeypatch) -> Outcome:
    """Run a case in a folder that holds a small store."""
    monkeypatch.chdir(place)
    if case.setup:
        SETUPS[case.setup](place)
    for variable in case.variables.format(here=place).split():
        name, _, value = variable.partition("=")
        if value:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = digest_files(place)
    modules = set(sys.modules)
    try:
        code = command_line.main(shlex.split(case.words.format(here=place)))
    finally:
        forget_plugins(place, modules)
    after = digest_files(place)
    return Outcome(code, sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)))


def forget_plugins(place: pathlib.Path, known: set[str]) -> None:
    """Take out the modules that were imported from a folder, as another process would not have them."""
    importlib.invalidate_caches()
    for name in set(sys.modules) - known:
        told = vars(sys.modules[name])
        file = told.get("__file__") or ""
        folders = [str(folder) for folder in told.get("__path__", [])]
        if any(text.startswith(str(place)) for text in (file, *folders)):
            del sys.modules[name]
    import_paths._plugin_sources.clear()


def digest_files(place: pathlib.Path) -> dict[str, str]:
    """Digest every file and folder below a folder, by name; the mark of a driver's lock is left out."""
    found = {}
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            found[name] = "special"
        elif path.is_dir():
            found[name] = "folder"
        elif path.stat().st_size > 2**24:
            found[name] = f"{path.stat().st_size} bytes"
        elif path.name != ".lock":
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def find_faults(case: BadCase, outcome: Outcome, out: str, err: str, here: pathlib.Path) -> list[str]:
    """List what is wrong with an outcome; empty where all is as it must be."""
    faults = []
    damage = [line for line in err.splitlines() if line.startswith(("set aside, it did not parse: ", "left out: "))]
    lines = err.splitlines()
    if case.code == 2:  # what may be why, before the line
        lines = [line for line in lines if line not in damage]
    if case.moves and not any(case.moves in line for line in damage):
        faults.append("what is moved aside is not named")
    if outcome.code != case.code:
        faults.append(f"exit code {outcome.code}, expected {case.code}")
    if len(lines) > 1 or (case.code == 2 and not lines):
        faults.append(f"{len(lines)} lines, expected one")
    if CONTROL.search(err.replace("\n", "")) or CONTROL.search(out.replace("\n", "")):
        faults.append("a control character is printed")
    if "Traceback" in err:
        faults.append("a traceback is printed")
    if len(err) > 2000:
        faults.append(f"{len(err)} letters, which no person reads")
    if case.code == 2 and not "".join(lines).startswith("bench: "):
        faults.append("the line does not begin with `bench: `")
    if case.says.format(here=here) not in (err if case.code == 2 else out + err):
        faults.append(f"{case.says!r} is not said")
    lost = [name for name in outcome.changed if not (case.moves and name.startswith(f"{STORE}/{case.moves}"))]
    lost = [name for name in lost if name != case.writes]
    if lost:
        faults.append(f"changed: {', '.join(lost[:5])}")
    return faults
