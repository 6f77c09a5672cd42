"""Accelerators are counted from what the environment and the system say."""

import pytest

from bench.training import accelerators


@pytest.mark.parametrize(
    ("platforms", "shown", "found", "expected"),
    [
        ("cpu", None, ["/dev/nvidia0"], 0),
        ("", None, ["/dev/nvidia0", "/dev/nvidia1", "/dev/nvidia-uvm"], 2),
        ("", "1", ["/dev/nvidia0", "/dev/nvidia1"], 1),
        ("cuda,cpu", "", ["/dev/nvidia0"], 0),
        ("", "-1", ["/dev/nvidia0"], 0),
    ],
)
def test_accelerators_are_counted_without_starting_one(platforms, shown, found, expected, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    if shown is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    monkeypatch.setattr(accelerators.importlib.util, "find_spec", lambda name: "cuda" in name)
    monkeypatch.setattr(accelerators.glob, "glob", lambda pattern: found)
    assert accelerators.num_accelerators() == expected
