"""Writes the first file of a new method: a template that trains as it is, with the user's names filled in."""

from __future__ import annotations

import importlib.util
import keyword
import pathlib
import sys
from typing import NamedTuple

from bench.errors import UsageError
from bench.import_paths import OURS, ROOT

KINDS = ("field", "method")
"""A network of an existing recipe, or a recipe."""

CLASS = "MyField"
"""Name of the class in the templates."""

REFERENCE = "my_pkg.field:MyField"
"""Reference to that class in the templates."""


class ScaffoldNames(NamedTuple):
    """The names that a new file defines.

    Attributes:
        module: The module, as Python imports it.
        kind: The name of its class.
    """

    module: str
    kind: str

    @property
    def reference(self) -> str:
        """Return the reference to its class, for the command line."""
        return f"{self.module}:{self.kind}"


def scaffold_names(path: pathlib.Path) -> ScaffoldNames:
    """Make the names of module and class from the path of a file below the current folder.

    Raises:
        UsageError: Python could not import it from there.

    Example:
        >>> scaffold_names(pathlib.Path("my_pkg/field.py")).reference
        'my_pkg.field:MyField'
        >>> scaffold_names(pathlib.Path("a/my_idea.py")).reference
        'a.my_idea:MyIdea'
    """
    here = pathlib.Path.cwd()
    inner = path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path
    parts = [*inner.parts[:-1], inner.stem]
    if inner.is_absolute() or ".." in parts or inner.suffix != ".py":
        raise UsageError(f"{path}: expected a .py file below this folder, got another; write my_pkg/field.py")
    for part in parts:
        if not part.isidentifier() or keyword.iskeyword(part):
            raise UsageError(f"{path}: expected names that Python can import, got {part!r}; write my_pkg/field.py")
    _check_free(path, parts[0], here)
    words = [word for word in inner.stem.split("_") if word]
    named = "".join(word[:1].upper() + word[1:] for word in words)
    return ScaffoldNames(".".join(parts), named if named.startswith("My") else f"My{named}")


def _check_free(path: pathlib.Path, top: str, here: pathlib.Path) -> None:
    """Refuse a package whose name another one has, which would hide it or be hidden."""
    got = "that of the benchmark's own" if top in OURS else None
    if top in sys.stdlib_module_names:
        got = "that of one of Python's own"
    if got is None and not any((here / name).exists() for name in (top, f"{top}.py")):
        found = importlib.util.find_spec(top)
        got = "that of one that is installed" if found else None
    if got:
        raise UsageError(f"{path}: expected a name of your own, got {top!r}, {got}; write my_{top}/{path.name}")


def fill_template(kind: str, names: ScaffoldNames) -> str:
    """Return the text of a new file.

    Example:
        >>> "python -m bench check a.b:MyB" in fill_template("field", ScaffoldNames("a.b", "MyB"))
        True
    """
    text = (ROOT / "bench" / "plugins" / f"template_{kind}.txt").read_text("utf-8")
    return text.replace(REFERENCE, names.reference).replace(CLASS, names.kind)
