"""What workers on other hosts are given."""

import dataclasses
import zipfile

import pytest

from bench import import_paths
from bench.import_paths import ROOT
from bench.storage import environment
from bench.training import worker_environment
from bench.training.worker_environment import with_whole_paths, worker_runtime_env, worker_variables


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("BENCH_BLENDER_DIR", "scenes", "/home/me/scenes"),
        ("BENCH_COCO_CAPTIONS", "./a.txt", "/home/me/a.txt"),
        ("BENCH_DATA_DIR", "/data", "/data"),
        ("BENCH_BLENDER_URL", "https://a.b/c.zip", "https://a.b/c.zip"),
        ("BENCH_SPLIT_RAYS", "0", "0"),
        ("HF_HOME", "../hf", "/home/hf"),
        ("HF_TOKEN", "secret", "secret"),
        ("HF_HUB_OFFLINE", "1", "1"),
        ("JAX_PLATFORMS", "cpu", "cpu"),
        ("JAX_COMPILATION_CACHE_DIR", "c", "/home/me/c"),
        ("XLA_FLAGS", "--xla_a=1", "--xla_a=1"),
        ("XDG_CACHE_HOME", "cache", "/home/me/cache"),
        ("HTTPS_PROXY", "http://p:1", "http://p:1"),
        ("BENCH_GIT_COMMIT", "abc", None),  # told anew, with whether it is dirty
        ("BENCH_SCALING_BEGAN", "1.0", None),
        ("JAX_COORDINATOR_ADDRESS", "h:1", None),
        ("JAX_PROCESS_ID", "0", None),
        ("BENCH_DATA_DIR", "", None),
        ("HOME", "/home/me", None),
        ("AWS_SECRET_ACCESS_KEY", "s", None),
        ("CUDA_VISIBLE_DEVICES", "0", None),
    ],
)
def test_variables(name, value, expected, monkeypatch):
    monkeypatch.setattr(worker_environment.os, "getcwd", lambda: "/home/me")
    assert worker_variables({name: value}) == ({} if expected is None else {name: expected})


def test_fields_that_are_empty_are_left_out(monkeypatch):
    """Ray 2.60 starts no worker with an empty `py_modules`."""
    monkeypatch.setattr(import_paths, "plugin_sources", list)
    monkeypatch.setattr(environment, "commit_variables", dict)
    for name in worker_variables(dict(worker_environment.os.environ)):
        monkeypatch.delenv(name)
    assert set(worker_runtime_env()) == {"working_dir", "excludes"}


def test_our_code_is_sent_and_little_else(tmp_path, monkeypatch):
    """As Ray packs it: `/.*` among what is left out would leave out the root, and all that is in it."""
    packaging = pytest.importorskip("ray._private.runtime_env.packaging")
    root = tmp_path / "root"
    for path in ("bench/__init__.py", "models/a/b.py", ".git/config", ".venv/lib/x.py", "results/runs/a", "README.md"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x")
    monkeypatch.setattr(import_paths, "ROOT", root)
    sent = worker_runtime_env()
    packaging.create_package(
        sent["working_dir"], tmp_path / "sent.zip", include_gitignore=True, excludes=sent["excludes"]
    )
    names = {name for name in zipfile.ZipFile(tmp_path / "sent.zip").namelist() if not name.endswith("/")}
    assert names == {"bench/__init__.py", "models/a/b.py", "README.md"}
    assert (ROOT / "bench").is_dir()


@dataclasses.dataclass(frozen=True)
class Task:
    scene: str = "fox"
    folder: str | None = None


@dataclasses.dataclass(frozen=True)
class Trial:
    id: str
    task: Task
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Pack:
    trials: tuple
    key: str = "a"
    num_steps: int = 1

    def split(self):
        return [self]

    def without(self, trial_ids):
        return self


def test_folders_of_tasks_are_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pack = Pack((Trial("a", Task(folder="photos")), Trial("b", Task())))
    sent = with_whole_paths(pack)
    assert [trial.task.folder for trial in sent.trials] == [str(tmp_path / "photos"), None]
    assert with_whole_paths(sent) is sent
