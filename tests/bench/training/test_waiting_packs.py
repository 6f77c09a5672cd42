"""The packs that wait: found as by a look at all of them, without one."""

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.training.queue import Attempt
from bench.training.waiting_packs import WaitingPacks
from tests.fixtures.fake_trainer import Pack, Steps, Trial

PROGRAMS = [(key, 1) for key in "abcdef"]


def attempt(number, key, seed, num_steps):
    return Attempt(pack=Pack(trials=(Trial(f"{key}{number}", seed=seed, method=Steps(num_steps)),), key=key))


def chosen_slowly(waiting, compiled, others, begun):
    """The next pack, by the rules alone."""

    def rank(each):
        program = each.program
        place = 0 if program in compiled else begun.index(program) + 1 if program in begun else len(begun) + 1
        return each.lowest_seed, place, program in others, -each.pack.num_steps

    return min(waiting, key=rank)


packs = st.tuples(st.sampled_from("abcdef"), st.integers(0, 2), st.integers(1, 4))
some_programs = st.sets(st.sampled_from(PROGRAMS))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(packs, min_size=1, max_size=20),
    st.lists(st.tuples(some_programs, some_programs, st.lists(st.sampled_from(PROGRAMS), unique=True), packs)),
)
def test_it_takes_what_the_rules_say(first, calls):
    waiting = WaitingPacks(attempt(number, *each) for number, each in enumerate(first))
    slow = list(waiting)
    for number, (compiled, others, begun, more) in enumerate(calls):
        found = waiting.take(compiled, others, begun)
        assert found is chosen_slowly(slow, compiled, others, begun)
        slow.remove(found)
        if number % 2 or not slow:  # one that is tried again
            again = attempt(100 + number, *more)
            waiting.append(again)
            slow.append(again)
        assert list(waiting) == slow and len(waiting) == len(slow)
        known = others | compiled
        in_turn = sorted(slow, key=lambda each: (each.lowest_seed, -each.pack.num_steps))
        unknown = {each.program: each for each in reversed(in_turn) if each.program not in known}
        upcoming = sorted(unknown.values(), key=in_turn.index)[:3]
        assert waiting.first_of_programs(known, 3) == upcoming


def test_packs_are_taken_out_by_their_place():
    waiting = WaitingPacks(attempt(number, key, 0, 1) for number, key in enumerate("aab"))
    assert [waiting.pop(0).trial_ids, waiting.pop().trial_ids, waiting[0].trial_ids] == [("a0",), ("b2",), ("a1",)]
    assert waiting.take(set(), set(), []).trial_ids == ("a1",) and not waiting


def looks(num_packs, num_programs, num_workers, num_seeds=2):
    """Hands packs out in turn to workers that keep their programs; gives the looks that it took."""
    made = [(str(i % num_programs), i % num_seeds, 1 + i % 7) for i in range(num_packs)]
    waiting = WaitingPacks(attempt(number, *each) for number, each in enumerate(made))
    known = [set() for _ in range(num_workers)]
    turn = 0
    while waiting:
        mine = known[turn % num_workers]
        others = set().union(*(each for each in known if each is not mine))
        mine.add(waiting.take(mine, others, []).program)
        turn += 1
    return waiting.num_looks


def test_looks_grow_no_faster_than_packs():
    """Each look at 5,000 packs to take one of them was 12.5 million looks; four times as many packs, four times."""
    for num_programs in (1, 10, 50):
        assert looks(4000, num_programs, 2) < 5 * looks(1000, num_programs, 2)
    assert looks(4000, 10, 2) < 10 * 4000
    assert looks(2000, 2000, 1) < 4 * looks(1000, 1000, 1) and looks(2000, 2000, 1) < 40 * 2000
