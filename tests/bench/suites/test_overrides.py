import dataclasses
from typing import Literal

import pytest

from bench.errors import UsageError
from bench.suites import overrides, registry
from bench.suites.suite import Arm, Suite, Table, fill_slots
from tasks.budgets import BUDGETS
from tests.fixtures.toys import ToyMethod, ToyTask

SMOKE = BUDGETS["smoke"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Other(ToyMethod):
    """Another type of method."""

    shape: Literal["round", "square"] = "round"
    sizes: tuple[int, ...] = (1,)
    flag: bool = False

    def __post_init__(self):
        if self.sizes and self.sizes[0] > 99:
            raise ValueError("sizes: at most 99")


def suite():
    table = Table(
        name="toys",
        question="?",
        tasks=(ToyTask(), ToyTask(scene="dark")),
        baseline="base",
        arms={
            "base": Arm(method=ToyMethod(), variant="toy"),
            "quiet": Arm(method=ToyMethod(label="quiet"), variant="toy_quiet", changes=("method.label",)),
            "other": Arm(method=Other(), variant="other", changes=("method",)),
        },
        metrics=("psnr",),
        protocol="std-v1",
    )
    return Suite(name="toys", question="?", tables={"smoke": (table,)}, num_seeds={"smoke": 1})


def applied(*settings):
    changed, budget = overrides.apply(suite(), SMOKE, settings)
    return changed.tables_at(budget)[0], budget, changed


class TestSet:
    def test_a_types_name_changes_all_its_arms_alike(self):
        table, _, _ = applied("toy_method.learning_rate=0.25")
        assert table.arms["base"].method.learning_rate == 0.25
        assert table.arms["quiet"].method.learning_rate == 0.25
        assert table.arms["other"].method.learning_rate == 0.1

    def test_a_variants_name_changes_one_and_it_is_a_new_variant(self):
        table, _, _ = applied("toy_quiet.num_rays=64")
        assert table.arms["quiet"].method.num_rays == 64
        assert table.arms["quiet"].variant.startswith("toy_quiet+num_rays=64+code=")
        assert table.arms["base"].method.num_rays is None
        assert "method.num_rays" in table.arm_differences("quiet")

    def test_changing_the_baseline_alone_declares_it_for_the_others(self):
        table, _, _ = applied("toy.num_rays=64")
        assert table.arms["base"].method.num_rays == 64
        assert table.arm_differences("quiet")["method.num_rays"] == (None, 64)

    def test_a_networks_field_changes_the_arms_whose_network_has_it(self):
        suite, _ = overrides.apply(
            registry.suite("ablations"), BUDGETS["standard"], ["dream_fields.field.encoding.num_octaves=5"]
        )
        arms = [arm for table in suite.tables_at(BUDGETS["standard"]) for arm in table.arms.values()]
        mine = [arm for arm in arms if "dream_fields" in overrides.heads_of(arm)]
        octaves = [overrides.field_value(arm.method, "field.encoding.num_octaves") for arm in mine]
        assert set(octaves) == {5, overrides.ABSENT}, "voxels and hash grids have no octaves"
        changed = ["+field.encoding.num_octaves=5" in arm.variant for arm in mine]
        assert changed == [value == 5 for value in octaves]

    def test_task_and_budget(self):
        table, budget, changed = applied("task.num_views=3", "budget.num_steps=7")
        assert {task.num_views for task in table.tasks} == {3}
        assert budget.num_steps == 7
        assert budget.name == "smoke+num_steps=7"
        trials, _ = changed.expand(budget)
        assert {trial.method.num_steps for trial in trials} == {7}

    @pytest.mark.parametrize(
        ("setting", "field", "value"),
        [
            ("other.shape=square", "shape", "square"),
            ("other.sizes=3,4", "sizes", (3, 4)),
            ("other.flag=true", "flag", True),
            ("other.num_rays=None", "num_rays", None),
            ("other.num_rays=1e2", "num_rays", 100),
        ],
    )
    def test_values_are_typed_by_their_field(self, setting, field, value):
        table, _, _ = applied(setting)
        assert getattr(table.arms["other"].method, field) == value

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ("nonsense", "expected HEAD.FIELD=VALUE, got 'nonsense'; for example"),
            ("toi.num_rays=1", "got 'toi'; the nearest is 'toy'"),
            ("toy.num_ray=1", "expected a field of ToyMethod, got 'num_ray'; the nearest is 'num_rays'"),
            ("toy.num_rays=many", "expected .*got 'many'"),
            ("toy.num_rays=1.5", "expected int, got '1.5'"),
            ("other.shape=sqare", "expected one of round, square, got 'sqare'; the nearest is 'square'"),
            ("other.sizes=100", "sizes: at most 99"),
            ("toy.label.deep=1", "label has no fields of its own; set label itself"),
            ("budget.steps=3", "expected a field of Budget, got 'steps'; the nearest is 'num_steps'"),
        ],
    )
    def test_what_does_not_fit_is_told(self, setting, message):
        with pytest.raises(UsageError, match=message):
            applied(setting)


class TestOnly:
    def chosen(self, *conditions):
        return fill_slots(overrides.only(suite().placements(SMOKE), conditions))

    def test_conditions_are_met_together(self):
        trials, cells = self.chosen("scene=dark", "arm=quiet")
        assert [cell.arm for cell in cells] == ["quiet"]
        assert [trial.task.scene for trial in trials] == ["dark"]

    def test_conditions_that_nothing_meets(self):
        with pytest.raises(UsageError, match="expected a value behind scene, got 'scene'; write --only scene=VALUE"):
            self.chosen("scene")
        with pytest.raises(UsageError, match="some trial meets together, got none; .* write --only KEY=A,B"):
            self.chosen("scene=dark", "scene=grey")

    @pytest.mark.parametrize(
        ("condition", "arms"),
        [
            ("arm=base,base, all views", ["base", "base, all views"]),
            ("arm=base, all views", ["base, all views"]),
            ("arm=quiet,base", ["base", "quiet"]),
            ("variant=toy", ["base", "base, all views"]),
            ("variant=toy+world=unbounded,toy_quiet", ["base, all views", "quiet"]),
            ("variant=toy+num_rays=64", ["base, all views"]),
        ],
    )
    def test_names_hold_commas_and_variants_have_descendants(self, condition, arms):
        (placement, *_) = suite().placements(SMOKE)
        variants = {
            "base": "toy", "base, all views": "toy+num_rays=64+world=unbounded", "quiet": "toy_quiet", "other": "other",
        }  # fmt: skip
        placements = [
            placement._replace(arm=arm, trial=dataclasses.replace(placement.trial, variant=variant))
            for arm, variant in variants.items()
        ]
        assert [each.arm for each in overrides.only(placements, [condition])] == arms

    def test_an_arms_nearest_is_found_whatever_its_capitals_and_names_are_quoted(self):
        (placement, *_) = suite().placements(SMOKE)
        placements = [placement._replace(arm=arm) for arm in ("NeRF", "NeRF, 43 views")]
        for word, said in (("nerf", "the nearest is 'NeRF'"), ("x", "known: 'NeRF', 'NeRF, 43 views'")):
            with pytest.raises(UsageError, match=f"expected an arm of the suite, got '{word}'; {said}"):
                overrides.only(placements, [f"arm={word}"])

    def test_a_comma_is_or(self):
        assert len(self.chosen("scene=dark,grey")[0]) == 6

    def test_unknown_values_and_keys(self):
        with pytest.raises(UsageError, match="expected a scene of the suite, got 'gray'; the nearest is 'grey'"):
            self.chosen("scene=gray")
        with pytest.raises(UsageError, match="expected scene|arm|variant|table|seed=VALUE, got 'scenes=grey'"):
            self.chosen("scenes=grey")


def test_tables_that_are_left_out_are_asked_nothing():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Broken(ToyTask):
        def fingerprint(self):
            raise AssertionError("asked")

    (toys,) = suite().tables_at(SMOKE)
    broken = dataclasses.replace(toys, name="broken", tasks=(Broken(),))
    both = dataclasses.replace(suite(), tables={**suite().tables, "smoke": (toys, broken)})
    with pytest.raises(AssertionError, match="asked"):
        both.expand(SMOKE)
    trials, cells = overrides.with_tables_of(both, SMOKE, ["table=toys", "seed=0"]).expand(SMOKE)
    assert trials and {cell.table for cell in cells} == {"toys"}
    unknown = overrides.with_tables_of(both, SMOKE, ["table=toyz"])
    assert len(unknown.tables_at(SMOKE)) == 2  # `only` says what is wrong
