"""What is finished is left out of a plan; time is estimated where a pilot measured the programs."""

import dataclasses

import pytest

from bench.report.tables import plan_tables
from bench.storage.store import Store
from bench.suites.selection import Selection
from bench.training import packing, programs, run_plan, run_suite
from bench.training.failure_policy import FailurePolicy
from tasks.sparse_views.captured.captured_scene import CapturedScene
from tests.fixtures import toy_studies
from tests.fixtures.captured_scenes import write_transforms
from tests.fixtures.toy_studies import SMOKE, toy_suite

COST = packing.ProgramCost(compile_s=4.0, step_s=0.5, render_s=1.0)


@pytest.fixture
def chosen():
    suite = toy_suite(num_scenes=2)
    trials, cells = suite.expand(SMOKE)
    return Selection(suite=suite, budget=SMOKE, trials=trials, cells=cells)


@pytest.fixture
def plan(chosen, tmp_path):
    """A plan with one trial finished, and a pilot that measures nothing."""
    trials_store = Store.open(tmp_path)
    trials_store.write(toy_studies.outcome(chosen.trials[0]))
    return run_plan.make_plan(chosen, trials_store, pack_size=1, num_workers=1)


@pytest.fixture
def piloted(plan, monkeypatch, capsys):
    monkeypatch.setattr(run_suite, "prepare_data", lambda trials: None)
    monkeypatch.setattr(programs, "run_pilot", lambda pack: COST)
    return run_plan.measure_costs(plan)


def test_a_finished_trial_is_left_out(plan, chosen):
    assert plan.num_missing == len(chosen.trials) - 1
    assert chosen.trials[0].id not in {trial.id for pack in plan.packs for trial in pack.trials}


def test_nobody_knows_how_long_without_a_pilot(plan):
    assert plan.left_s is None and plan.to_json()["left_s"] is None


def test_time_is_that_of_all_packs_one_after_the_other(piloted):
    num_programs = len(piloted.costs)
    of_packs = sum(pack.num_steps * COST.step_s + len(pack.trials) * COST.render_s for pack in piloted.packs)
    assert num_programs > 0
    assert piloted.left_s == pytest.approx(num_programs * COST.compile_s + of_packs)


def test_nothing_to_train_needs_no_pilot(chosen, monkeypatch):
    monkeypatch.setattr(programs, "run_pilot", lambda pack: pytest.fail("there is nothing to time"))
    empty = run_plan.RunPlan(chosen=chosen, packs=[], num_workers=1)
    assert run_plan.measure_costs(empty) is empty


def test_json_tells_how_arms_differ(plan):
    told = plan.to_json()
    assert told["suite"] == "toys" and told["budget"] == "smoke"
    assert told["differences"]["toys"]["Base"] == {}
    assert told["differences"]["toys"]["Fast"]["method.learning_rate"][0] == toy_studies.FAST.learning_rate


def test_a_plan_says_what_is_done_about_failures_and_which_baseline_is_not_chosen(plan, capsys):
    cells = [cell for cell in plan.chosen.cells if cell.arm != "Base"]
    odd = dataclasses.replace(
        plan, chosen=dataclasses.replace(plan.chosen, cells=cells), policy=FailurePolicy(max_failures=3)
    )
    assert (odd.to_json()["policy"], odd.to_json()["without_baseline"]["toys"]) == ("stops after 3 failures", "Base")
    assert (plan.to_json()["policy"], plan.to_json()["without_baseline"]) == ("", {})
    plan_tables.print_plan(odd)
    printed = capsys.readouterr().out
    assert "failures: stops after 3 failures" in printed
    assert "toys: without Base, its baseline: means and no differences" in printed


def test_printed_plan(piloted, capsys):
    plan_tables.print_plan(piloted)
    printed = capsys.readouterr().out
    assert "differs from Base in" in printed and "programs" in printed and "4.0 s" in printed
    assert "1 of them finished" in printed and "on 1 worker of this kind" in printed
    assert printed.startswith(f"{len({t.task.scene for t in piloted.chosen.trials})} scenes: ")
    assert "…" not in printed  # no name is cut


def test_a_plan_of_finished_trials_has_no_table_of_programs(plan, capsys):
    suite = dataclasses.replace(plan.chosen.suite, left_out={"smoke": "More at standard."})
    plan_tables.print_plan(dataclasses.replace(plan, packs=[], chosen=dataclasses.replace(plan.chosen, suite=suite)))
    printed = capsys.readouterr().out
    assert "\nMore at standard.\n" in printed
    assert "programs" not in printed and "of them finished" in printed


def test_a_plan_counts_photographs_and_tells_doubts_in_a_line_each(tmp_path):
    place = write_transforms(tmp_path / "garden", top={"mask_folder": "x"})
    task = CapturedScene(scene="garden", folder=str(place.parent), num_views=3, image_px=6)
    first, *others = plan_tables.describe_folder_scene(task)
    assert first == "scene garden: 14 photos to train on, 2 held out; trained and scored at 6 x 4 px; unbounded"
    assert any("doubt: the key 'mask_folder' is not known" in line for line in others)
