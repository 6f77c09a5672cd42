"""A driver of Ray's workers starts no accelerator: JAX would take three quarters of the memory that workers need."""

import os
import subprocess
import sys

import jax
import pytest

from bench.import_paths import ROOT
from bench.training import devices

LOOK = """
import sys
import jax
from jax._src import xla_bridge
from bench.__main__ import main
from bench.training import run_suite

def look(trials):
    print(len(trials) > 0, jax.config.jax_platforms, xla_bridge.backends_are_initialized())
    sys.exit(7)

run_suite.check_before_training = look
main(sys.argv[1:])
"""

# Of both the executor is Ray, unless another one is asked for.
COMMANDS = {
    "run": ["run", "--suite", "ablations", "--only", "arm=NeRF"],
    "compare": ["compare", "models.fields.networks:Voxels", "--against", "nerf"],
}


@pytest.mark.parametrize("verb", COMMANDS)
def test_jax_has_not_started_when_a_run_begins(verb, tmp_path):
    words = [*COMMANDS[verb], "--budget", "smoke", "--results", str(tmp_path / "results")]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("JAX_PLATFORMS")}
    ran = subprocess.run(
        [sys.executable, "-c", LOOK, *words],
        env=variables | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 7, ran.stderr
    assert ran.stdout.split()[-3:] == ["True", "cpu", "False"]


def test_what_was_set_before_is_set_again(monkeypatch):
    before = jax.config.values["jax_platforms"]
    with pytest.raises(ZeroDivisionError), devices.leave_to_workers():
        assert jax.config.values["jax_platforms"] == "cpu"
        raise ZeroDivisionError
    assert jax.config.values["jax_platforms"] == before
