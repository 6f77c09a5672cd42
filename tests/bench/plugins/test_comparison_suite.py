"""What is compared with what, where trials come from, and what it comes to."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from flax import linen

from bench.analysis import findings, paired_comparison
from bench.errors import UsageError
from bench.metrics.task_kinds import kind_named
from bench.plugins import comparison_suite
from bench.report.tables import costs, footers
from bench.storage.store import Store
from bench.suites import registry
from bench.suites.suite import TrialSlot
from bench.suites.trial import Trial
from models.dream_fields import DREAM_FIELDS, DREAM_FIELDS_2022
from models.nerf import NERF, NERF_2021
from tasks.budgets import BUDGETS
from tests.fixtures import toy_studies
from tests.fixtures.toy_studies import BASE, FAST, METRICS, SMOKE, ToyScene, outcome, toy_suite
from tests.fixtures.toys import ToyMethod

QUICK, PAPER = BUDGETS["quick"], BUDGETS["paper"]
TRIAL = Trial(task=ToyScene(), method=BASE, budget=SMOKE, seed=0, variant="toy_base")


class Mine(linen.Module):
    """A user's network."""

    width: int = 8


METHOD = ToyMethod(label="mine")


@pytest.fixture(autouse=True)
def plugins(monkeypatch):
    """References to this file, without importing it a second time."""
    known = {"mine:Mine": Mine, "mine:METHOD": METHOD, "mine:COPY": BASE, "mine:Base": ToyMethod(label="other")}
    monkeypatch.setattr(registry.import_paths, "import_plugin", known.__getitem__)
    monkeypatch.setattr(comparison_suite.identity, "code_digest", lambda method: "0a1b2c3d")


def made(suite, name, *words, budget=SMOKE, records=()):
    study = comparison_suite.make_comparison(suite, budget, name, words, records)
    return study, study.suite.tables_at(budget)


class TestStudy:
    def test_a_table_a_baseline_read_together(self):
        study, tables = made(toy_suite(), "mine:METHOD", "toy_base,toy_fast")
        assert [(t.name, t.baseline, list(t.arms)) for t in tables] == [
            ("against Base", "Base", ["METHOD", "Base"]), ("against Fast", "Fast", ["METHOD", "Fast"]),
        ]  # fmt: skip
        assert study.suite.read_together and study.stored is None
        assert study.suite.question == "Is METHOD better than Base and Fast?"
        assert tables[0].metrics == METRICS and len(tables[0].tasks) == 6
        arm = tables[0].arms["METHOD"]
        assert (arm.method, arm.variant) == (METHOD, "METHOD+code=0a1b2c3d")
        assert arm.note == "mine:METHOD, code 0a1b2c3d"

    def test_the_first_tables_baseline_if_none_is_named(self):
        assert [table.baseline for table in made(toy_suite(), "mine:METHOD")[1]] == ["Base"]

    @pytest.mark.parametrize(
        ("word", "label", "num_views"),
        [("toy_base", "Base", {}), ("Base, 5 views", "Base, 5 views", {"num_views": 5}), ("Fast", "Fast", {})],
    )
    def test_baselines_by_variant_or_label(self, word, label, num_views):
        (table,) = made(toy_suite(), "mine:METHOD", word)[1]
        assert table.baseline == label and dict(table.arms[label].task) == num_views

    def test_the_table_that_holds_the_named_arms(self):
        (table,) = made(toy_suite(), "mine:METHOD", "toy_odd")[1]
        assert len(table.tasks) == 1

    def test_as_many_tasks_and_seeds_as_the_baseline(self):
        few = dataclasses.replace(toy_suite().tables["smoke"][0].arms["Fast"], num_tasks=2, num_seeds=1)
        suite = toy_suite(num_seeds=3, Fast=few)
        trials, cells = made(suite, "mine:METHOD", "Fast,Base")[0].suite.expand(SMOKE)
        count = {}
        for cell in cells:
            count[cell.table, cell.arm] = count.get((cell.table, cell.arm), 0) + 1
        assert count == {
            ("against Fast", "METHOD"): 2, ("against Fast", "Fast"): 2,
            ("against Base", "METHOD"): 18, ("against Base", "Base"): 18,
        }  # fmt: skip
        assert len(trials) == 18 + 18 + 2  # the method's trials against Fast are among those against Base

    def test_an_arm_of_the_suite_may_be_compared_itself(self):
        (table,) = made(toy_suite(), "toy_fast")[1]
        assert table.arms["Fast"].method == FAST and table.arms["Fast"].variant == "toy_fast"

    def test_a_variant_that_is_no_arm_is_taken_as_it_stands(self):
        (table,) = made(registry.suite("sparse-views"), "dietnerf", "mip_nerf", budget=QUICK)[1]
        assert table.arms["mip_nerf"].method == registry.variant("mip_nerf")
        assert table.protocol == "std-v1" and "DietNeRF" in table.arms

    def test_a_label_that_is_taken_already(self):
        study, tables = made(toy_suite(), "mine:Base")
        assert study.label == "Base, yours" and list(tables[0].arms) == ["Base, yours", "Base"]


class TestRecipes:
    @pytest.mark.parametrize(
        ("suite", "budget", "recipe"),
        [("sparse-views", QUICK, NERF), ("sparse-views", PAPER, NERF_2021), ("text-to-3d", QUICK, DREAM_FIELDS)],
    )
    def test_what_a_network_becomes_the_field_of(self, suite, budget, recipe):
        (table,) = made(registry.suite(suite), "mine:Mine", budget=budget)[1]
        assert table.arms["Mine"].method == dataclasses.replace(recipe, field=Mine())

    def test_captions_at_paper(self):
        assert kind_named("caption").recipes[1] == "dream_fields_2022"
        assert registry.variant("mine:Mine", "dream_fields_2022") == dataclasses.replace(
            DREAM_FIELDS_2022, field=Mine()
        )

    def test_an_arm_of_captions_is_the_suites_value(self):
        suite = registry.suite("text-to-3d")
        (table,) = made(suite, "mine:Mine", "dream_fields_hash_grid", budget=QUICK)[1]
        assert table.baseline == "hash grid"
        assert table.arms["hash grid"].method == suite.tables_at(QUICK)[0].arms["hash grid"].method
        assert made(suite, "mine:Mine", "hash grid,voxel grid", budget=QUICK)[1][1].baseline == "voxel grid"


class TestMistakes:
    def test_an_unknown_baseline(self):
        with pytest.raises(
            UsageError,
            match="--against: expected an arm of 'toys' or a variant, got 'toy_bass'; the nearest is 'toy_base'",
        ):
            made(toy_suite(), "mine:METHOD", "toy_bass")

    def test_an_unknown_method(self):
        with pytest.raises(
            UsageError,
            match="compare: expected a variant, module:object, or the name of renders.* the nearest is 'dietnerf'",
        ):
            made(toy_suite(), "dietnref")

    def test_a_method_against_itself(self):
        with pytest.raises(
            UsageError,
            match="compare mine:COPY: expected another method .* got Base, which is the same; .*from 'Fast', 'Base, 5",
        ):
            made(toy_suite(), "mine:COPY", "Base")

    @pytest.mark.parametrize(
        ("suite", "name", "word", "said"),
        [
            (
                "sparse-views",
                "dream_fields",
                "nerf",
                "dream_fields: .* starts from photographs.* got one that .* captions",
            ),
            ("text-to-3d", "mine:Mine", "dietnerf", "dietnerf: .* starts from captions.* got one that .* photographs"),
        ],
    )
    def test_another_kind_of_method(self, suite, name, word, said):
        with pytest.raises(UsageError, match=said):
            made(registry.suite(suite), name, word, budget=QUICK)


@pytest.fixture
def imported():
    """Records of renders of four scenes, and of one at another budget."""
    found = []
    for budget, scenes in ((SMOKE, toy_studies.SCENES[:4]), (QUICK, toy_studies.SCENES[:1])):
        for scene in scenes:
            trial = Trial(task=ToyScene(scene=scene), method=BASE, budget=budget, seed=0, variant="theirs")
            found.append(outcome(trial).record)
    return found


class TestImported:
    def test_they_have_places_and_are_not_trained(self, imported):
        study, tables = made(toy_suite(num_seeds=2), "theirs", records=imported)
        trials, cells = comparison_suite.expand(study, SMOKE, None, [], imported)
        mine = [cell for cell in cells if cell.arm == "theirs"]
        assert study.stored == "theirs" and tables[0].arms["theirs"].note == "as it is stored under this name"
        assert [cell.cluster for cell in mine] == list(toy_studies.SCENES[:4]) and cells[0] == mine[0]
        theirs = [trial for trial in trials if isinstance(trial, comparison_suite.StoredTrial)]
        assert [trial.id for trial in theirs] == [cell.trial_id for cell in mine]
        assert [trial.identity() for trial in theirs] == [record.identity for record in imported[:4]]
        assert {trial.variant for trial in trials if trial not in theirs} == {"toy_base"} and len(trials) == 12 + 4

    def test_conditions_hold_for_them_too(self, imported):
        study, _ = made(toy_suite(), "theirs", records=imported)
        _, cells = comparison_suite.expand(study, SMOKE, None, ["scene=bee,fox"], imported)
        assert [(cell.arm, cell.cluster) for cell in cells] == [("theirs", "bee"), ("Base", "bee"), ("Base", "fox")]

    @pytest.mark.parametrize("seeds", [(0,), (3,)])
    def test_renders_of_something_else(self, imported, seeds):
        others = [record for record in imported if (record.budget == "quick") == (seeds == (0,))]
        study, _ = made(toy_suite(), "theirs", records=others)
        with pytest.raises(
            UsageError, match="compare theirs: expected stored trials on tasks of toys at smoke, got . of others"
        ):
            comparison_suite.expand(study, SMOKE, seeds, [], others)


def scored(levels, num_scenes=8, seeds=(0,), noise=0.0, draw=0):
    """Cells and a frame: an arm a table with its level over `mine`, by scene, the same in PSNR and LPIPS."""
    rng, cells, rows = np.random.default_rng(draw), [], []
    for i in range(num_scenes):
        for seed in seeds:
            names = {"mine": f"mine{i}-{seed}", **{arm: f"{arm}{i}-{seed}" for arm in levels}}
            for arm, name in names.items():
                value = 20 + i + (levels[arm] * (1 + 0.1 * i) if arm in levels else 0) + noise * rng.normal()
                rows += [(name, metric, value) for metric in ("psnr", "lpips_vgg")]
            cells += [TrialSlot(f"against {a}", b, names[b], f"s{i}", seed) for a in levels for b in ("mine", a)]
    frame = pd.DataFrame(rows, columns=["trial_id", "metric", "value"])
    frame = frame.assign(
        status="finished", protocol="std-v1", view=0, reason=None, budget="quick", num_steps=4, wall_s=1.0
    )
    return cells, frame


def compared(levels, **how):
    cells, frame = scored(levels, **how)
    baselines = {f"against {arm}": arm for arm in levels}
    results = [
        paired_comparison.compare(
            frame, cells, table=table, baseline=arm, protocol="std-v1", metrics=["psnr", "lpips_vgg"],
            beside={t: a for t, a in baselines.items() if t != table},
        )
        for table, arm in baselines.items()
    ]  # fmt: skip
    return results, findings.collect_differences(results, frame, cells, "mine")


class TestGains:
    def test_mine_minus_the_baseline_and_holm_over_baselines(self):
        results, found = compared({"low": -2.0, "high": 3.0})
        assert [(each.baseline, each.metric, each.method_result.verdict) for each in found] == [
            ("low", "psnr", "better"), ("low", "lpips_vgg", "worse"),
            ("high", "psnr", "worse"), ("high", "lpips_vgg", "better"),
        ]  # fmt: skip
        first = found[0]
        assert first.method_result.difference == pytest.approx(2.7) and first.by_cluster["s0"] == pytest.approx(2.0)
        assert (first.method_result.p, first.method_result.p_holm, first.method_result.p_floor) == (
            1 / 128,
            1 / 64,
            1 / 64,
        )
        assert results[0].num_tests("psnr") == 2
        resolution = footers.resolution_summary(results[0], "psnr")
        assert "8 scenes and 2 comparisons" in resolution and "0.016" in resolution

    def test_a_single_baseline_is_not_corrected(self):
        results, found = compared({"low": -2.0})
        assert found[0].method_result.p_holm == found[0].method_result.p == 1 / 128
        assert "8 scenes and 1 comparison," in footers.resolution_summary(results[0], "psnr")

    def test_as_one_table_of_two_arms_would_have_it(self):
        levels = {"low": -0.3, "high": 0.2}
        _, found = compared(levels, noise=0.3)
        cells, frame = scored(levels, noise=0.3)
        one = {TrialSlot("one", cell.arm, *cell[2:]) for cell in cells}
        table = paired_comparison.compare(
            frame, sorted(one), table="one", baseline="mine", protocol="std-v1", metrics=["psnr", "lpips_vgg"]
        )
        for each in found:
            entry = table.entry(each.baseline, each.metric)
            assert each.method_result.difference == pytest.approx(-entry.difference)
            for name in ("p", "p_holm", "p_floor", "clusters_to_resolve", "resolvable"):
                assert getattr(each.method_result, name) == pytest.approx(getattr(entry, name)), name

    def test_with_few_scenes_two_baselines_can_resolve_nothing(self):
        results, found = compared({"low": -2.0, "high": 3.0}, num_scenes=6)
        assert {each.method_result.verdict for each in found} == {"not resolved"}
        resolution = footers.resolution_summary(results[0], "psnr")
        assert "nothing can be resolved" in resolution and "7 scenes" in resolution
        assert compared({"low": -2.0}, num_scenes=6)[1][0].method_result.verdict == "better"

    def test_more_seeds_are_named_where_their_scatter_is_known(self):
        _, found = compared({"near": -0.5}, seeds=(0, 1), noise=1.0, draw=3)
        assert found[0].method_result.verdict == "not resolved" and 20 < found[0].seeds_to_resolve < 50
        _, of_scenes = compared({"near": -0.5}, seeds=(0, 1), noise=1.0, draw=0)  # there scenes differ, not seeds
        assert of_scenes[0].method_result.verdict == "not resolved" and of_scenes[0].seeds_to_resolve is None
        _, alone = compared({"near": -0.5}, noise=1.0, draw=3)
        assert alone[0].method_result.verdict == "not resolved" and alone[0].seeds_to_resolve is None

    @pytest.mark.parametrize(
        ("levels", "num_scenes", "worse", "better", "said"),
        [
            ({"low": -2.0}, 8, True, True, "mine: PSNR better than low. LPIPS, VGG worse than low"),
            ({"low": -2.0, "high": 3.0}, 8, True, False,
             "mine: PSNR better than low; worse than high. LPIPS, VGG better than high; worse than low"),
            ({"same": 0.0}, 8, False, False, "mine: PSNR not resolved against same"),
            ({"low": -2.0}, 3, False, False, "mine: PSNR too few scenes for a verdict against low"),
        ],
    )  # fmt: skip
    def test_what_was_found(self, levels, num_scenes, worse, better, said):
        _, found = compared(levels, num_scenes=num_scenes)
        assert findings.conclusion(found, "mine", "scene") == said
        assert (findings.is_worse(found), findings.is_better(found)) == (worse, better)

    def test_metrics_beyond_the_first_few_do_not_decide(self):
        _, found = compared({"low": -2.0})
        late = [dataclasses.replace(each, metric=f"m{i}") for i, each in enumerate([found[0]] * 3 + [found[1]])]
        assert found[1].method_result.verdict == "worse" and not findings.is_worse(late) and findings.is_worse(late[1:])

    def test_plain_values_hold_the_same(self):
        plain = compared({"low": -2.0})[1][0].to_json()
        assert plain["verdict"] == "better" and plain["difference"] == pytest.approx(2.7)
        assert plain["baseline_mean"] - plain["mean"] == pytest.approx(-2.7) and len(plain["by_cluster"]) == 8


def test_costs(tmp_path):
    here = Store.open(tmp_path)
    cells = []
    for seed, (size, device) in enumerate([(4, "cpu"), (24, "H100")]):
        trial = dataclasses.replace(TRIAL, seed=seed)
        here.write(
            outcome(
                trial,
                pack_size=size,
                environment={"device": device},
                timings={"wall_s": 1.0 + seed, "train_s": 0.5},
                memory_bytes=size << 20,
            )
        )
        cells.append(TrialSlot("t", "Base", trial.id, "ant", seed))
    broken = dataclasses.replace(TRIAL, seed=2)
    here.write(outcome(broken, reason="it broke"))
    cells.append(TrialSlot("t", "mine", broken.id, "ant", 2))
    assert costs.costs_by_arm(cells, {record.trial_id: record for record in here.records()}) == [
        costs.ArmCost("Base", 1.5, 0.5, "7", "H100, cpu", "4-24", 1.0),
        costs.ArmCost("mine", None, None, "", "", "", None),
    ]
