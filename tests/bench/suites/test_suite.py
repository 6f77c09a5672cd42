import dataclasses
import math
import pickle

import pytest
from flax import linen
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.suites import registry
from bench.suites import trial as trial_module
from bench.suites.differences import differences, flat
from bench.suites.identity import describe
from bench.suites.suite import Arm, Suite, Table, check_twins
from bench.suites.trial import Trial, folder_name
from bench.suites.variant_names import file_safe
from models.method import split_hyperparameters
from tasks.budgets import BUDGETS, Budget, budget_named, sized
from tests.fixtures.toys import ToyMethod, ToyPhase, ToyTask

SMOKE = BUDGETS["smoke"]


def trial(seed=0, method=None, task=None, budget=SMOKE):
    return Trial(task=task or ToyTask(), method=method or ToyMethod(), budget=budget, seed=seed, variant="toy")


def table(**changes):
    given_ = {
        "name": "toys",
        "question": "does it?",
        "tasks": (ToyTask(), ToyTask(scene="dark")),
        "baseline": "base",
        "arms": {
            "base": Arm(method=ToyMethod(), variant="toy"),
            "loud": Arm(method=ToyMethod(label="loud"), variant="toy_loud", changes=("method.label",)),
            "more views": Arm(method=ToyMethod(), variant="toy", task={"num_views": 5}, changes=("task.num_views",)),
        },
        "metrics": ("psnr",),
        "protocol": "std-v1",
    }
    return Table(**(given_ | changes))


def suite(*tables):
    everywhere = dict.fromkeys(BUDGETS, tables)
    return Suite(name="toys", question="?", tables=everywhere, num_seeds=dict.fromkeys(BUDGETS, 2))


class TestTrial:
    def test_sizes_come_from_the_budget(self):
        made = trial()
        assert made.task.image_px == SMOKE.image_px
        assert made.method.num_rays == SMOKE.num_rays
        assert made.method.num_steps == SMOKE.num_steps

    def test_a_written_size_stays(self):
        assert trial(method=ToyMethod(num_rays=7)).method.num_rays == 7

    def test_id_is_readable_and_stable(self):
        assert trial().id.startswith("toy__grey__2v__s0__")
        assert trial().id == trial().id

    @pytest.mark.parametrize(
        "other",
        [
            trial(seed=1),
            trial(method=ToyMethod(learning_rate=0.2)),
            trial(method=ToyMethod(label="other")),
            trial(task=ToyTask(num_views=3)),
            trial(budget=dataclasses.replace(SMOKE, name="smoke+num_rays=3", num_rays=3)),
        ],
    )
    def test_every_part_counts(self, other):
        assert other.id.rsplit("__", 1)[1] != trial().id.rsplit("__", 1)[1]

    def test_a_size_that_nothing_uses_does_not_count(self):
        assert trial(budget=dataclasses.replace(SMOKE, num_crops=3)).id == trial().id

    def test_fingerprint_counts(self, monkeypatch):
        before = trial().id
        monkeypatch.setattr(ToyTask, "fingerprint", lambda self: "rendered anew")
        assert trial().id != before

    def test_variant_names_the_folder_only(self):
        other = dataclasses.replace(trial(), variant="renamed")
        assert other.id.split("__")[-1] == trial().id.split("__")[-1]

    @given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
    def test_a_long_name_is_cut_and_keeps_its_hash(self, variant, task):
        name = folder_name(variant, task, 0, "3f9c1a2b")
        assert len(name.encode()) <= 140
        assert name.endswith("__s0__3f9c1a2b")
        assert "/" not in name and "\0" not in name and not name.startswith(".")
        is_legal = (file_safe(variant), file_safe(task)) == (variant, task) and not variant.startswith(".")
        if is_legal and len(f"{variant}__{task}".encode()) <= 100:
            assert name == f"{variant}__{task}__s0__3f9c1a2b"

    @given(st.integers(0, 10**6), st.floats(1e-6, 1.0, allow_nan=False))
    def test_identity_is_strict_json(self, seed, rate):
        made = trial(seed=seed, method=ToyMethod(learning_rate=rate))
        assert made.id == trial(seed=seed, method=ToyMethod(learning_rate=rate)).id

    def test_a_number_that_is_not_finite_has_no_identity(self):
        with pytest.raises(UsageError, match="learning_rate: expected a finite number"):
            _ = trial(method=ToyMethod(learning_rate=math.nan)).id


class TestDescribed:
    def test_modules_without_what_flax_adds(self):
        assert describe(linen.Dense(3))["features"] == 3
        assert "parent" not in describe(linen.Dense(3))

    def test_identity_false_is_left_out(self):
        @dataclasses.dataclass(frozen=True)
        class Value:
            kept: int = 1
            left: int = dataclasses.field(default=2, metadata={"identity": False})

        assert describe(Value())["kept"] == 1
        assert "left" not in describe(Value())

    def test_other_things_are_refused(self):
        with pytest.raises(UsageError, match="expected a dataclass.*got an object of builtins:object"):
            describe(object())

    def test_flat_and_differences(self):
        assert flat({"type": "A/1", "net": {"type": "B/2", "width": 1}}) == {"type": "A", "net": "B", "net.width": 1}
        assert differences(ToyMethod(label="x"), ToyMethod()) == {"label": ("x", "plain")}
        assert differences(ToyMethod(), ToyMethod()) == {}

    def test_differences_of_what_both_have(self):
        @dataclasses.dataclass(frozen=True)
        class Other:
            label: str = "x"
            height: int = 3

        found = differences(Other(), ToyMethod())
        assert found["height"] == (3, None)
        assert differences(Other(), ToyMethod(), of_both=True) == {k: found[k] for k in ("type", "label")}


class TestTable:
    def test_undeclared_difference_is_an_error(self):
        arms = {"base": Arm(method=ToyMethod(), variant="toy"), "b": Arm(method=ToyMethod(label="b"), variant="toy")}
        with pytest.raises(UsageError, match="arm b: expected to differ from 'base' in .*got also method.label: 'b'"):
            table(arms=arms)

    def test_a_declared_field_covers_those_below_it(self):
        assert set(table().arm_differences("loud")) == {"method.label"}
        assert set(table().arm_differences("more views")) == {"task.num_views"}
        assert table().arm_differences("base") == {}

    def test_what_only_an_arm_has_is_said_too(self):
        phase = Arm(method=ToyPhase(extra_steps=4, label="x"), variant="p", changes=("method",))
        arms = {"base": Arm(method=ToyMethod(), variant="toy"), "phase": phase}
        both, own = table(arms=arms).readable_differences("phase")
        assert both == {"method.type": ("ToyPhase", "ToyMethod"), "method.label": ("x", "plain")}
        assert own == {"method.extra_steps": 4}
        backward = {
            "base": dataclasses.replace(phase, changes=()),
            "toy": Arm(method=ToyMethod(), variant="t", changes=("method",)),
        }
        assert table(arms=backward).readable_differences("toy")[1] == {}

    def test_unknown_baseline_names_the_nearest(self):
        with pytest.raises(UsageError, match="got 'bse'; the nearest is 'base'"):
            table(baseline="bse")

    def test_metrics_must_be_the_protocols(self):
        with pytest.raises(UsageError, match="expected metrics of std-v1, got 'psnrr'; the nearest is 'psnr"):
            table(metrics=("psnrr",))

    def test_scenes_may_have_methods_of_their_own(self):
        special = Arm(
            method=ToyMethod(label="a"),
            variant="toy_a",
            changes=("method.label",),
            exceptions={"dark": ("toy_b", ToyMethod(label="b"))},
        )
        made = table(arms={"base": Arm(method=ToyMethod(), variant="toy"), "tuned": special})
        labels = {t.task.scene: (t.variant, t.method.label) for arm, t in made.trials(SMOKE, [0]) if arm == "tuned"}
        assert labels == {"grey": ("toy_a", "a"), "dark": ("toy_b", "b")}
        with pytest.raises(UsageError, match="got also method.label: 'b' instead of 'plain'"):
            table(
                arms={
                    "base": Arm(method=ToyMethod(), variant="toy"),
                    "tuned": dataclasses.replace(special, method=ToyMethod(), changes=()),
                }
            )


class TestSuite:
    def test_equal_arms_of_several_tables_are_one_trial(self):
        trials, cells = suite(table(), table(name="again")).expand(SMOKE)
        assert len(trials) == 3 * 2 * 2  # arms x scenes x seeds
        assert len(cells) == 2 * len(trials)
        assert {cell.trial_id for cell in cells} == {t.id for t in trials}

    def test_balanced_blocks_come_first(self):
        trials, _ = suite(table()).expand(SMOKE)
        assert [t.seed for t in trials] == [0] * 6 + [1] * 6

    def test_a_changed_budget_keeps_its_tables(self):
        changed = dataclasses.replace(SMOKE, name="smoke+num_steps=3", num_steps=3)
        trials, _ = suite(table()).expand(changed, seeds=[4])
        assert {t.method.num_steps for t in trials} == {3}
        assert {t.seed for t in trials} == {4}

    def test_unknown_budget_names_the_nearest(self):
        with pytest.raises(UsageError, match="got 'standrad'; the nearest is 'standard'"):
            budget_named("standrad")


class TestSized:
    def test_open_sizes_inside_modules_are_filled(self):
        @dataclasses.dataclass(frozen=True)
        class Net:
            width: int | None = None
            activation: str | None = None

        @dataclasses.dataclass(frozen=True)
        class Outer:
            net: Net = Net()
            num_rays: int | None = 3

        assert sized(Outer(), SMOKE) == Outer(net=Net(width=SMOKE.width), num_rays=3)

    def test_budgets_are_checked(self):
        with pytest.raises(ValueError, match="num_rays is at least 1, got 0"):
            Budget(**{**{f.name: getattr(SMOKE, f.name) for f in dataclasses.fields(Budget)}, "num_rays": 0})


def test_hyperparameters_are_split_off():
    static, hyperparameters = split_hyperparameters(ToyMethod(learning_rate=0.7, label="x"))
    assert hyperparameters == {"learning_rate": 0.7, "breaks_at": -1.0}
    assert static == ToyMethod(label="x")


def test_one_trial_under_two_names_is_refused():
    twin = dataclasses.replace(trial(), variant="other")
    message = (
        r"suite: expected one name for what is one trial, got toy__grey__2v__s0__\w{8} and other__grey__2v__s0__\w{8}; "
        "give both arms the variant name 'toy'"
    )
    with pytest.raises(UsageError, match=message):
        check_twins([trial(), trial(seed=1), twin])
    check_twins([trial(), trial(), trial(seed=1), trial(method=ToyMethod(label="loud"))])


def test_every_field_counts_for_the_identity():
    """A new field of a task, a method or a budget changes what comes out, unless it says `identity: False` here too."""
    from bench.suites import registry

    without = set()
    for name in registry.VARIANTS:
        method = registry.variant(name)
        without |= {
            f"{type(method).__name__}.{f.name}"
            for f in dataclasses.fields(method)
            if not f.metadata.get("identity", True)
        }
    # It trades memory for time, and computes the same.
    assert without == {"DietNeRF.keep_activations"}


def test_seeds_of_a_trial_are_described_once(monkeypatch):
    """Thousands of seeds: fields are told and data is asked for once an arm and task, not once a seed."""
    described = []
    describe = trial_module.describe
    monkeypatch.setattr(trial_module, "describe", lambda *a, **k: described.append(1) or describe(*a, **k))
    counts = {}
    for num_seeds in (2, 50):
        described.clear()
        trials, _ = registry.suite("sparse-views").expand(BUDGETS["smoke"], range(num_seeds))
        counts[num_seeds] = len(described)
        assert len({trial.id for trial in trials}) == len(trials) >= 5 * num_seeds
    assert counts[2] == counts[50] > 0


def test_a_trial_of_another_seed_is_the_one_that_is_made_alone():
    [first, *_], _ = registry.suite("sparse-views").expand(BUDGETS["smoke"], [0])
    other = first.with_seed(3)
    alone = dataclasses.replace(first, seed=3)
    assert (other, other.id, other.identity()) == (alone, alone.id, alone.identity())
    assert list(other.identity()) == list(alone.identity()) and other.with_seed(0).id == first.id
    again = pickle.loads(pickle.dumps(other))
    again.check_same_here()
    assert again.id == alone.id and "_described" in again.__dict__
