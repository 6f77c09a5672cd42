"""Makes Python import `tasks`, `models` and `bench` from this repository, and plug-ins from the user's folder.

`python -m bench` puts the user's folder first on the path, and that folder may hold a `models/` of its own. Here the
repository comes first and the user's folder second, so that `my_pkg.field:MyField` is still found. A plug-in that
itself needs a module which ours hides is refused, with the name of the module.
"""

from __future__ import annotations

import difflib
import importlib
import os
import pathlib
import sys
import traceback
from types import ModuleType
from typing import Any

from bench.errors import PluginError, UsageError, nearest

ROOT = pathlib.Path(__file__).resolve().parent.parent
"""The root of the repository, or of the copy of it that a Ray worker on another host was given."""

OURS = ("tasks", "models", "bench")

_plugin_sources: dict[str, str] = {}

_installed_plugins: set[str] = set()


def put_root_first(user_folder: str | None = None) -> None:
    """Put `ROOT` first on `sys.path` and the user's folder second, unless it is there already.

    Args:
        user_folder: The folder of plug-ins; None for the current folder (none at all under `python -P`).

    Raises:
        UsageError: A `tasks`, `models` or `bench` of somebody else's was imported before.
    """
    for name in OURS:
        module = sys.modules.get(name)
        if module is not None and not _is_ours(module):
            raise UsageError(
                f"import: expected `{name}` of {ROOT}, got one that was imported before from "
                f"{_place(module)}; start `python -m bench` in a process of its own"
            )
    if user_folder is None and not sys.flags.safe_path:
        user_folder = os.getcwd()
    others = [entry or os.getcwd() for entry in sys.path]
    if user_folder is not None and user_folder not in others:
        others.insert(0, user_folder)
    sys.path[:] = dict.fromkeys([str(ROOT), *(entry for entry in others if not _is_root(entry))])


def import_plugin(reference: str) -> Any:
    """Import an object that a user named, from the user's folder or an installed package.

    Args:
        reference: `module:object`, as in `my_pkg.field:MyField`. An object of ours (`models.nerf:NERF`) may be named
            too, unless the user's folder holds a module of that name.

    Raises:
        UsageError: It is no such reference, there is no such module or object, or the plug-in needs a module that
            ours hides.
    """
    module_name, colon, name = reference.partition(":")
    if not colon or not all(part.isidentifier() for part in [*module_name.split("."), *name.split(".")]):
        raise UsageError(f"{reference}: expected module:object, got {reference!r}; write my_pkg.field:MyField")
    if module_name.split(".")[0] in OURS:
        _refuse_if_hidden(reference, module_name)
    module = _import(reference, module_name)
    found: Any = module
    for part in name.split("."):
        if not _has(reference, found, part):
            public = [known for known in vars(module) if not known.startswith("_")]
            raise UsageError(
                f"{reference}: expected an object of that name in {_place(module)}, got none; {nearest(name, public)}"
            )
        found = getattr(found, part)
    return found


def make_object(reference: str) -> Any:
    """Import what a user named, and make a class of it with its defaults.

    Raises:
        UsageError: As `import_plugin`, or the class cannot be made without arguments.
    """
    return make_default(reference, import_plugin(reference))


def make_default(reference: str, found: Any) -> Any:
    """Return an object; of a class, the object that it makes without arguments.

    Raises:
        PluginError: It raises an error.
    """
    if not isinstance(found, type):
        return found
    try:
        return found()
    except UsageError:
        raise
    except Exception as error:  # of the user's code, as it comes
        raise PluginError(
            f"{reference}: expected a class that is made without arguments, got {describe_error(error)}; give its "
            "fields defaults, or name an object that you made"
        ) from error


def describe_error(error: BaseException) -> str:
    """Describe an error of a user's code in one line, with the line of his file that raised it.

    Example:
        >>> describe_error(ValueError("one", "two"))
        "ValueError: ('one', 'two')"
    """
    said = " ".join(str(error).split())
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = pathlib.Path(frame.f_code.co_filename)
        if file.is_absolute() and not file.is_relative_to(ROOT) and "site-packages" not in file.parts:
            place = f" ({file.name}, line {line})" if file.is_file() and not _is_python(file) else place
    return f"{type(error).__name__}: {said}{place}" if said else f"{type(error).__name__}{place}"


def _is_python(file: pathlib.Path) -> bool:
    """Tell whether a file is of Python's own library."""
    return file.is_relative_to(pathlib.Path(os.__file__).parent)


def plugin_sources() -> list[str]:
    """List the folders and files of imported plug-ins that lie outside of `ROOT` and of installed packages.

    Workers on other hosts get a copy of these.
    """
    return list(_plugin_sources.values())


def plugin_modules() -> list[str]:
    """Name the modules of `plugin_sources`."""
    return list(_plugin_sources)


def installed_plugins() -> list[str]:
    """Name the packages of imported plug-ins that are installed."""
    return sorted(_installed_plugins)


def remember_installed(reference: str) -> None:
    """Remember that an installed plug-in was imported, by its module or `module:object`."""
    top = reference.partition(":")[0].partition(".")[0]
    if top not in OURS:
        _installed_plugins.add(top)


def _import(reference: str, module_name: str) -> ModuleType:
    """Import a plug-in's module; report a failure that our modules cause as such."""
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        missing = error.name or ""
        _refuse_if_hidden(reference, missing, error)
        if isinstance(error, ModuleNotFoundError):
            if f"{module_name}.".startswith(f"{missing}."):
                close = _nearest_module(missing)
                advice = f"the nearest is {close!r}" if close else "run from the folder that holds it"
                raise UsageError(
                    f"{reference}: expected a module {missing} in {os.getcwd()} or installed, got none; {advice}"
                ) from error
            raise UsageError(
                f"{reference}: expected the module {missing}, which it imports, got none; install it"
            ) from error
        raise _import_failure(reference, error) from error
    except AttributeError as error:  # `import models; models.mine`
        if isinstance(error.obj, ModuleType):
            _refuse_if_hidden(reference, error.obj.__name__, error)
        raise _import_failure(reference, error) from error
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # of the user's code, as it comes
        raise _import_failure(reference, error) from error
    _remember(module_name.split(".")[0])
    return module


def _nearest_module(missing: str) -> str | None:
    """Find the module whose name is nearest, beside where a mistyped one was looked for in the user's folder."""
    *parents, word = missing.split(".")
    folder = pathlib.Path(os.getcwd(), *parents)
    if not folder.is_dir():
        return None
    known = [path.stem for path in sorted(folder.glob("*.py")) if path.stem.isidentifier()]
    known += [path.parent.name for path in sorted(folder.glob("*/__init__.py"))]
    close = difflib.get_close_matches(word, [name for name in known if name not in OURS], n=1)
    return ".".join([*parents, *close]) if close else None


def _has(reference: str, found: Any, name: str) -> bool:
    try:
        return hasattr(found, name)
    except Exception as error:  # a `__getattr__` of the user's
        raise _import_failure(reference, error) from error


def _import_failure(reference: str, error: BaseException) -> PluginError:
    return PluginError(
        f"{reference}: expected a module that can be imported, got {describe_error(error)}; "
        f"python -c 'import {reference.partition(':')[0]}' shows all of it"
    )


def _refuse_if_hidden(reference: str, module_name: str, cause: Exception | None = None) -> None:
    """Refuse a plug-in that needs a module of the user's folder which one of ours hides."""
    top = module_name.split(".")[0]
    hidden = _hidden(module_name) if top in OURS else None
    if hidden is not None:
        raise UsageError(
            f"{reference}: expected a plug-in that does without a module named `{top}`, got one that needs {hidden}, "
            f"which the benchmark's own `{top}` hides; rename your `{top}`, or move it into a package of yours"
        ) from cause


def _hidden(module_name: str) -> pathlib.Path | None:
    """Find the file or folder of a module outside of `ROOT`, if there is one on the path."""
    for entry in sys.path:
        if _is_root(entry):
            continue
        stem = pathlib.Path(entry or os.getcwd(), *module_name.split("."))
        for path in (stem, stem.with_name(stem.name + ".py")):
            if path.exists():
                return path
    return None


def _remember(top: str) -> None:
    module = sys.modules[top]
    place = _place(module)
    if top in OURS:
        return
    if "site-packages" in pathlib.Path(place).parts:
        remember_installed(top)
    else:
        _plugin_sources[top] = place


def _place(module: ModuleType) -> str:
    """Return a package's folder, or a module's file."""
    folders = list(vars(module).get("__path__", []))
    return folders[0] if folders else str(vars(module).get("__file__") or module.__name__)


def _is_ours(module: ModuleType) -> bool:
    return pathlib.Path(_place(module)).resolve().parent == ROOT


def _is_root(entry: str) -> bool:
    return os.path.realpath(entry or os.getcwd()) == str(ROOT)
