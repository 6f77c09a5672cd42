"""How Ray is started, how a cluster is joined, and what is said when neither works."""

import logging
import os
import socket
import subprocess
import sys

import pytest
from ray._private import services

from bench import import_paths
from bench.errors import UsageError
from bench.import_paths import ROOT
from bench.storage import environment
from bench.training import ray_connection
from bench.training.ray_connection import describe_cause


class TestConnect:
    """Ray itself is replaced: only the way in which it is asked counts."""

    def replace_ray(self, monkeypatch, init):
        monkeypatch.setattr(ray_connection.ray, "is_initialized", lambda: False)
        monkeypatch.setattr(ray_connection.ray, "shutdown", lambda: None)
        monkeypatch.setattr(ray_connection.ray, "init", init)

    def test_a_cluster_is_given_our_code_and_the_users_plugins(self, monkeypatch):
        asked = {}
        self.replace_ray(monkeypatch, lambda **options: asked.update(options))
        monkeypatch.setattr(import_paths, "plugin_sources", lambda: ["/home/me/my_pkg"])
        commit = {"BENCH_GIT_COMMIT": "abc", "BENCH_GIT_DIRTY": "0"}
        monkeypatch.setattr(environment, "commit_variables", lambda: commit)
        monkeypatch.setenv("BENCH_DATA_DIR", "/data")
        with socket.create_server(("127.0.0.1", 0)) as server:
            here = f"127.0.0.1:{server.getsockname()[1]}"
            with ray_connection.connect_ray(here) as is_local:
                assert not is_local
        assert asked["address"] == here
        sent = asked["runtime_env"]
        assert sent["working_dir"] == str(ROOT)
        assert {"/.[!.]*", "/results", "/reports"} <= set(sent["excludes"])
        assert sent["py_modules"] == ["/home/me/my_pkg"]
        assert sent["env_vars"].items() >= (commit | {"BENCH_DATA_DIR": "/data"}).items()

    def test_ray_of_this_host_is_small_and_quiet(self, monkeypatch):
        asked = {}
        self.replace_ray(
            monkeypatch,
            lambda **options: asked.update(options, path=os.environ["PYTHONPATH"], ip=services.get_node_ip_address()),
        )
        monkeypatch.delenv("PYTHONPATH", raising=False)
        monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
        with ray_connection.connect_ray(None) as is_local:
            assert is_local
        asked.pop("_temp_dir")  # tests/bench/training/test_socket_folder.py
        assert asked == {
            "address": "local",  # never somebody else's that happens to run here
            "include_dashboard": False,
            "log_to_driver": False,
            "logging_level": logging.ERROR,
            "object_store_memory": 256 * 2**20,
            "path": str(ROOT),
            "ip": "127.0.0.1",  # where its processes listen
        }
        assert "PYTHONPATH" not in os.environ
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"

    @pytest.mark.parametrize(("address", "place"), [(None, "on this host"), ("auto", "at --address auto")])
    def test_ray_that_does_not_start(self, monkeypatch, address, place):
        def init(**options):
            raise ConnectionError("nobody there\nand more")

        self.replace_ray(monkeypatch, init)
        message = f"{place}, got ConnectionError: nobody there; .* --executor inline"
        with pytest.raises(UsageError, match=message), ray_connection.connect_ray(address):
            pass

    def test_a_start_that_times_out_is_one_line(self, monkeypatch):
        def init(**options):
            raise Exception("The current node timed out during startup.\nThis could happen because ...")

        self.replace_ray(monkeypatch, init)
        message = "on this host.* timed out .* --executor inline"
        with pytest.raises(UsageError, match=message) as raised, ray_connection.connect_ray(None):
            pass
        assert "\n" not in str(raised.value)

    def test_errors_of_the_run_itself_are_not_about_ray(self, monkeypatch):
        self.replace_ray(monkeypatch, lambda **options: None)
        with pytest.raises(ZeroDivisionError), ray_connection.connect_ray(None):
            raise ZeroDivisionError

    def test_nobody_at_an_address_is_found_out_at_once(self, monkeypatch):
        self.replace_ray(monkeypatch, None)
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        message = f"--address 127.0.0.1:{port}, got ConnectionRefusedError"
        with pytest.raises(UsageError, match=message), ray_connection.connect_ray(f"127.0.0.1:{port}"):
            pass

    def test_a_cluster_that_asks_for_its_token(self, monkeypatch):
        def init(**options):
            raise ConnectionError("no") from RuntimeError("ray.exceptions.AuthenticationError: InvalidAuthToken")

        self.replace_ray(monkeypatch, init)
        with pytest.raises(UsageError, match="token: copy .* RAY_AUTH_TOKEN_PATH"), ray_connection.connect_ray("auto"):
            pass


OF_A_RUNTIME_ENVIRONMENT = """Failed to set up runtime environment.
[Node 192.0.2.2] Traceback (most recent call last):
  File "agent.py", line 561, in create
TypeError:  path_or_uri must be a string, got <class 'NoneType'>.
"""

OF_VERSIONS = """Version mismatch: The cluster was started with:
    Ray: 2.60.0
    Python: 3.11.7
This process was started with:
    Ray: 2.59.0"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (OF_A_RUNTIME_ENVIRONMENT, "TypeError:  path_or_uri must be a string, got <class 'NoneType'>."),
        (OF_VERSIONS, "Version mismatch: The cluster was started with: Ray: 2.60.0 Python: 3.11.7 "),
        ("\x1b[36mray::look()\x1b[39m (pid=1, ip=192.0.2.2)\n  File 'a.py', line 1\nKeyError: 'a'", "KeyError: 'a'"),
        ("nobody there\nand more", "nobody there"),
        ("", ""),
    ],
)
def test_the_cause_is_one_line(text, expected):
    said = describe_cause(RuntimeError(text))
    assert said.startswith(f"RuntimeError: {expected}") and "\n" not in said


@pytest.mark.slow
def test_ray_starts_without_a_home_and_with_a_long_tmpdir(tmp_path):
    program = "from bench.training.ray_connection import connect_ray\nwith connect_ray(None) as here:\n    print(here)"
    odd = {"HOME": "/dev/null", "TMPDIR": str(tmp_path / ("x" * 100))}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=kept | odd, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "True\n" and done.returncode == 0, done.stderr
