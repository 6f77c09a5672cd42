"""A run notices at once that Ray has died, and never waits for a dead one without a word."""

import time

import pytest

from bench.errors import ClusterLost

ray_health = pytest.importorskip("bench.training.ray_health", exc_type=ImportError)


class Node:
    """What Ray knows of the processes of a host."""

    def __init__(self, *dead):
        self.dead = [(name, None) for name in dead]

    def dead_processes(self):
        return self.dead


@pytest.mark.parametrize(
    ("node", "told"),
    [
        (Node(), None),
        (Node("log_monitor"), None),
        (Node("log_monitor", "raylet"), "a process of Ray's (raylet) died"),
        (Node("gcs_server"), "a process of Ray's (gcs_server) died"),
        (None, None),
    ],
)
def test_what_has_died(node, told):
    assert ray_health.name_dead_process(node) == told


def test_a_run_that_hangs_on_a_dead_ray_ends_with_a_line(capsys):
    codes = []
    with ray_health.end_when_stuck(lambda: "the raylet died", 0.1, codes.append):
        deadline = time.monotonic() + 10
        while not codes and time.monotonic() < deadline:
            time.sleep(0.02)
    assert codes == [ClusterLost.exit_code]
    told = "bench: ray: the raylet died, and it answers no more; the same command continues\n"
    assert capsys.readouterr().err == told


def test_a_run_that_notices_goes_on():
    """What has died is alive again, as Ray was started anew."""
    answers = iter(["the raylet died"] + [None] * 1000)
    codes = []
    with ray_health.end_when_stuck(lambda: next(answers), 0.1, codes.append):
        time.sleep(0.4)
    assert codes == []


def test_nothing_is_looked_at_after_the_run():
    asked = []
    with ray_health.end_when_stuck(lambda: asked.append(1), 0.1, asked.append):
        pass
    time.sleep(0.3)
    assert len(asked) <= 1
