"""Parts of a variance are those that made the numbers, and REML's."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest

from bench.analysis import variance_components


def made(rng, num_clusters, num_seeds, num_views, parts):
    """Numbers with parts of known variances: of cluster, seed, view and rest."""
    cluster, seed, view, rest = (math.sqrt(part) for part in parts)
    return [
        5.0 + cluster * rng.normal() + seed * rng.normal(size=(num_seeds, 1)) + view * rng.normal(size=n)
        + rest * rng.normal(size=(num_seeds, n))
        for n in np.broadcast_to(num_views, num_clusters)
    ]  # fmt: skip


@pytest.mark.parametrize("num_views", [6, [4, 6, 9, 5] * 10])
def test_parts_are_those_that_made_the_numbers(num_views):
    rng, parts = np.random.default_rng(0), (4.0, 0.5, 2.0, 0.3)
    found = np.array([variance_components.variance_components(made(rng, 40, 3, num_views, parts)) for _ in range(200)])
    errors = found.std(axis=0) / math.sqrt(len(found))
    assert np.all(np.abs(found.mean(axis=0) - parts) < 4 * errors), (found.mean(axis=0), errors)


def test_seeds_are_not_lost_below_the_views():
    """Were views nested in seeds, views of spread 3 would hide seeds of spread 0.5 wholly."""
    rng = np.random.default_rng(1)
    found = variance_components.variance_components(made(rng, 60, 4, 10, (1.0, 0.25, 9.0, 0.1)))
    assert found.seed == pytest.approx(0.25, rel=0.35)
    nested = np.mean([np.var(x.mean(axis=1), ddof=1) - np.mean(np.var(x, axis=1, ddof=1)) / 10
                      for x in made(rng, 60, 4, 10, (1.0, 0.25, 9.0, 0.1))])  # fmt: skip
    assert nested < 0


def test_one_seed_has_no_part_of_its_own():
    rng = np.random.default_rng(2)
    found = variance_components.variance_components(made(rng, 400, 1, 8, (2.0, 0.5, 1.0, 0.25)))
    assert found.seed is None and found.rest is None
    assert found.cluster == pytest.approx(2.5, rel=0.2) and found.view == pytest.approx(1.25, rel=0.2)


def test_it_is_remls_answer_where_all_is_balanced():
    import statsmodels.formula.api as formulas

    values = made(np.random.default_rng(3), 6, 3, 4, (4.0, 1.0, 1.5, 0.2))
    found = variance_components.variance_components(values)
    assert min(found) > 0, "else REML's answer is another one"
    rows = [(c, f"s{s}", f"v{v}", x) for c, of in enumerate(values) for (s, v), x in np.ndenumerate(of)]
    frame = pd.DataFrame(rows, columns=["cluster", "seed", "view", "y"])
    parts = {"seed": "0 + C(seed)", "view": "0 + C(view)"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its optimiser
        fitted = formulas.mixedlm("y ~ 1", frame, groups="cluster", re_formula="1", vc_formula=parts).fit(reml=True)
    expected = [float(fitted.cov_re.iloc[0, 0]), *map(float, fitted.vcomp), float(fitted.scale)]
    assert list(found) == pytest.approx(expected, rel=0.02)


def test_parts_that_come_out_negative_are_zero():
    rng = np.random.default_rng(4)
    found = [variance_components.variance_components(made(rng, 4, 2, 3, (0.0, 0.0, 0.0, 1.0))) for _ in range(20)]
    assert min(min(parts) for parts in found) == 0.0 and any(parts.cluster == 0.0 for parts in found)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([np.ones((2, 2))], r"expected two clusters of a seed and two views at least, got \[\(2, 2\)\]"),
        ([np.ones((2, 1)), np.ones((2, 1))], "two views at least"),
        ([np.ones((2, 2)), np.ones((1, 2))], "as many seeds in each cluster; leave out those that have fewer"),
        ([np.full((2, 2), np.nan), np.ones((2, 2))], "expected finite numbers"),
    ],
)
def test_what_cannot_be_split(values, said):
    with pytest.raises(ValueError, match=said):
        variance_components.variance_components(values)
