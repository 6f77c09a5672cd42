"""A profile of a small method: its figures follow from one another, and its file makes a plan."""

from __future__ import annotations

import functools
import json

import pytest

from bench.cli.plan import read_profiles
from bench.errors import UsageError
from bench.report.tables import profile_tables
from bench.suites import registry
from bench.suites.selection import Selection
from bench.training import device_peaks, packing, profile_suite, profiling, run_plan
from bench.training.device_peaks import measure_peaks
from bench.training.profiling import SCOPES, make_pack
from models.dietnerf import DIETNERF
from tasks.budgets import BUDGETS, sized
from tests.fixtures.toy_studies import toy_suite

SMOKE = BUDGETS["smoke"]
SMALL = ("simplified_nerf.field.width=8", "simplified_nerf.field.depth=1", "budget.num_samples=4")


@pytest.fixture(scope="module")
def profiles():
    suite = profile_suite.ProfileSuite(
        methods=("simplified_nerf",), budget=SMOKE, pack_sizes=(2,), steps=2, traces=True, settings=SMALL
    )
    with pytest.MonkeyPatch.context() as patch:  # products of 1024 rows take most of a test's time
        patch.setattr(device_peaks, "measure_peaks", functools.partial(measure_peaks, 256))
        patch.setattr(profiling, "MIN_TIMED_S", 0.05)
        return profile_suite.profile_methods(suite)


def test_figures_follow_from_each_other(profiles):
    (found,) = profiles
    assert found.field_step_ms == pytest.approx(found.step_ms / 2)
    assert found.flops_per_s * found.step_ms / 1e3 == pytest.approx(found.flops_per_step)
    assert 0 < found.share_of_peak < 1.5
    assert found.points_per_step == SMOKE.num_rays * 4


def test_operations_are_those_of_the_layers(profiles):
    (found,) = profiles
    points = 2 * SMOKE.num_rays * 4
    # Forward and the kernels' gradients of three layers; the first layer's input needs no gradient.
    layers = 40 * 8 + 8 * 4  # 39 encoded features, filled up to a multiple of 8
    assert found.flops_by_scope["field"] == 2 * points * (2 * layers + 8 * 4)
    assert found.product_types == {"float32 x float32 -> float32": found.flops_by_scope["field"]}


def test_the_second_compile_finds_the_first(profiles):
    (found,) = profiles
    assert found.compile_warm_s < found.compile_cold_s


def test_parts_of_a_step_are_told_apart(profiles):
    (found,) = profiles
    assert set(found.scope_ms) <= {*SCOPES, "other"}
    assert found.scope_ms["field"] > 0
    assert found.scope_ms["optimizer"] > 0


def test_a_table_is_printed(profiles, capsys):
    profile_tables.print_profiles(profiles)
    text = capsys.readouterr().out
    assert "simplified_nerf, 2 at once: field computes 100% float32" in text
    assert "ms a step" in text


def plan_of(pack):
    """A plan that is nothing but one pack."""
    suite = toy_suite(num_scenes=1)
    trials, cells = suite.expand(SMOKE)
    chosen = Selection(suite=suite, budget=SMOKE, trials=trials, cells=cells)
    return run_plan.RunPlan(chosen=chosen, packs=[pack], num_workers=1)


def test_a_plan_reads_profiles(profiles, tmp_path):
    path = tmp_path / "profile.json"
    path.write_text(json.dumps([found.to_json() for found in profiles]))
    methods, budget = profile_suite.apply_settings(
        profile_suite.ProfileSuite(methods=("simplified_nerf",), budget=SMOKE, settings=SMALL)
    )
    pack = make_pack("simplified_nerf", methods["simplified_nerf"], budget, 2)
    plan = plan_of(pack)
    costs = run_plan.costs_from_profiles(plan, read_profiles(path)).costs
    assert costs[pack.key].step_s == pytest.approx(profiles[0].field_step_ms / 1e3)
    other = make_pack("dietnerf", DIETNERF, SMOKE, 2)
    with pytest.raises(UsageError, match="bench profile --method dietnerf --budget smoke"):
        run_plan.costs_from_profiles(plan_of(other), read_profiles(path))


@pytest.mark.parametrize("text", ["", "{}", '[{"pack_size": 1}]', "[1]"])
def test_another_file_is_refused(text, tmp_path):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="--profile: expected"):
        read_profiles(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        read_profiles(tmp_path / "none.json")


def test_a_setting_of_no_method_is_refused():
    suite = profile_suite.ProfileSuite(methods=("nerf",), budget=SMOKE, settings=("dietnerf.num_rays=3",))
    with pytest.raises(UsageError, match="dietnerf"):
        profile_suite.apply_settings(suite)


def test_methods_say_how_often_a_step_is_expensive():
    assert sized(DIETNERF, SMOKE).rare_every == 10
    assert registry.variant("nerf").rare_every == registry.variant("dream_fields").rare_every == 1
    assert registry.variant("dream_fields_mq_fast").rare_every == 16


def test_peaks_are_positive():
    peaks = measure_peaks(64)
    assert peaks.width == 64
    assert min(peaks.bfloat16_product, peaks.float32_product, peaks.copy) > 0
    assert peaks.fastest_product == max(peaks.bfloat16_product, peaks.float32_product)


def test_methods_of_captions_get_a_caption():
    pack = make_pack("dream_fields", registry.variant("dream_fields"), SMOKE, 3)
    assert len(pack.trials) == 3
    assert len({packing.method_digest(trial) for trial in pack.trials}) == 1
