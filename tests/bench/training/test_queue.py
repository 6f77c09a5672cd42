"""The order of packs, and what is tried after something went wrong."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.training.failure_policy import FailurePolicy
from bench.training.packing import Pack as RealPack
from bench.training.queue import MAX_KILLS, Attempt, Failure, Queue, QueuedPack
from tests.fixtures.fake_trainer import Pack, Steps, Trial, outcome


def pack_of(key, *trials):
    """A pack of trials, each a seed and a number of steps."""
    made = [Trial(f"{key}{i}", seed=seed, method=Steps(num)) for i, (seed, num) in enumerate(trials)]
    return Pack(trials=tuple(made), key=key)


def take(queue, mine=(), others=()):
    return queue.take({(key, 1) for key in mine}, {(key, 1) for key in others}).pack.key


def test_packs_of_the_trainer_and_of_these_tests_are_what_the_queue_takes():
    assert isinstance(RealPack(trials=(), key="a"), QueuedPack)
    assert isinstance(pack_of("a", (0, 1)), QueuedPack)
    assert not isinstance("a", QueuedPack)


class TestTake:
    def test_low_seeds_come_first_then_long_packs(self):
        queue = Queue([pack_of("short", (0, 10)), pack_of("long", (0, 20)), pack_of("later", (1, 99))])
        assert [take(queue) for _ in range(3)] == ["long", "short", "later"]

    @pytest.mark.parametrize(
        ("mine", "others", "expected"),
        [
            ("a", "bc", "a"),  # what the worker has compiled
            ("x", "bc", "a"),  # what nobody has
            ("x", "abc", "c"),  # anything, the longest
            ("ab", "c", "b"),  # of what it has, the longest
        ],
    )
    def test_what_is_compiled_decides_before_length(self, mine, others, expected):
        queue = Queue([pack_of("a", (0, 1)), pack_of("b", (0, 5)), pack_of("c", (0, 9))])
        assert take(queue, mine, others) == expected

    def test_programs_that_are_begun_come_after_those_that_are_compiled(self):
        packs = [("a", (0, 3)), ("b", (0, 5)), ("a", (0, 4)), ("c", (1, 9)), ("d", (0, 1)), ("e", (0, 1))]
        queue = Queue([pack_of(*each) for each in packs])
        assert [attempt.pack.key for attempt in queue.upcoming_programs({("d", 1)})] == ["b", "a", "e"]
        taken = [queue.take({("a", 1)}, set(), [("d", 1), ("b", 1)]).pack.key for _ in range(6)]
        assert taken == ["a", "a", "d", "b", "e", "c"]  # compiled; begun, in that order; the rest; then the next seed


class TestFailures:
    def test_a_pack_that_raised_is_tried_trial_by_trial(self):
        queue = Queue([])
        assert queue.handle_error(Attempt(pack=pack_of("a", (0, 1), (1, 1))), Failure("why", "where")) == []
        assert [attempt.trial_ids for attempt in queue.waiting] == [("a0",), ("a1",)]
        [outcome] = queue.handle_error(queue.waiting[0], Failure("why", "where"))
        assert (outcome.record.trial_id, outcome.record.reason, outcome.record.traceback) == ("a0", "why", "where")

    def test_a_mistake_of_the_users_fails_the_whole_pack_at_once(self):
        queue = Queue([])
        outcomes = queue.handle_error(Attempt(pack=pack_of("a", (0, 1), (1, 1))), Failure("why", None, "user"))
        assert [outcome.record.pack_size for outcome in outcomes] == [2, 2] and not queue.waiting

    def test_a_pack_whose_worker_died_is_tried_once_more_then_trial_by_trial(self):
        queue = Queue([pack_of("a", (0, 1), (1, 1))])
        assert queue.handle_death(queue.waiting.pop(), "killed") == []
        assert [(attempt.num_deaths, len(attempt.trial_ids)) for attempt in queue.waiting] == [(1, 2)]
        assert queue.handle_death(queue.waiting.pop(), "killed") == []
        assert [(attempt.num_deaths, len(attempt.trial_ids)) for attempt in queue.waiting] == [(0, 1), (0, 1)]
        assert queue.handle_death(queue.waiting.pop(), "killed") == []
        [outcome] = queue.handle_death(queue.waiting.pop(), "killed")
        assert "died 2 times" in outcome.record.reason and "(killed)" in outcome.record.reason

    @pytest.mark.parametrize(
        ("retries", "cause", "expected"),
        [
            (0, "passing", ["a0 a1", "a0", "a1"]),
            (2, "passing", ["a0 a1", "a0 a1", "a0 a1", "a0", "a1"]),  # whole, as often; then to find who is to blame
            (2, "trial", ["a0 a1", "a0", "a1"]),
            (2, "user", ["a0 a1"]),
        ],
    )
    def test_only_what_may_pass_is_tried_more_often(self, retries, cause, expected):
        queue = Queue([pack_of("a", (0, 1), (1, 1))], FailurePolicy(retries=retries))
        tried, ended = [], []
        while queue.waiting:
            attempt = queue.waiting.pop(0)
            tried.append(" ".join(attempt.trial_ids))
            ended += map(queue.add_history, queue.handle_error(attempt, Failure(f"why {len(tried)}", None, cause)))
        assert tried == expected
        assert [outcome.record.reason for outcome in ended] == (
            ["why 1"] * 2 if cause == "user" else [f"why {len(expected) - 1}", f"why {len(expected)}"]
        )
        earlier = [] if cause == "user" else [f"why {number}" for number in range(1, len(expected) - 1)]
        assert [outcome.record.earlier_failures for outcome in ended] == [earlier] * 2

    def test_retries_forgive_deaths_of_a_trial_alone(self):
        queue = Queue([pack_of("a", (0, 1))], FailurePolicy(retries=3))
        ended = []
        for _ in range(5):
            ended += queue.handle_death(queue.waiting.pop(), "killed")
        [outcome] = map(queue.add_history, ended)
        assert "died 5 times" in outcome.record.reason
        assert outcome.record.earlier_failures == ["its worker died (killed)"] * 4

    def test_a_finished_trial_says_what_came_before(self):
        queue = Queue([])
        pack = pack_of("a", (0, 1), (1, 1))
        queue.handle_error(Attempt(pack=pack), Failure("two\n lines", None))
        assert queue.add_history(outcome(pack.trials[0], {})).record.earlier_failures == ["two lines"]
        other = pack_of("b", (0, 1)).trials[0]
        assert queue.add_history(outcome(other, {})).record.earlier_failures == []

    def test_a_fault_of_the_machine_is_no_trials_failure(self):
        heard = []
        queue = Queue([], on_fault=heard.append)
        failure = Failure("OSError: [Errno 28] No space left on device", None, "machine")
        assert queue.handle_error(Attempt(pack=pack_of("a", (0, 1), (1, 1))), failure) == [] and not queue.waiting
        assert queue.fault.startswith("a0: expected to train it, got a fault of the machine: OSError: [Errno 28] No sp")
        assert heard == [failure.reason]  # so that nothing more is begun
        left = Attempt(pack=pack_of("a", (0, 1))).without(["a0"])
        assert queue.handle_error(left, failure) == [] and len(heard) == 1  # all trials had left it

    def test_what_is_no_fault_of_the_packs_leaves_it_whole(self):
        queue = Queue([pack_of("a", (0, 1), (1, 1))])
        for _ in range(MAX_KILLS):
            assert queue.handle_death(queue.waiting.pop(), "its host was lost", is_blamed=False) == []
            assert [(each.num_deaths, each.trial_ids) for each in queue.waiting] == [(0, ("a0", "a1"))]
        for _ in range(2):  # nobody is killed so often by chance
            queue.handle_death(queue.waiting.pop(), "somebody killed it", is_blamed=False)
        assert [attempt.trial_ids for attempt in queue.waiting] == [("a0",), ("a1",)]

    @settings(max_examples=60, deadline=None)
    @given(
        sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
        endings=st.lists(st.sampled_from(["done", "died", "raised", "usage"]), min_size=200, max_size=200),
    )
    def test_whatever_happens_every_trial_has_one_outcome(self, sizes, endings):
        packs = [pack_of(f"p{p}t", *[(0, 1)] * size) for p, size in enumerate(sizes)]
        queue = Queue(packs)
        ended = []
        num_deaths = 0
        for ending in endings:
            if not queue.waiting:
                break
            attempt = queue.take(set(), set())
            if ending == "done":
                ended += attempt.trial_ids
                continue
            if ending == "died":
                num_deaths += 1
                outcomes = queue.handle_death(attempt, "killed")
            else:
                outcomes = queue.handle_error(attempt, Failure("why", None, "user" if ending == "usage" else "trial"))
                assert len(outcomes) in (0, len(attempt.trial_ids))
            ended += [outcome.record.trial_id for outcome in outcomes]
        assert not queue.waiting
        assert sorted(ended) == sorted(trial.id for pack in packs for trial in pack.trials)
        assert num_deaths <= sum(2 + 2 * size for size in sizes)  # two of the pack, then two of each trial alone
