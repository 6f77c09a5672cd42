"""Compares installed packages with the bounds of `setup.cfg` and the tested versions of `constraints.txt`."""

from __future__ import annotations

import configparser
import importlib.metadata
import pathlib
import platform
from collections.abc import Callable, Iterator

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from bench.doctor.check import Check
from bench.import_paths import ROOT


def check_packages(
    root: pathlib.Path = ROOT, version_of: Callable[[str], str] = importlib.metadata.version
) -> list[Check]:
    """Say which packages are missing, outside of their bounds, or not the tested ones.

    Args:
        root: Folder of `setup.cfg` and `constraints.txt`.
        version_of: Looks up the installed version of a package.
    """
    needed = list(_needed(root))
    tested = dict(_tested(root))
    wrong = []
    others = []
    for requirement in needed:
        try:
            version = version_of(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            advice = f"pip install {requirement.name} --constraint constraints.txt"
            wrong.append(Check("FAIL", requirement.name, "not installed", _bounds(requirement), advice))
            continue
        known = tested.get(canonicalize_name(requirement.name))
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(Check("FAIL", requirement.name, version, _bounds(requirement), "make setup"))
        elif known is not None and known != version:
            others.append(Check("warn", requirement.name, version, f"{known}, which was tested"))
    good = len(needed) - len(wrong) - len(others)
    python = platform.python_version()
    summary = Check("ok", "packages as tested", f"{good} of {len(needed)}, Python {python}", "constraints.txt")
    if not tested:
        summary = Check("warn", "constraints.txt", "not here", f"in {root}", "tested versions are not known")
    return [summary, *wrong, *others]


def _bounds(requirement: Requirement) -> str:
    return str(requirement.specifier) or "any version"


def _needed(root: pathlib.Path) -> Iterator[Requirement]:
    """Yield what this Python needs, by `setup.cfg`."""
    parser = configparser.ConfigParser()
    parser.read(root / "setup.cfg", encoding="utf-8")
    yield from _requirements(parser.get("options", "install_requires", fallback="").splitlines())


def _tested(root: pathlib.Path) -> Iterator[tuple[str, str]]:
    """Yield each tested package with the one version for this Python."""
    path = root / "constraints.txt"
    for requirement in _requirements(path.read_text(encoding="utf-8").splitlines() if path.is_file() else []):
        [specifier] = requirement.specifier
        yield canonicalize_name(requirement.name), specifier.version


def _requirements(lines: list[str]) -> Iterator[Requirement]:
    for line in lines:
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate():
            yield requirement
