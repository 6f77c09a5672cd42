"""Which trials share a program, in which order packs are trained, and what they will cost."""

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.suites.trial import Trial
from bench.training import packing
from tasks.budgets import BUDGETS
from tests.fixtures.toys import ToyMethod, ToyPhase, ToyTask


def trial(seed=0, method=None, task=None):
    return Trial(
        task=task or ToyTask(), method=method or ToyMethod(), budget=BUDGETS["smoke"], seed=seed, variant="toy"
    )


def test_trials_that_differ_in_hyperparameters_share_a_program():
    packs = packing.make_packs([trial(), trial(method=ToyMethod(learning_rate=0.3)), trial(seed=1)], 8)
    assert [len(pack.trials) for pack in packs] == [3]


def test_static_fields_and_shapes_do_not():
    packs = packing.make_packs([trial(), trial(method=ToyMethod(label="b")), trial(task=ToyTask(num_views=4))], 8)
    assert len({pack.key for pack in packs}) == 3


def test_photographs_with_lenses_or_masks_have_their_own_program():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Masked(ToyTask):
        @property
        def optional_arrays(self):
            return ("masks",)

    plain = trial()
    masked = dataclasses.replace(plain, task=Masked())
    assert packing.shapes_of(plain) == tuple(plain.task.layout())
    assert packing.program_of(masked) != packing.program_of(plain)
    assert packing.shapes_of(masked)[-1] == "masks"


def test_a_renamed_trial_has_its_own_id_and_is_otherwise_the_same():
    first = trial()
    before = first.id
    other = first.renamed("other")
    fresh = Trial(task=ToyTask(), method=ToyMethod(), budget=BUDGETS["smoke"], seed=0, variant="other")
    assert other == fresh and hash(other) == hash(fresh) and other.id == fresh.id != before == first.id
    assert packing.root(first) == packing.root(fresh)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 9))
def test_every_trial_is_in_one_pack(num_trials, pack_size):
    trials = [trial(seed=i) for i in range(num_trials)]
    packs = packing.make_packs(trials, pack_size)
    assert sorted(t.seed for pack in packs for t in pack.trials) == list(range(num_trials))
    sizes = [len(pack.trials) for pack in packs]
    assert max(sizes) <= pack_size
    assert len(packs) == math.ceil(num_trials / pack_size)
    assert len(set(sizes[:-1])) <= 1  # few sizes: a program is compiled once a size


def test_a_trial_is_in_the_pack_of_what_it_continues():
    trials = [trial(method=ToyPhase(extra_steps=num), seed=seed) for num in (0, 3, 5) for seed in range(4)]
    packs = packing.make_packs(trials, 2)
    assert [len(pack.trials) for pack in packs] == [6, 6]
    assert [len(pack.roots) for pack in packs] == [2, 2]
    assert {t.seed for t in packs[0].trials} == {0, 1}
    num_steps = trials[0].method.num_steps
    assert packs[0].num_steps == 2 * (num_steps + 3 + 5)
    halves = packs[0].halves()
    assert [{t.seed for t in half.trials} for half in halves] == [{0}, {1}]
    assert [len(half.trials) for half in halves[0].halves()] == [2, 1]


def test_what_is_finished_first_is_all_arms_on_some_scenes():
    """Three arms of one program on two scenes and two seeds: the first pack has one scene whole."""
    arms = [ToyMethod(learning_rate=rate) for rate in (0.1, 0.2, 0.3)]
    tasks = [ToyTask(scene=scene) for scene in ("grey", "dark")]
    trials = [trial(method=m, task=t, seed=seed) for seed in (0, 1) for m in arms for t in tasks]
    packs = packing.make_packs(trials, 3)
    done = [{(t.seed, t.task.scene, t.method.learning_rate) for t in pack.trials} for pack in packs]
    assert done == [{(seed, scene, rate) for rate in (0.1, 0.2, 0.3)} for seed in (0, 1)
                    for scene in ("grey", "dark")]  # fmt: skip
    halves = [{t.task.scene for t in half.trials} for half in packing.make_packs(trials[:6], 6)[0].halves()]
    assert halves == [{"grey"}, {"dark"}]


def test_an_arm_with_more_scenes_has_them_last():
    few, many = ToyMethod(learning_rate=0.1), ToyMethod(learning_rate=0.2)
    trials = [trial(method=many, task=ToyTask(scene=scene)) for scene in ("grey", "dark")]
    packs = packing.make_packs([*trials, trial(method=few, task=ToyTask(scene="grey"))], 2)
    assert [[t.task.scene for t in pack.trials] for pack in packs] == [["grey", "grey"], ["dark"]]


def test_what_continues_others_stays_in_as_few_packs_as_before():
    """Four scenes' worth of one arm, two of them continued: what continues them is trained at once."""
    tasks = [ToyTask(scene=scene) for scene in ("grey", "dark")]
    others = [trial(method=ToyPhase(learning_rate=rate), task=t) for rate in (0.2, 0.3) for t in tasks]
    continued = [trial(method=ToyPhase(extra_steps=num), task=t) for num in (0, 3) for t in tasks]
    packs = packing.make_packs([*others, *continued], 2)
    assert [(len(pack.roots), len(pack.trials)) for pack in packs] == [(2, 4), (2, 2), (2, 2)]
    assert [{t.task.scene for t in pack.trials} for pack in packs[1:]] == [{"grey"}, {"dark"}]


def test_halves():
    pack = packing.make_packs([trial(seed=i) for i in range(5)], 8)[0]
    assert [len(half.trials) for half in pack.halves()] == [3, 2]
    assert pack.halves()[0].key == pack.key


def test_seconds_share_work_over_workers():
    packs = packing.make_packs([trial(seed=i) for i in range(4)], 2)
    costs = {packs[0].key: packing.ProgramCost(compile_s=4.0, step_s=0.1, render_s=1.0)}
    # 4 s of compiling, 4 trials of 20 steps at 0.1 s and 1 s of rendering: 16 s of work.
    assert packing.estimate_seconds(packs, costs, 1) == pytest.approx(16.0)
    # A half of it is 8 s, but each pack waits for the program and then takes 6 s: no run is shorter.
    assert packing.estimate_seconds(packs, costs, 2) == pytest.approx(10.0)
    assert packing.estimate_seconds(packs * 4, costs, 2) == pytest.approx(26.0)


def test_split_makes_a_pack_of_every_trial():
    pack = packing.make_packs([trial(seed=i) for i in range(3)], 8)[0]
    assert [part.trials for part in pack.split()] == [(trial,) for trial in pack.trials]
    assert {part.key for part in pack.split()} == {pack.key}
