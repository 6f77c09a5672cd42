"""Time and cost of a run on devices that are not here."""

import json

import pytest

from bench import __main__ as command_line
from bench.errors import UsageError
from bench.training import planned_cluster
from bench.training.packing import ProgramCost
from bench.training.planned_cluster import PlannedTime, parse_devices, plan_time, profiles_of_kind
from tests.fixtures.fake_trainer import Pack, Steps, Trial

COSTS = {"a": ProgramCost(10.0, 0.1, 0.0), "b": ProgramCost(5.0, 1.0, 0.0)}


def pack(key, seed, num_steps):
    return Pack(trials=(Trial(f"{key}{seed}{num_steps}", seed=seed, method=Steps(num_steps)),), key=key)


@pytest.mark.parametrize(
    ("num_devices", "wall_s", "busy_s"),
    [
        (1, 10 + 3 * 10 + 5 + 20, 65),  # each program is compiled once
        (2, 25 + 20, 30 + 25 + 20),  # a twice on one, b on the other, which then compiles a too
        (100, 25, 3 * 20 + 25),  # no pack is divided
    ],
)
def test_packs_are_handed_out_as_in_a_run(num_devices, wall_s, busy_s):
    packs = [*(pack("a", 0, 100) for _ in range(3)), pack("b", 0, 20)]
    assert plan_time(packs, COSTS, num_devices) == pytest.approx((wall_s, busy_s))


def test_more_devices_never_take_longer_than_one():
    packs = [pack("ab"[i % 2], i % 3, 10 + 7 * i % 50) for i in range(40)]
    alone = plan_time(packs, COSTS, 1)
    for num in (2, 3, 8, 64):
        found = plan_time(packs, COSTS, num)
        assert alone.wall_s / num <= found.wall_s <= alone.wall_s and found.busy_s >= alone.busy_s


@pytest.mark.parametrize("text", ["", "H100", "0xH100", "64", "x", "-1xH100"])
def test_devices_in_other_words(text):
    with pytest.raises(UsageError, match="--devices: expected a number and a kind of device"):
        parse_devices(text)


def test_figures_of_other_devices_are_not_taken():
    profiles = [{"device": "cpu"}, {"device": "NVIDIA H100 80GB HBM3"}]
    assert profiles_of_kind(profiles, parse_devices("64xh100")) == profiles[1:]
    with pytest.raises(UsageError, match="expected profiles of A100 in --profile, got those of NVIDIA H100 80GB"):
        profiles_of_kind(profiles, parse_devices("8xA100"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--devices", "64xH100"], "--devices: expected --profile FILE beside it"),
        (["--price-per-hour", "2.5"], "--price-per-hour: expected --devices beside it"),
        (["--devices", "64xH100", "--profile", "p.json", "--workers", "2"], "expected neither --workers nor --json"),
    ],
)
def test_options_that_belong_together(words, said, capsys):
    assert command_line.main(["plan", "--suite", "sparse-views", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_study_on_a_cluster_that_is_not_here(tmp_path, monkeypatch, capsys):
    """Every program costs what a profile of its method says; the price is of the hours that devices are held."""
    monkeypatch.setattr("bench.training.packing.method_digest", lambda trial: "same")
    found = {"method_digest": "same", "pack_size": 32, "trace_s": 10, "compile_cold_s": 50, "field_step_ms": 3600}
    (tmp_path / "p.json").write_text(json.dumps([found | {"device": "NVIDIA H100 80GB HBM3"}]))
    words = ["plan", "--suite", "sparse-views", "--budget", "smoke", "--only", "variant=nerf", "--only", "scene=kettle"]
    words += ["--results", str(tmp_path / "none"), "--seeds", "0", "--profile", str(tmp_path / "p.json")]
    assert command_line.main([*words, "--devices", "64xH100", "--price-per-hour", "2"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("64 x H100: about 2 min ") and "USD; training and compiling, no scoring" in last
    assert planned_cluster.plan_time([], {}, 64) == PlannedTime(0.0, 0.0)
