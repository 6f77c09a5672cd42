"""Finds variants and suites by name, and methods of a user's own.

A name is an entry of these tables, an entry point of the group `bench.methods`, or `module:object`. A package that
brings methods names them in its own `pyproject.toml`, and nothing here is edited:

    [project.entry-points."bench.methods"]
    my_field = "my_pkg.field:MyField"
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

from bench import import_paths
from bench.errors import UsageError, nearest

if TYPE_CHECKING:  # both bring JAX along, and the command line asks for names alone
    from bench.suites.suite import Suite
    from models.method import Method

VARIANTS = {
    "nerf": "models.nerf:NERF",
    "simplified_nerf": "models.nerf:SIMPLIFIED_NERF",
    "mip_nerf": "models.nerf:MIP_NERF",
    "raw_nerf": "models.nerf:RAW_NERF",
    "nerf_without_directions": "models.nerf:NERF_WITHOUT_DIRECTIONS",
    "nerf_unbounded": "models.captured_recipes:NERF_UNBOUNDED",
    "nerf_forward_facing": "models.captured_recipes:NERF_FORWARD_FACING",
    "nerf_llff_2020": "models.captured_recipes:NERF_LLFF_2020",
    "nerf_2021": "models.nerf:NERF_2021",
    "nerf_2021_fast": "models.nerf:NERF_2021_FAST",
    "simplified_nerf_2021": "models.nerf:SIMPLIFIED_NERF_2021",
    "simplified_nerf_2021_lego": "models.nerf:SIMPLIFIED_NERF_2021_LEGO",
    "simplified_nerf_2021_hotdog": "models.nerf:SIMPLIFIED_NERF_2021_HOTDOG",
    "simplified_nerf_2021_materials": "models.nerf:SIMPLIFIED_NERF_2021_MATERIALS",
    "dietnerf": "models.dietnerf:DIETNERF",
    "dietnerf_finetuned": "models.dietnerf:DIETNERF_FINETUNED",
    "dietnerf_unbounded": "models.captured_recipes:DIETNERF_UNBOUNDED",
    "dietnerf_forward_facing": "models.captured_recipes:DIETNERF_FORWARD_FACING",
    "dietnerf_2021": "models.dietnerf:DIETNERF_2021",
    "dietnerf_2021_fast": "models.dietnerf:DIETNERF_2021_FAST",
    "dietnerf_finetuned_2021": "models.dietnerf:DIETNERF_FINETUNED_2021",
    "dream_fields": "models.dream_fields:DREAM_FIELDS",
    "dream_fields_shape": "models.dream_fields:DREAM_FIELDS_SHAPE",
    "dream_fields_plain": "models.dream_fields:PLAIN",
    "dream_fields_simplified": "models.dream_fields:SIMPLIFIED",
    "dream_fields_voxels": "models.dream_fields:VOXELS",
    "dream_fields_hash_grid": "models.dream_fields:HASH_GRID",
    "dream_fields_2022": "models.dream_fields:DREAM_FIELDS_2022",
    "dream_fields_2022_lq": "models.dream_fields:DREAM_FIELDS_LQ",
    "dream_fields_2022_mq": "models.dream_fields:DREAM_FIELDS_MQ",
    "dream_fields_2022_hq": "models.dream_fields:DREAM_FIELDS_HQ",
    "dream_fields_lq_fast": "models.dream_fields:DREAM_FIELDS_LQ_FAST",
    "dream_fields_mq_fast": "models.dream_fields:DREAM_FIELDS_MQ_FAST",
    "dream_fields_hq_fast": "models.dream_fields:DREAM_FIELDS_HQ_FAST",
}
"""Named values of methods. An underscore and a year: trained as that paper's code does."""

SUITES = {
    "ablations": "bench.suites.builtin.ablations:ABLATIONS",
    "text-to-3d": "bench.suites.builtin.text_to_3d:TEXT_TO_3D",
    "compositional": "bench.suites.builtin.compositional:COMPOSITIONAL",
    "recognition": "bench.suites.builtin.recognition:RECOGNITION",
    "equivalence": "bench.suites.builtin.equivalence:EQUIVALENCE",
    "sparse-views": "bench.suites.builtin.sparse_views:SPARSE_VIEWS",
    "sparse-views-equivalence": "bench.suites.builtin.sparse_views_equivalence:SPARSE_VIEWS_EQUIVALENCE",
    "sparse-views-recipes": "bench.suites.builtin.sparse_views_recipes:SPARSE_VIEWS_RECIPES",
    "sparse-views-ablations": "bench.suites.builtin.sparse_views_ablations:SPARSE_VIEWS_ABLATIONS",
}

UNLISTED_SUITES = {"drill": "bench.drill.study:DRILL"}
"""Suites that commands of ours run, and no user needs."""

ENTRY_POINT_GROUP = "bench.methods"


def suite(name: str) -> Suite:
    """Return the suite of a name.

    Raises:
        UsageError: There is none; the message names the nearest.
    """
    check_suite_name(name)
    return _object((SUITES | UNLISTED_SUITES)[name])


def check_suite_name(name: str) -> str:
    """Return a suite's name if there is one of this name, without building it.

    Raises:
        UsageError: There is none of this name; the message names the nearest.
    """
    if name not in SUITES and name not in UNLISTED_SUITES:
        raise UsageError(f"--suite: expected a suite, got {name!r}; {nearest(name, SUITES)}")
    return name


def entry_points() -> dict[str, importlib.metadata.EntryPoint]:
    """Return the entry points of installed packages, by name."""
    return {point.name: point for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)}


def is_known(name: str) -> bool:
    """Tell whether `variant` would look for something under this name instead of refusing it."""
    return name in VARIANTS or ":" in name or name in entry_points()


def variant(name: str, recipe: str = "nerf") -> Method:
    """Return the method of a short name, an entry point, or `module:object`.

    A class is made with its defaults; a linen module becomes the field of a recipe.

    Args:
        name: The name that a user wrote.
        recipe: Short name of the recipe whose field a linen module becomes.

    Raises:
        UsageError: There is no such thing, or it is neither a method nor a network.
    """
    if name in VARIANTS:
        return _object(VARIANTS[name])
    points = entry_points()
    if name in points:
        return as_method(name, _loaded(points[name]), recipe)
    return as_method(name, import_paths.import_plugin(check_method_name(name)), recipe)


def check_method_name(name: str) -> str:
    """Return a method's name if `variant` knows it, without importing anything.

    Raises:
        UsageError: It is no variant, no entry point and no `module:object`.
    """
    if not is_known(name):
        raise UsageError(
            f"method: expected a variant, an entry point of {ENTRY_POINT_GROUP} or module:object, got {name!r}; "
            f"{suggest_reference(name) or nearest(name, [*VARIANTS, *entry_points()])}"
        )
    return name


def suggest_reference(name: str) -> str:
    """Suggest the right form for the name of a file or a dotted name; empty for other names.

    Example:
        >>> suggest_reference("my_pkg/field.py")
        'write my_pkg.field:NAME, with the name of its class'
        >>> suggest_reference("my_pkg.field.MyField"), suggest_reference("nerf")
        ('write my_pkg.field:MyField', '')
        >>> suggest_reference("my_pkg.field")
        'write my_pkg.field:NAME, with the name of its class'
        >>> suggest_reference("/home/me/field.py")
        'go to /home/me and write field:NAME, with the name of its class'
    """
    if name.endswith(".py"):
        folder, _, stem = name.removesuffix(".py").removeprefix("./").rpartition("/" if name.startswith("/") else "\n")
        stand = f"go to {folder} and " if folder else ""
        return f"{stand}write {stem.replace('/', '.')}:NAME, with the name of its class"
    module, dot, last = name.rpartition(".")
    if dot and last[:1].islower():  # a module, and no class
        return f"write {name}:NAME, with the name of its class"
    return f"write {module}:{last}" if dot else ""


def _loaded(point: importlib.metadata.EntryPoint) -> Any:
    """Load the object that an entry point names."""
    try:
        found = point.load()
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"{point.name}: expected {point.value} behind this entry point of {ENTRY_POINT_GROUP}, got {error}; "
            "install its package again"
        ) from error
    import_paths.remember_installed(point.value)
    return found


def as_method(name: str, found: Any, recipe: str = "nerf") -> Method:
    """Make a method from an object that a user named: a method, a class of one, or a network for a recipe."""
    from flax import linen

    from models.method import Method

    value = import_paths.make_default(name, found)
    if isinstance(value, linen.Module):
        return dataclasses.replace(_object(VARIANTS[recipe]), field=value)
    if isinstance(value, Method):
        return value
    raise UsageError(
        f"{name}: expected a bench method or a flax.linen.Module, got {type(value).__name__}; "
        "see models/method.py for the six functions of a method"
    )


def _object(where: str) -> Any:
    """Import an object of this project from its `module:object`."""
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)
