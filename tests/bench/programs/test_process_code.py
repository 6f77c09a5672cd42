"""What a process runs: sources as they are, bytecode that may be older, code of a user's, and when it began."""

import collections
import importlib.util
import os
import pathlib
import sys
import time
import types

import pytest

from bench import import_paths
from bench.programs import process_code

IMPORTED = time.time()

REAL_BEGINNING = process_code.process_began

FAR = 1e10


@pytest.fixture(autouse=True)
def late_beginning(monkeypatch):
    """This process begins after all files were written."""
    monkeypatch.setattr(process_code, "process_began", lambda: FAR)


@pytest.fixture
def sources(tmp_path):
    """A small project in the place of ours."""
    for folder in ("tasks", "models", "bench"):
        (tmp_path / "root" / folder / "inner").mkdir(parents=True)
        (tmp_path / "root" / folder / "inner" / "module.py").write_text("x = 1\n")
    return tmp_path / "root"


def digest(root):
    """Return the digest of all code; None if it is not told."""
    try:
        return process_code.digest_code(process_code.list_code(root), root)
    except process_code.Untold:
        return None


@pytest.fixture
def bytecode(sources):
    """Bytecode of a module, as Python keeps it."""
    path = sources / "models/inner/module.py"
    found = importlib.util.cache_from_source(str(path))
    os.makedirs(os.path.dirname(found), exist_ok=True)
    return pathlib.Path(found)


def test_bytecode_that_may_be_older_than_its_source_counts(sources, bytecode):
    before = digest(sources)
    bytecode.write_bytes(b"h" * 16 + b"one")
    now = time.time()
    os.utime(bytecode, (now + 9, now + 9))  # it was surely made after its source
    assert digest(sources) == before
    os.utime(bytecode, (now, now))
    first = digest(sources)
    bytecode.write_bytes(b"H" * 16 + b"two")
    second = digest(sources)
    bytecode.write_bytes(b"h" * 16 + b"two")  # another time of the same source in its header
    assert len({before, first, second}) == 3 and digest(sources) == second


EXCHANGES = {
    "a link to a folder": lambda root, old: (root / "models/new").symlink_to(old, target_is_directory=True),
    "a link in the place of a folder": lambda root, old: [
        (root / "models").rename(root / "gone"),
        (root / "models").symlink_to(root / "gone"),
    ],
}


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_links_to_folders_are_not_told(exchange, sources, tmp_path_factory):
    assert digest(sources) is not None
    EXCHANGES[exchange](sources, tmp_path_factory.mktemp("old"))
    assert digest(sources) is None


def test_files_and_folders_that_were_exchanged_after_the_process_began_are_not_told(sources, monkeypatch, tmp_path):
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / f"{version}.py").write_text(version)
    (sources / "models/link.py").symlink_to(tmp_path / "one.py")
    began = time.time() + 1
    states = {str(path): shifted(path, -100) for path in [sources, *sources.rglob("*")]}
    monkeypatch.setattr(process_code, "process_began", lambda: began)
    monkeypatch.setattr(os, "lstat", lambda path, real=os.lstat: states.get(str(path)) or real(path))
    monkeypatch.setattr(os, "stat", lambda path, real=os.stat, **how: states.get(str(path)) or real(path, **how))
    assert digest(sources) is not None
    states[str(sources / "models/link.py")] = shifted(sources / "models/link.py", 5)
    assert digest(sources) is None
    states[str(sources / "models/link.py")] = shifted(sources / "models/link.py", -100)
    states[str(sources / "models/inner")] = shifted(sources / "models/inner", 5, was_moved=True)
    assert digest(sources) is None
    states[str(sources / "models/inner")] = shifted(sources / "models/inner", 5)  # a file was made in it
    assert digest(sources) is not None


State = collections.namedtuple("State", "st_mode st_size st_mtime_ns st_ctime_ns")


def shifted(path, seconds, was_moved=False):
    """Return the state of a file as if it had been written or moved some seconds from now."""
    state = path.lstat()
    when = time.time_ns() + seconds * 10**9
    return State(state.st_mode, state.st_size, when - was_moved * 10**12, when)


def test_a_file_of_an_installed_package_that_was_edited_counts(tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    file = tmp_path / "inner/module.py"
    file.write_text("x = 1\n")
    before = process_code.digest_package(str(tmp_path))
    assert process_code.digest_package(str(tmp_path)) == before
    time.sleep(0.02)
    state = file.stat()
    file.write_text("x = 2\n")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))  # as some tools do
    assert process_code.digest_package(str(tmp_path)) != before
    monkeypatch.setattr(process_code, "process_began", lambda: time.time() - 5)
    with pytest.raises(process_code.Untold):
        process_code.digest_package(str(tmp_path))


def test_a_process_with_code_of_a_user_has_no_names(monkeypatch, tmp_path):
    foreign = {key for key, module in sys.modules.items() if "/tests/" in (getattr(module, "__file__", None) or "")}
    assert process_code.find_foreign_code() is not None  # tests are such code
    main = types.ModuleType("__main__")
    main.__file__ = str(import_paths.ROOT / "bench/__main__.py")
    found = {key: module for key, module in sys.modules.items() if key not in foreign} | {"__main__": main}
    found |= {"conftest": main, "__mp_main__": main}
    monkeypatch.setattr(sys, "modules", found)
    monkeypatch.setattr(import_paths, "_plugin_sources", {})
    monkeypatch.setattr(import_paths, "_installed_plugins", set())
    assert process_code.find_foreign_code() is None
    found["my_script"] = types.ModuleType("my_script")
    found["my_script"].__file__ = str(tmp_path / "my_script.py")
    assert process_code.find_foreign_code() == "my_script"
    found["usercustomize"] = found.pop("my_script")
    found["usercustomize"].__file__ = str(tmp_path / "site-packages/usercustomize.py")
    assert process_code.find_foreign_code() == "usercustomize"
    del found["usercustomize"]
    import_paths.remember_installed("models.nerf:NERF")
    assert process_code.find_foreign_code() is None
    del main.__file__  # a notebook
    assert process_code.find_foreign_code() == "__main__"
    main.__file__ = str(import_paths.ROOT / "bench/__main__.py")
    import_paths.remember_installed("their_pkg.method:Method")
    assert process_code.find_foreign_code() == "plug-ins"


def test_a_forked_process_and_a_clock_that_was_set_do_not_make_the_process_younger(monkeypatch):
    monkeypatch.setattr(process_code, "_FIRST_ESTIMATE", 100.0)
    assert REAL_BEGINNING() == 100.0  # of the process that it was forked from
    monkeypatch.setattr(process_code, "_FIRST_ESTIMATE", FAR)
    assert REAL_BEGINNING() < FAR  # of the clock as it is now
    monkeypatch.setattr(process_code, "_FIRST_ESTIMATE", None)
    with pytest.raises(process_code.Untold):
        REAL_BEGINNING()


def test_a_source_that_was_written_after_the_process_began_is_not_told(sources, monkeypatch):
    monkeypatch.setattr(process_code, "process_began", lambda: time.time() - 5)
    assert digest(sources) is None
    monkeypatch.setattr(process_code, "process_began", lambda: time.time() + 5)
    assert digest(sources) is not None
    old = time.time() - 1000
    os.utime(sources / "models/inner/module.py", (old, old))  # a copy that keeps its time is told by when it was made
    monkeypatch.setattr(process_code, "process_began", lambda: time.time() - 5)
    assert digest(sources) is None


def test_the_process_began_before_its_modules_were_imported():
    assert IMPORTED - 3600 < REAL_BEGINNING() < IMPORTED
