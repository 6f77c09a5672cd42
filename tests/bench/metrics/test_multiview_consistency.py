"""The repeated-face score against loops and against rings whose answer is known; precision round an object."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.metrics.multiview_consistency import by_azimuth, repeats, ring_cosines


def ring(seed, num=8, num_features=6):
    found = np.random.default_rng(seed).standard_normal((num, num_features)) + 0.7
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def slow_repeats(embeddings):
    """By azimuths and angles between them: every pair once and in both orders."""
    num = len(embeddings)
    means = {}
    for i in range(num):
        for j in range(num):
            apart = abs(i - j) * 360 / num
            apart = min(apart, 360 - apart)
            means.setdefault(round(apart, 6), []).append(float(embeddings[i] @ embeddings[j]))
    return min(1.0, max(0.0, *(np.mean(found) for apart, found in means.items() if apart >= 90)))


@pytest.mark.parametrize("num", [4, 5, 8, 12])
def test_repeats_is_its_slow_twin(num):
    for seed in range(10):
        embeddings = ring(seed, num)
        assert repeats(embeddings) == pytest.approx(slow_repeats(embeddings), abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), turn=st.integers(0, 7))
def test_range_and_what_does_not_matter(seed, turn):
    embeddings = ring(seed)
    found = repeats(embeddings)
    assert 0 <= found <= 1
    assert repeats(np.roll(embeddings, turn, axis=0)) == pytest.approx(found)  # where azimuth 0 is
    assert repeats(embeddings[::-1]) == pytest.approx(found)  # which way round


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0, 1), faces=st.sampled_from([1, 2, 4]))
def test_it_grows_as_far_sides_become_alike(seed, share, faces):
    """From 8 orthogonal sides to so many that repeat: monotone, and 1 at the end."""
    sides = np.eye(16)
    period = 8 // faces
    own, repeated = sides[:8], sides[8 + np.arange(8) % period] if faces > 1 else sides[[8] * 8]

    def at(x):
        return np.sqrt(1 - x) * own + np.sqrt(x) * repeated

    assert repeats(at(share)) == pytest.approx(share, abs=1e-9)  # their cosine is x where they repeat
    assert repeats(at(1.0)) == pytest.approx(1.0)


def test_a_face_before_every_other_camera_is_a_repeated_face():
    front, side = np.eye(2)
    assert repeats(np.stack([front, side] * 4)) == 1.0
    assert ring_cosines(np.stack([front, side] * 4))[0] == 0.0


def test_one_odd_pair_moves_it_by_a_quarter_at_most():
    for seed in range(20):
        embeddings = np.eye(8)[np.random.default_rng(seed).permutation(8)]
        changed = embeddings.copy()
        changed[4] = changed[0]  # two opposite sides alike, all others their own
        assert repeats(changed) - repeats(embeddings) == pytest.approx(0.25)


def test_a_ring_too_small_is_refused():
    with pytest.raises(ValueError, match="repeats: expected a ring of at least 4 views, got 3"):
        repeats(np.eye(3))


def test_by_azimuth_is_its_slow_twin():
    random = np.random.default_rng(0)
    azimuths, clusters = random.choice([0.0, 45.0, 90.0], 60), random.choice(["a", "b", "c"], 60).tolist()
    values = random.random(60)
    found = by_azimuth(values, azimuths, clusters)
    assert list(found) == [0.0, 45.0, 90.0]
    for azimuth, numbers in found.items():
        expected = [
            np.mean([v for v, a, c in zip(values, azimuths, clusters, strict=True) if (a, c) == (azimuth, cluster)])
            for cluster in "abc"
        ]
        assert sorted(numbers) == pytest.approx(sorted(expected))
