"""How several devices share a pack: what each is given, and that nobody can tell from what comes out."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from bench.errors import UsageError
from bench.training import device_mesh, trainer
from tests.fixtures.several_devices import NUM_DEVICES, PackCase, compare_packs
from tests.fixtures.toy_packs import quiet, toy_pack
from tests.fixtures.toys import ToyMethod, ToyPhase

SAME = 1e-5
"""Of each gradient's norm: the order of sums."""

LARGE = float(device_mesh.MIN_POINTS * NUM_DEVICES)


@pytest.mark.parametrize(
    ("num_trials", "points", "asked", "expected"),
    [
        (1, LARGE, "", True),
        (1, LARGE - 1, "", False),
        (3, LARGE / 3, "", True),
        (4, LARGE, "", False),
        (1, LARGE, "0", False),
        (1, 0.0, "1", True),
        (1, None, "", False),
        (1, None, "1", True),
        (4, LARGE, "1", False),
    ],
)
def test_devices_share_rays_of_few_and_large_trials(num_trials, points, asked, expected, monkeypatch):
    monkeypatch.setenv(device_mesh.VARIABLE, asked)
    assert device_mesh.splits_rays(num_trials, points, NUM_DEVICES) is expected


def test_another_value_of_the_variable_is_refused(monkeypatch):
    monkeypatch.setenv(device_mesh.VARIABLE, "yes")
    with pytest.raises(UsageError, match="BENCH_SPLIT_RAYS: expected 0 or 1, got 'yes'"):
        device_mesh.splits_rays(1, 0.0, 4)


def test_more_devices_than_there_are():
    with (
        pytest.raises(UsageError, match=r"devices: expected up to \d+, which this process sees, got 99"),
        device_mesh.only_first_devices(99),
    ):
        pass


def test_one_device_is_left_alone():
    arrays = device_mesh.place_trials({"x": np.ones((3, 2), np.float32)}, device_mesh.choose_mesh(3, LARGE))
    assert arrays["x"].shape == (3, 2)
    assert device_mesh.mesh_of(arrays) is None
    assert device_mesh.num_ray_parts(arrays) == 1
    assert device_mesh.rows_per_device(arrays["x"]) == 3
    text = device_mesh.lower(lambda x: x + 1, (arrays["x"],)).as_text()
    assert "manual_computation" not in text


@pytest.mark.slow
def test_devices_share_the_rays_of_two_trials(tmp_path):
    [found] = compare_packs([PackCase("simplified_nerf", 2, 1)], tmp_path)
    assert found["error"] < SAME
    assert (found["alive"], found["num_used"], found["shared"]) == ([True, True], 4, "rays")
    assert found["collectives"] == ["all-reduce"]  # gradients are added up, and nothing else is sent


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["nerf", "dietnerf", "dream_fields"])
def test_every_method_on_several_devices(variant, tmp_path):
    apart, together = compare_packs([PackCase(variant, 7, 0), PackCase(variant, 1, 1)], tmp_path)
    assert apart["error"] < SAME and together["error"] < SAME
    assert apart["alive"] == [True] * 7 + [False]
    assert (apart["shared"], apart["collectives"]) == ("trials", [])
    assert together["shared"] == "rays"
    assert set(together["collectives"]) <= {"all-reduce", "all-gather"}  # a view is put together for the encoder


WHOLE_RUN = """
import json
import os
from bench.training import devices, trainer
from tests.fixtures.toy_packs import quiet, toy_pack
from tests.fixtures.toys import ToyMethod, ToyPhase

def train(*methods):
    for outcome in trainer.train(toy_pack(*methods), (), quiet):
        means = [float(x) for x in outcome.parameters["params/mean"]]
        total = outcome.views["color"].sum().item()
        print(json.dumps([means, outcome.record.curves["loss"], outcome.record.pack_size, total]))

train(*(ToyMethod(learning_rate=rate) for rate in (0.1, 0.2, 0.3)))
train(*(ToyPhase(extra_steps=steps) for steps in (0, 9, 9)))
before = devices.num_compiled()
train(*(ToyMethod(learning_rate=rate) for rate in (0.4, 0.5, 0.6)))
assert devices.num_compiled() == before
os.environ["BENCH_SPLIT_RAYS"] = "1"
train(ToyMethod())
"""
"""Packs of three trials, of a trial and two that continue others, and of one whose rays are split."""


@pytest.mark.slow
def test_whole_packs_are_as_on_one_device(tmp_path):
    """Three trials on two devices: a fourth row fills them up, and is neither stored nor counted."""
    env = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "BENCH_DATA_DIR": str(tmp_path),
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.getcwd(),
    }
    done = subprocess.run([sys.executable, "-c", WHOLE_RUN], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    there = [json.loads(line) for line in done.stdout.splitlines()]
    packs = [
        [ToyMethod(learning_rate=rate) for rate in (0.1, 0.2, 0.3)],
        [ToyPhase(extra_steps=steps) for steps in (0, 9, 9)],
        [ToyMethod(learning_rate=rate) for rate in (0.4, 0.5, 0.6)],
        [ToyMethod()],
    ]
    here = [outcome for methods in packs for outcome in trainer.train(toy_pack(*methods), (), quiet)]
    for outcome, (means, losses, pack_size, total) in zip(here, there, strict=True):
        np.testing.assert_allclose(means, outcome.parameters["params/mean"], rtol=1e-5)
        np.testing.assert_allclose(losses, outcome.record.curves["loss"], rtol=1e-5)
        assert pack_size == outcome.record.pack_size
        assert total == pytest.approx(outcome.views["color"].sum().item(), rel=1e-3)
