"""What a Ray worker takes."""

import pytest

from bench.errors import UsageError
from bench.training import accelerators
from bench.training.worker_devices import WorkerDevices
from tasks import host_cores


@pytest.fixture(autouse=True)
def as_jax_likes(monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)


@pytest.mark.parametrize(
    ("resources", "num_accelerators", "is_local", "expected"),
    [
        ({"CPU": 2.0}, 0, False, ({"num_cpus": 1}, 2)),
        ({"CPU": 64.0}, 0, True, ({"num_cpus": 1}, 3)),  # of which this process may use three
        ({"CPU": 2.0, "GPU": 8.0}, 8, True, ({"num_gpus": 1, "num_cpus": 0}, 8)),
        ({"CPU": 2.0, "GPU": 8.0}, 0, True, ({"num_cpus": 1}, 2)),  # JAX was told or installed to do without
        ({"CPU": 2.0, "GPU": 8.0}, 0, False, ({"num_gpus": 1, "num_cpus": 0}, 8)),  # the hosts of others know better
        ({"CPU": 9.0, "TPU": 4.0}, 4, True, ({"resources": {"TPU": 1}, "num_cpus": 0}, 4)),
        ({}, 0, False, ({"num_cpus": 1}, 1)),
    ],
)
def test_a_worker_an_accelerator_or_else_a_core(resources, num_accelerators, is_local, expected, monkeypatch):
    monkeypatch.setattr(accelerators, "num_accelerators", lambda: num_accelerators)
    monkeypatch.setattr(host_cores, "num_cores", lambda: 3)
    chosen = WorkerDevices.choose(resources, is_local)
    assert (chosen.options(), chosen.num_slots) == expected


@pytest.mark.parametrize(
    ("resources", "num_each", "options", "num_slots", "memory_share"),
    [
        ({"GPU": 2.0}, 0.5, {"num_gpus": 0.5, "num_cpus": 0}, 4, 0.375),
        ({"GPU": 2.0}, 0.3, {"num_gpus": 0.3, "num_cpus": 0}, 6, 0.225),
        ({"GPU": 4.0}, 2.0, {"num_gpus": 2.0, "num_cpus": 0}, 2, None),
        ({"TPU": 4.0}, 4.0, {"resources": {"TPU": 4.0}, "num_cpus": 0}, 1, None),
        ({"CPU": 2.0}, 0.5, {"num_cpus": 0.5}, 4, None),
    ],
)
def test_parts_of_devices(resources, num_each, options, num_slots, memory_share):
    chosen = WorkerDevices.choose(resources, False, num_each)
    assert (chosen.options(), chosen.num_slots) == (options, num_slots)
    assert chosen.memory_share == pytest.approx(memory_share)


def test_more_devices_than_there_are():
    with pytest.raises(UsageError, match="--devices-per-worker: expected at most 2, the GPUs that there are, got 4"):
        WorkerDevices.choose({"GPU": 2.0}, False, 4.0)


def test_a_cluster_is_told_to_do_without_too(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert WorkerDevices.choose({"CPU": 8.0, "GPU": 2.0}, False).kind == "CPU"
