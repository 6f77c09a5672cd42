"""Faults are drawn in balance from the seed, and put into as few sittings as there can be."""

from collections import Counter

import pytest

from bench.drill import faults
from bench.drill.faults import KINDS, plan_faults, plan_sittings
from bench.errors import UsageError


@pytest.mark.parametrize("seed", range(5))
def test_fifty_faults_hold_each_kind_three_times_or_more(seed):
    counts = Counter(fault.kind for fault in plan_faults(50, seed))
    assert set(counts) == set(KINDS)
    assert min(counts.values()) >= 3
    assert max(counts.values()) - min(counts.values()) <= 1


def test_the_seed_decides_all():
    assert plan_faults(20, 3) == plan_faults(20, 3)
    assert plan_faults(20, 3) != plan_faults(20, 4)
    assert len({fault.draw for fault in plan_faults(50, 0)}) == 50
    assert plan_faults(1, 0)[0].chance().random() == plan_faults(1, 0)[0].chance().random()


@pytest.mark.parametrize("num_faults", [1, 2, 10, 50, 137])
def test_sittings_hold_every_fault_once(num_faults):
    planned = plan_faults(num_faults, 0)
    sittings = plan_sittings(planned)
    held = [fault for sitting in sittings for fault in sitting.faults]
    assert sorted(fault.number for fault in held) == list(range(1, num_faults + 1))
    for sitting in sittings:
        assert {fault.when for fault in sitting.before} <= {"before"}
        assert {fault.when for fault in sitting.during} <= {"during"}
        assert sitting.end is None or sitting.end.when == "end"
    assert not sittings[0].before


def test_faults_are_dealt_evenly():
    sittings = plan_sittings(plan_faults(50, 0))
    sizes = [len(sitting.during) for sitting in sittings]
    assert max(sizes) - min(sizes) <= 1
    sizes = [len(sitting.before) for sitting in sittings[1:]]
    assert max(sizes) - min(sizes) <= 1


def test_one_kind_alone():
    planned = plan_faults(4, 0, ["record-damaged"])
    assert [fault.kind for fault in planned] == ["record-damaged"] * 4
    assert [len(sitting.before) for sitting in plan_sittings(planned)] == [0, 4]


def test_wrong_words_are_refused():
    with pytest.raises(UsageError, match="--kinds: expected some of .*, got 'worker-kiled'; .*'worker-killed'"):
        plan_faults(3, 0, ["worker-kiled"])
    with pytest.raises(UsageError, match="--faults: expected 1 or more, got 0"):
        plan_faults(0, 0)


def test_every_fault_has_its_time():
    assert {faults.Fault(number=1, kind=kind, draw=0.0).when for kind in KINDS} == {"before", "during", "end"}
