"""Runs that join real Ray clusters of one host and of two, and what becomes of them when parts of it die."""

import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest
import ray

from bench import import_paths
from bench.errors import ClusterLost, UsageError
from bench.training import device_wait
from bench.training.worker_devices import WorkerOptions
from tests.fixtures.clusters import cluster_of, pid_of, wait_for
from tests.fixtures.scheduling import Kept, Listener, train

# A process in which a Ray died, of these tests or of others, does not always start workers again.
pytestmark = pytest.mark.own_process


@pytest.fixture
def plugin(fake, monkeypatch, tmp_path):
    """The fake trainer as a plug-in of the user's, which workers find nowhere but in what they are sent."""
    monkeypatch.setitem(import_paths._plugin_sources, "fake_trainer", fake.__file__)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(pathlib.Path(fake.__file__).parent)])
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    return fake


def one(fake, name, act="ok", **options):
    return fake.Pack(trials=(fake.Trial(name, act, **options),), key=name)


def test_a_run_joins_a_cluster(plugin, capfd):
    with cluster_of({"num_cpus": 1}) as cluster:
        heard = train([one(plugin, "a"), one(plugin, "b")], Listener(), address=cluster.address)
    assert heard.statuses() == {"a": "finished", "b": "finished"}
    assert heard.pids().isdisjoint({os.getpid()})
    models = pathlib.Path(heard.seen("a")["models"])
    assert models.parts[-2:] == ("models", "__init__.py") and "runtime_resources" in models.parts  # what was sent
    assert "1 worker on the CPUs of 1 host" in capfd.readouterr().err


@pytest.mark.slow
def test_hosts_that_lack_something_are_named_before_training(plugin, monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_BLENDER_DIR", str(tmp_path / "absent"))
    with cluster_of({"num_cpus": 1}) as cluster:
        heard = Listener()
        with pytest.raises(UsageError, match="BENCH_BLENDER_DIR: .*absent is not there; put it where"):
            train([one(plugin, "a")], heard, address=cluster.address)
    assert heard.outcomes == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["GPU", "TPU"])
def test_devices_that_are_only_said_to_be_there(plugin, kind, capfd, monkeypatch):
    """Two workers a GPU, and one a TPU, with scores beside training as accelerators have it."""
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    resources = {"num_gpus": 1} if kind == "GPU" else {"resources": {"TPU": 2}}
    options = WorkerOptions(devices_each=0.5 if kind == "GPU" else 1.0)
    packs = [one(plugin, name, "sleep 1") for name in "abcd"]
    with cluster_of({"num_cpus": 1, **resources}) as cluster:
        heard = train(packs, Listener(), address=cluster.address, workers=options)
    assert set(heard.statuses().values()) == {"finished"} and len(heard.pids()) == 2
    said = capfd.readouterr().err
    assert f"2 workers on the {kind}s of 1 host" in said
    assert f"Ray counts {2 if kind == 'TPU' else 1} {kind} there, its JAX sees none" in said


@pytest.mark.slow
def test_a_host_that_dies_takes_no_pack_apart(plugin, tmp_path, capfd):
    """Its worker's pack goes on elsewhere, whole, however often."""
    pack = plugin.Pack(trials=(plugin.Trial("a", f"hang_once {tmp_path / 'a'}"), plugin.Trial("b")), key="a")
    with cluster_of({"num_cpus": 0}, {"num_cpus": 1}, {"num_cpus": 1}) as cluster:
        heard = Listener()

        def on_progress(key, trial_ids, progress):
            if progress.phase == "hang_once" and not heard.progress:
                heard.progress.append(key)
                [host] = [node for node in cluster.worker_nodes if node.node_id == host_of_worker()]
                os.kill(pid_of(host, "raylet"), signal.SIGKILL)

        heard.on_progress = on_progress
        train([pack], heard, address=cluster.address)
    assert heard.statuses() == {"a": "finished", "b": "finished"}
    assert heard.seen("b")["ids"] == ["a", "b"]
    assert "worker 0 died (its host was lost); its pack is tried again" in capfd.readouterr().err


def host_of_worker():
    [actor] = ray._private.state.state.actor_table(None, actor_state_name="ALIVE").values()
    return actor["Address"]["NodeID"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["SIGTERM", "drain"])
def test_a_host_that_is_taken_away_is_left_with_a_checkpoint(plugin, tmp_path, how, capfd):
    kept = Kept(tmp_path / "left")
    pack = plugin.Pack(trials=(plugin.Trial("first"), plugin.Trial("second", f"leave wait {kept.path}")), key="a")
    heard = Listener()
    with cluster_of({"num_cpus": 0}, {"num_cpus": 1}, {"num_cpus": 1}) as cluster:

        def take_away():
            wait_for(lambda: heard.outcomes)
            if how == "SIGTERM":
                os.kill(heard.seen("first")["pid"], signal.SIGTERM)
            else:
                drain(cluster)

        thread = threading.Thread(target=take_away)
        thread.start()
        train([pack], heard, address=cluster.address, checkpoints=kept)
        thread.join()
    assert heard.statuses() == {"first": "finished", "second": "finished"}
    assert heard.seen("second")["saved"] == {"second": "three steps"}
    assert heard.seen("second")["pid"] != heard.seen("first")["pid"]
    assert (how == "SIGTERM") or "taken away: it leaves a checkpoint" in capfd.readouterr().err


def drain(cluster):
    node = host_of_worker()
    words = ["drain-node", "--address", cluster.address, "--node-id", node]
    reason = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "test"]
    command = [str(pathlib.Path(sys.executable).parent / "ray"), *words, *reason, "--deadline-remaining-seconds", "600"]
    subprocess.run(command, check=True)


@pytest.mark.slow
def test_a_worker_that_is_stopped_is_replaced(plugin, tmp_path, capfd):
    packs = [
        one(plugin, "stopped", f"stop_once {tmp_path / 'stopped'}"),
        one(plugin, "hung", f"hang_once {tmp_path / 'hung'}"),
    ]
    with cluster_of({"num_cpus": 2}) as cluster:
        heard = train(packs, Listener(), address=cluster.address, workers=WorkerOptions(stall_s=15.0))
    assert heard.statuses() == {"stopped": "finished", "hung": "finished"}
    said = capfd.readouterr().err
    assert "gave no answer" in said and "made no progress" in said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_a_ray_that_dies_is_started_anew(fake, tmp_path, name, capfd):
    """The Ray of a run of this host alone."""

    def kill(key, trial_ids, progress):
        marker = tmp_path / "killed"
        if progress.phase == "sleep" and not marker.exists():
            marker.touch()
            os.kill(pid_of(ray._private.worker._global_node, name), signal.SIGKILL)

    heard = Listener()
    heard.on_progress = kill
    train([one(fake, "a", "sleep 12"), one(fake, "b", "ok", seed=1)], heard)
    assert heard.statuses() == {"a": "finished", "b": "finished"}
    said = capfd.readouterr().err
    assert f"({name}) died; starting it anew" in said and "Traceback" not in said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_a_cluster_that_dies_ends_the_run(plugin, name):
    heard = Listener()
    with cluster_of({"num_cpus": 1}) as cluster:

        def kill(key, trial_ids, progress):
            if progress.phase == "sleep" and not heard.progress:
                heard.progress.append(key)
                os.kill(pid_of(cluster.head_node, name), signal.SIGKILL)

        heard.on_progress = kill
        with pytest.raises(ClusterLost, match="expected the cluster of --address .* the same command continues"):
            train([one(plugin, "done"), one(plugin, "cut", "sleep 300", seed=1)], heard, address=cluster.address)
    assert heard.statuses() == {"done": "finished"} and ClusterLost.exit_code == 1


@pytest.mark.slow
def test_two_drivers_and_one_that_dies(plugin, tmp_path, monkeypatch, capfd):
    """The second says who holds the devices; when the first is killed, it gets them."""
    monkeypatch.setattr(device_wait, "FIRST_S", 5.0)
    code = (
        "import sys; sys.path[:0] = sys.argv[1:3]; import fake_trainer as f; from bench import import_paths; "
        "import_paths._plugin_sources['fake_trainer'] = f.__file__; from tests.fixtures.scheduling import *; "
        "train([f.Pack((f.Trial('x', 'sleep 600'),), 'x')], Listener(), address=sys.argv[3])"
    )
    folder = str(pathlib.Path(plugin.__file__).parent)
    with cluster_of({"num_cpus": 1}) as cluster:
        command = [sys.executable, "-c", code, str(import_paths.ROOT), folder, cluster.address]
        with (tmp_path / "log").open("wb") as log:
            first = subprocess.Popen(command, cwd=folder, stderr=log)
        wait_for(lambda: b" on the CPUs" in (tmp_path / "log").read_bytes())
        said = []

        def end_first():
            wait_for(lambda: said.append(capfd.readouterr().err) or " waited " in "".join(said))
            first.kill()

        thread = threading.Thread(target=end_first)
        thread.start()
        try:
            heard = train([one(plugin, "a")], Listener(), address=cluster.address)
        finally:
            first.kill()
            first.wait()
        thread.join()
    assert heard.statuses() == {"a": "finished"}
    assert "0 of 1 CPU free, held by the driver on" in "".join(said) and f"process {first.pid} (1 worker)" in "".join(
        said
    )
