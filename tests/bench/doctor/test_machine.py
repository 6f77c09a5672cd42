"""Room, packages, Ray and determinism, each with what is wrong with it."""

import importlib.metadata

import numpy as np
import pytest

from bench.doctor import determinism, machine_checks, package_checks, ray_checks
from bench.doctor.machine_checks import GIB
from bench.storage.record import Outcome
from tests.fixtures.stored_trials import some_outcome


class Room:
    def __init__(self, free, files):
        self.f_bavail, self.f_frsize, self.f_files, self.f_favail = free, 1, 10**9, files


@pytest.mark.parametrize(
    ("free", "files", "expected"),
    [
        (20 * GIB, 10**6, ["ok", "ok"]),
        (2 * GIB, 5000, ["warn", "warn"]),
        (GIB // 2, 10, ["FAIL", "FAIL"]),
    ],
)
def test_room(monkeypatch, tmp_path, free, files, expected):
    monkeypatch.setattr(machine_checks.os, "statvfs", lambda path: Room(free, files))
    found = machine_checks.check_folders({"results": tmp_path / "not" / "there"})
    assert [check.status for check in found] == expected


def test_a_file_in_place_of_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    [found] = machine_checks.check_folders({"results": tmp_path / "file"})
    assert (found.status, found.expected) == ("FAIL", "a folder")


def test_memory_of_the_host(tmp_path):
    path = tmp_path / "meminfo"
    path.write_text(f"MemTotal: {8 * 2**20} kB\nMemAvailable: {2**20} kB\n")
    [found] = machine_checks._check_host_memory(path)
    assert (found.status, found.measured) == ("warn", "1.0 of 8.0 GiB free")
    assert machine_checks._check_host_memory(tmp_path / "none") == []


SETUP = """[options]
install_requires =
    # why
    jax >= 0.10, < 0.13
    flax
    old >= 1; python_version < "3"
"""


def install(folder, **versions):
    folder.joinpath("setup.cfg").write_text(SETUP)
    folder.joinpath("constraints.txt").write_text('# tested\njax==0.10.2\nFlax==1.0 ; python_version >= "3"\n')

    def version_of(name):
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    found = package_checks.check_packages(folder, version_of)
    return [(check.status, check.what, check.measured) for check in found][1:]


def test_packages(tmp_path):
    assert install(tmp_path, jax="0.10.2", flax="1.0") == []
    assert install(tmp_path, jax="0.12", flax="1.0") == [("warn", "jax", "0.12")]
    assert install(tmp_path, jax="0.13.1", flax="1.0") == [("FAIL", "jax", "0.13.1")]
    assert install(tmp_path, jax="0.10.2") == [("FAIL", "flax", "not installed")]


def test_our_own_bounds_are_read():
    first, *_ = package_checks.check_packages()
    assert first.status == "ok" and int(first.measured.split(" of ")[1].split(",")[0]) > 20


@pytest.mark.parametrize(
    ("told", "status", "measured"),
    [
        (
            {"answer": 42, "version": "2.60.0", "resources": {"CPU": 2.0, "GPU": 1.0}},
            "ok",
            "Ray 2.60.0 answers after 1.5 s: 2 cores, 1 GPUs",
        ),
        ({"error": "ray: expected a cluster,\ngot none"}, "FAIL", "ray: expected a cluster, got none"),
    ],
)
def test_answers_of_ray(told, status, measured):
    found = ray_checks.read_answer("ray", told, 1.5)
    assert (found.status, found.measured) == (status, measured)


def test_a_ray_that_hangs_is_given_up():
    [found] = ray_checks.check_ray(limit_s=0.01)
    assert (found.status, found.measured) == ("FAIL", "no answer in 0 s")


@pytest.mark.slow
def test_ray_starts_and_answers_here():
    [found] = ray_checks.check_ray()
    assert found.status == "ok", found
    [found] = ray_checks.check_ray("127.0.0.1:1")
    assert found.status == "FAIL"


def outcome(**arrays) -> Outcome:
    return some_outcome("nerf__a__s0__0")._replace(parameters=arrays) if arrays else some_outcome("nerf__a__s0__0")


def compared(first, second):
    return determinism._compare("parameters", first, second)


def test_equal_bits():
    weights = np.linspace(0, 2, 5, dtype=np.float32)
    assert compared({"w": weights}, {"w": weights.copy()}).status == "ok"
    moved = weights.copy()
    moved[2] = np.nextafter(moved[2], 2)
    found = compared({"w": weights}, {"w": moved})
    assert found.status == "warn" and found.measured.startswith("w differs by 6.0e-08")
    assert compared({"w": weights}, {}).status == "FAIL"


def test_outcomes_are_compared_in_three_parts():
    found = determinism.compare_outcomes("a trial", outcome(), outcome())
    assert [(check.status, check.what) for check in found] == [
        ("ok", "a trial: parameters"),
        ("ok", "a trial: views"),
        ("ok", "a trial: scores"),
    ]


@pytest.mark.slow
def test_a_trial_twice():
    assert {check.status for check in determinism.check_determinism()} == {"ok"}
