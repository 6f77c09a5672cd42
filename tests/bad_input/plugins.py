"""Bad plug-ins: names that are none, modules that fail, objects that are no method and no network."""

from __future__ import annotations

import pathlib
import textwrap

from tests.bad_input.bad_case import BadCase, setup


def write_module(place: pathlib.Path, text: str) -> None:
    """Write the user's module `mine`."""
    (place / "users_own.py").write_text(textwrap.dedent(text))


@setup
def a_module_without_the_name(place):
    write_module(place, "class MyField: pass")


@setup
def a_module_that_is_no_python(place):
    write_module(place, "class MyField(:\n")


@setup
def a_module_in_latin1(place):
    (place / "users_own.py").write_bytes("name = 'caf\u00e9'\n".encode("latin-1"))


@setup
def a_module_of_null_bytes(place):
    (place / "users_own.py").write_bytes(b"\0" * 100)


@setup
def a_module_that_needs_another(place):
    write_module(place, "import not_installed_anywhere\n")


@setup
def a_module_that_needs_another_name(place):
    write_module(place, "from math import no_such_name\n")


@setup
def a_module_that_raises(place):
    write_module(place, "raise RuntimeError('first line\\nsecond line \\x1b[31m')\n")


@setup
def a_module_that_divides_by_zero(place):
    write_module(place, "1 / 0\n")


@setup
def a_module_that_exits(place):
    write_module(place, "import sys\nsys.exit(7)\n")


@setup
def a_module_without_an_end(place):
    write_module(place, "def f():\n    return f()\nf()\n")


@setup
def a_class_that_is_none(place):
    write_module(place, "class Mine: pass")


@setup
def a_number_for_a_class(place):
    write_module(place, "Mine = 7")


@setup
def a_function_for_a_class(place):
    write_module(place, "def Mine(x): return x")


@setup
def a_class_that_needs_a_word(place):
    write_module(place, "class Mine:\n    def __init__(self, width): pass")


@setup
def a_class_that_raises(place):
    write_module(place, "class Mine:\n    def __init__(self): raise ValueError('one\\ntwo')")


@setup
def a_network_that_needs_a_width(place):
    write_module(place, "import flax.linen as nn\nclass Mine(nn.Module):\n    width: int\n")


@setup
def a_method_that_lacks_functions(place):
    write_module(
        place,
        """
        import dataclasses
        @dataclasses.dataclass(frozen=True)
        class Mine:
            encoders: tuple = ()
            def loss(self): pass
        """,
    )


@setup
def a_folder_named_models(place):
    (place / "models").mkdir()
    (place / "models" / "__init__.py").write_text("class Mine: pass\n")
    (place / "models" / "own.py").write_text("class Mine: pass\n")


@setup
def a_getattr_that_raises(place):
    write_module(place, "def __getattr__(name): raise OSError('disk')\n")


NAMES = tuple(
    BadCase(f"{verb} {name} --budget smoke --results runs".replace("check --budget", "check"), says)
    for verb, name, says in (
        ("compare", "users_own:Mine", "expected a module users_own in"),
        ("compare", "users_own:", "expected module:object, got 'users_own:'"),
        ("compare", ":Mine", "expected module:object, got ':Mine'"),
        ("compare", "users_own:Mine:More", "expected module:object, got 'users_own:Mine:More'"),
        ("compare", "'my users_own:Mine'", "expected module:object, got 'my users_own:Mine'"),
        ("compare", "my-users_own:Mine", "expected module:object, got 'my-users_own:Mine'"),
        ("compare", "'users_own:Mine()'", "expected module:object, got 'users_own:Mine()'"),
        ("compare", "'__import__(\"os\"):system'", "expected module:object"),
        ("compare", "m\u0456ne:Mine", "expected a module"),
        ("compare", "users_own..x:Mine", "expected module:object"),
        ("compare", "os:system", "os:system: expected"),
        ("compare", "math:pi", "math:pi: expected a bench method or a flax.linen.Module, got float"),
        ("compare", "json:JSONDecoder", "json:JSONDecoder: expected a bench method or a flax.linen.Module"),
        ("compare", "json:Decoder", "json:Decoder: expected an object of that name"),
    )
)

MODULES = tuple(
    BadCase("compare users_own:Mine --budget smoke --results runs", says, name)
    for name, says in {
        "a_module_without_the_name": "users_own:Mine: expected an object of that name in",
        "a_module_that_is_no_python": "users_own:Mine: expected",
        "a_module_in_latin1": "users_own:Mine: expected",
        "a_module_of_null_bytes": "users_own:Mine: expected",
        "a_module_that_needs_another": "expected the module not_installed_anywhere, which it imports, got none",
        "a_module_that_needs_another_name": "no_such_name",
        "a_module_that_raises": "users_own:Mine: expected",
        "a_module_that_divides_by_zero": "users_own:Mine: expected",
        "a_module_that_exits": "users_own:Mine: expected",
        "a_module_without_an_end": "users_own:Mine: expected",
        "a_class_that_is_none": "users_own:Mine: expected a bench method or a flax.linen.Module, got Mine",
        "a_number_for_a_class": "users_own:Mine: expected a bench method or a flax.linen.Module, got int",
        "a_function_for_a_class": "users_own:Mine: expected a bench method or a flax.linen.Module, got function",
        "a_class_that_needs_a_word": "users_own:Mine: expected",
        "a_class_that_raises": "users_own:Mine: expected",
        "a_network_that_needs_a_width": "users_own:Mine: expected",
        "a_method_that_lacks_functions": "users_own:Mine: expected a bench method or a flax.linen.Module",
        "a_getattr_that_raises": "users_own:Mine: expected",
    }.items()
)

SETTINGS = tuple(
    BadCase(
        f"plan --suite sparse-views --budget smoke --no-pilot --results runs --set nerf.field={name}", says, setup_name
    )
    for name, says, setup_name in (
        ("users_own:Mine", "expected a module users_own in", ""),
        ("users_own:Mine", "users_own:Mine: expected", "a_class_that_needs_a_word"),
        ("users_own:Mine", "users_own:Mine: expected", "a_module_that_raises"),
        ("users_own:Mine", "users_own:Mine: expected", "a_network_that_needs_a_width"),
        ("users_own:Mine", "expected", "a_number_for_a_class"),
        ("math:pi", "expected", ""),
        ("models.own:Mine", "hides", "a_folder_named_models"),
    )
)

CHECKS = (
    BadCase("check users_own:Mine --scene none", "expected a module users_own in", code=1),
    BadCase("profile --method users_own:Mine --budget smoke", "users_own:Mine: expected", "a_class_that_raises"),
)

TABLE = (*NAMES, *MODULES, *SETTINGS, *CHECKS)
