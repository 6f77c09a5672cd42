"""Tells functions apart: by name, source, code, defaults, closure, and the arguments of `partial`."""

from __future__ import annotations

import functools
import hashlib
import sys
import types
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np

from bench.errors import UsageError
from bench.suites import code_version

MARKS = frozenset({"__wrapped__", "__annotations__", "__name__", "__qualname__", "__module__", "__doc__", "_fun",
                   "_jit_info"})  # fmt: skip
"""Attributes of functions that wrappers leave, and that compute nothing."""

RULES = {
    "custom_jvp": ("fun", "jvp", "nondiff_argnums"),
    "custom_vjp": ("fun", "fwd", "bwd", "nondiff_argnums"),
}
"""What functions with a derivative of their own are made of, by the name of JAX's type."""


@runtime_checkable
class ValueDescriber(Protocol):
    """Describes the values that a function holds, as `bench.suites.identity.Describer` does."""

    def tell(self, value: Any, where: str) -> Any:
        """Describe a value that stands at a place."""


def told(value: Any, where: str, describer: ValueDescriber) -> dict[str, Any] | None:
    """Describe a function, a bound method or a `partial`; None for what is none of these.

    Raises:
        UsageError: Its source cannot be read, or it has a state that cannot be seen.
    """
    if isinstance(value, functools.partial):
        return {
            "@callable": f"{type(value).__module__}:{type(value).__qualname__}",
            "function": describer.tell(value.func, f"{where}.func"),
            "arguments": describer.tell(list(value.args), f"{where}.args"),
            "keywords": describer.tell(dict(value.keywords), f"{where}.keywords"),
        }
    if isinstance(value, types.MethodType):
        return {
            "@callable": "method",
            "function": describer.tell(value.__func__, where),
            "self": describer.tell(value.__self__, f"{where}.__self__"),
        }
    if isinstance(value, types.FunctionType):
        return _function(value, where, describer)
    if not callable(value):
        return None
    return _compiled(value, where, describer)


def is_found(value: Any, module: str | None, name: str) -> bool:
    """Tell whether a module holds just this object under a dotted name."""
    found: Any = sys.modules.get(module or "")
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value


def innermost(value: Any) -> types.FunctionType | None:
    """Find the function that wrappers were put around; None where there is none."""
    seen = 0
    while hasattr(value, "__wrapped__") and seen < 20:
        value = value.__wrapped__
        seen += 1
    return value if isinstance(value, types.FunctionType) else None


def _function(value: types.FunctionType, where: str, describer: ValueDescriber) -> dict[str, Any]:
    """Describe a function of Python."""
    written_in = value.__globals__.get("__name__") or value.__module__
    module = value.__module__ or written_in
    found: dict[str, Any] = {"@callable": f"{module}:{value.__qualname__}"}
    is_named = is_found(value, module, value.__qualname__)
    own = {name for name in (module, written_in) if code_version.code_owner(name) == "user"}
    if own:
        found |= {"@module": sorted(own)[0], "@code": _code_of(sorted(own), value, where)}
    elif code_version.code_owner(module) == "ours":
        found["@file"] = code_version.file_digest(module)
    if own or not is_named:
        if written_in != module or value.__code__.co_qualname != value.__qualname__:
            found["made_by"] = f"{written_in}:{value.__code__.co_qualname}"
        found["line" if is_named else "body"] = (
            value.__code__.co_firstlineno if is_named else bytecode_digest(value.__code__, where, describer)
        )
    if value.__defaults__:
        found["defaults"] = describer.tell(list(value.__defaults__), f"{where}.defaults")
    if value.__kwdefaults__:
        found["kwdefaults"] = describer.tell(dict(value.__kwdefaults__), f"{where}.kwdefaults")
    if value.__closure__:
        found["closure"] = _closure(value, where, describer)
    marks = {name: held for name, held in vars(value).items() if name not in MARKS}
    if marks and own:
        found["attributes"] = describer.tell(marks, f"{where}.attributes")
    return found


def _closure(value: types.FunctionType, where: str, describer: ValueDescriber) -> dict[str, Any]:
    """Describe what a function takes from the function that it was written in; an empty cell is not yet filled."""
    found: dict[str, Any] = {}
    for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
        try:
            held = cell.cell_contents
        except ValueError:
            found[name] = {"@empty": True}
            continue
        if type(held) is object and code_version.code_owner(value.__module__) == "library":
            found[name] = {"@constant": "object()"}  # a library's mark for what was not given
            continue
        found[name] = describer.tell(held, f"{where}.closure.{name}")
    return found


def _code_of(modules: list[str], value: types.FunctionType, where: str) -> str:
    """Digest the source of a user's function.

    Raises:
        UsageError: It cannot be read.
    """
    codes = [code_version.code_of(module) for module in modules]
    file = value.__code__.co_filename
    if None in codes or file.startswith("<"):
        raise UsageError(
            f"{where}: expected a function whose source can be read, got {value.__qualname__} of {modules[0]!r} "
            f"({file}); write it to a .py file and import it"
        )
    return "+".join(str(code) for code in codes)


def bytecode_digest(code: types.CodeType, where: str, describer: ValueDescriber) -> str:
    """Digest compiled code: instructions, constants, names, and the code that is nested in it."""
    whole = hashlib.sha256(code.co_code)
    whole.update(repr((code.co_names, code.co_freevars, code.co_varnames, code.co_argcount)).encode())
    whole.update(repr((code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)).encode())
    whole.update(code.co_exceptiontable)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            whole.update(bytecode_digest(constant, where, describer).encode())
        elif isinstance(constant, float):
            whole.update(repr(constant).encode())  # one that is not finite, too
        else:
            whole.update(f"{type(constant).__name__} {describer.tell(constant, where)!r}".encode())
    return whole.hexdigest()[:16]


def _compiled(value: Any, where: str, describer: ValueDescriber) -> dict[str, Any] | None:
    """Describe JAX's wrappers and functions written in C; return None for other objects that can be called."""
    kind = type(value)
    module = getattr(value, "__module__", None)
    is_of_library = code_version.code_owner(kind.__module__) == "library"
    rule = RULES.get(kind.__name__) if kind.__module__.startswith("jax.") else None
    if rule is not None and code_version.code_owner(module or "builtins") != "library":
        return {
            "@callable": kind.__name__,
            **{name: describer.tell(getattr(value, name, None), f"{where}.{name}") for name in rule},
        }
    name = getattr(value, "__qualname__", getattr(value, "__name__", None))
    home = _home(value, module, name)
    if is_of_library and home is not None and code_version.code_owner(home) == "library":
        return {"@callable": f"{home}:{name}"}
    if is_of_library and isinstance(getattr(value, "__wrapped__", None), Callable):  # type: ignore[arg-type]
        return {
            "@callable": f"{kind.__module__}:{kind.__qualname__}",
            "function": describer.tell(value.__wrapped__, where),
        }
    if isinstance(value, types.BuiltinFunctionType | types.MethodWrapperType):
        raise UsageError(
            f"{where}: expected a function of Python, got {name or kind.__name__}, which is written in C and may "
            "hold a state that cannot be seen; put it into a function of yours"
        )
    return None


def _home(value: Any, module: str | None, name: str | None) -> str | None:
    """Find the module that holds just this object under its name; None where none does."""
    if name is None:
        return None
    places = [module] if module else []
    places += ["numpy"] if isinstance(value, np.ufunc) else ["builtins"]
    return next((place for place in places if is_found(value, place, name)), None)
