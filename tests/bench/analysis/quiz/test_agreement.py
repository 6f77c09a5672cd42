"""Shares and kappa, against their definitions and against worked examples."""

from __future__ import annotations

import numpy as np
import pytest

from bench.analysis.quiz import agreement


def slow_kappa(first, second):
    """Cohen's kappa from its table, a loop at a time."""
    names = sorted({*first, *second})
    n = len(first)
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / n
    expected = sum(first.count(name) / n * second.count(name) / n for name in names)
    return (observed - expected) / (1 - expected)


def test_kappa_is_that_of_its_table():
    random = np.random.default_rng(0)
    first = [str(x) for x in random.integers(0, 4, 60)]
    second = [a if random.uniform() < 0.6 else str(random.integers(0, 4)) for a in first]
    found = agreement.kappa_estimate(first, second, np.arange(60))
    assert found.value == pytest.approx(slow_kappa(first, second))
    assert found.low < found.value < found.high and found.num == 60
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: 0.4, the worked example of Wikipedia's article on Cohen's kappa
    worked = agreement.kappa_estimate(
        list("y" * 25 + "n" * 25), list("y" * 20 + "n" * 5 + "y" * 10 + "n" * 15), np.arange(50)
    )
    assert worked.value == pytest.approx(0.4)


def test_answers_of_one_caption_widen_the_interval():
    first = list("ab" * 30)
    second = list("ab" * 20 + "ba" * 10)
    alone = agreement.kappa_estimate(first, second, np.arange(60))
    together = agreement.kappa_estimate(first, second, np.repeat(np.arange(6), 10))
    assert alone.value == together.value
    assert together.high - together.low > 1.5 * (alone.high - alone.low)
    right = np.asarray([a == b for a, b in zip(first, second, strict=True)])
    widths = [
        (lambda found: found.high - found.low)(agreement.share_estimate(right, cluster))
        for cluster in (np.arange(60), np.repeat(np.arange(6), 10))
    ]
    assert widths[1] > 1.5 * widths[0]


@pytest.mark.parametrize(
    ("first", "second", "cluster", "value", "has_ends"),
    [
        ("", "", [], None, False),
        ("aa", "aa", [0, 1], None, False),  # chance alone agrees as well
        ("ab", "ab", [0, 0], 1.0, False),  # one caption says nothing of others
        ("ab", "ba", [0, 1], -1.0, True),
    ],
)
def test_too_little_is_said_to_be_too_little(first, second, cluster, value, has_ends):
    found = agreement.kappa_estimate(list(first), list(second), np.asarray(cluster, np.int64))
    assert found.value == value and (found.low is not None) == has_ends


@pytest.mark.parametrize(
    ("right", "cluster", "ends"),
    [
        ([], [], (None, None)),
        ([1, 0], [0, 0], (None, None)),
        ([1] * 20, range(20), (0.839, 1.0)),  # Wilson: 1 / (1 + z^2 / 20)
        ([0] * 20, range(20), (0.0, 0.161)),
        ([1] * 20, [0] * 10 + [1] * 10, (0.342, 1.0)),  # two captions: 1 / (1 + z^2 / 2)
    ],
)
def test_ends_of_shares(right, cluster, ends):
    found = agreement.share_estimate(np.asarray(right, np.bool_), np.asarray(list(cluster), np.int64))
    assert (found.low, found.high) == pytest.approx(ends, abs=1e-3) if ends[0] is not None else found[1:3] == ends


def test_the_interval_covers_a_share_that_hangs_together():
    """Of 400 studies of 40 captions with three answers each, nine in ten or more must cover the truth."""
    random = np.random.default_rng(1)
    cluster = np.repeat(np.arange(40), 3)
    covered = 0
    for _ in range(400):
        of_caption = random.beta(1.4, 0.6, 40)  # mean 0.7
        found = agreement.share_estimate(random.uniform(size=120) < of_caption[cluster], cluster)
        covered += found.low <= 0.7 <= found.high
    assert covered / 400 > 0.92
