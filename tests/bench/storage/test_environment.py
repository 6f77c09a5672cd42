"""The environment of a trial names versions, device and commit, and neither hosts nor users."""

import json
import os
import pathlib
import re
import subprocess

from bench.import_paths import ROOT
from bench.storage import environment


def test_environment_says_what_was_used_and_by_nobody():
    import jax
    import numpy

    found = environment.describe_environment()
    assert found["packages"]["jax"] == jax.__version__
    assert found["packages"]["numpy"] == numpy.__version__
    assert re.fullmatch(r"3\.\d+\.\d+.*", found["python"])
    assert found["num_devices"] == jax.local_device_count()
    text = json.dumps(found, allow_nan=False)
    assert str(ROOT) not in text
    assert str(pathlib.Path.home()) + "/" not in text
    assert os.uname().nodename not in text


def test_commit_and_changes_of_a_checkout(tmp_path, monkeypatch):
    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *who, *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    for name in ("GIT_DIR", "BENCH_GIT_COMMIT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    ask = environment._git.__wrapped__
    assert ask() == (None, None)  # no checkout
    git("init", "-q")
    assert ask() == (None, None)  # no commit
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "a.py").write_text("")
    git("add", ".")
    git("commit", "-q", "-m", "a")
    assert ask() == (git("rev-parse", "HEAD"), False)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "new").write_text("")
    assert ask()[1] is False  # a run writes results itself
    (tmp_path / "bench" / "b.py").write_text("")
    assert ask()[1] is True
    monkeypatch.setattr(environment, "ROOT", tmp_path / "bench")
    assert ask() == (None, None)  # inside of somebody else's checkout
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", "")
    assert ask() == (None, None)  # no git


def test_a_worker_without_a_checkout_is_told_the_commit(monkeypatch):
    monkeypatch.setattr(environment, "_git", lambda: ("abc", True))
    variables = environment.commit_variables()
    monkeypatch.undo()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert environment._git.__wrapped__() == ("abc", True)
    monkeypatch.setattr(environment, "_git", lambda: (None, None))
    assert environment.commit_variables() == {}
