"""Tables are what a slow twin makes of the same numbers; nothing that is missing goes uncounted."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.paired_comparison import compare
from bench.analysis.table_result import TableResult
from bench.errors import UsageError
from bench.storage.record import SCHEMA_VERSION, Outcome, Record
from bench.storage.store import Store
from bench.suites.suite import TrialSlot

SCENES = ("chair", "drums", "ficus", "hotdog", "lego", "materials", "mic", "ship")
PAPER = {  # PSNR by scene with 8 views: ajayjain/DietNeRF, 8bb7f0e:nb/210309 Aggregate metrics.ipynb
    "NeRF": (21.049, 17.472, 13.728, 10.446, 9.726, 7.837, 26.287, 12.929),
    "Simplified NeRF": (21.870, 15.021, 21.091, 24.060, 16.735, 20.659, 24.206, 17.092),
    "DietNeRF": (24.633, 20.034, 20.744, 25.250, 23.896, 21.254, 26.321, 23.043),
    "NeRF, 100 views": (34.073, 25.530, 29.163, 36.899, 31.618, 29.340, 33.197, 29.407),
}
PAPER_MEANS = {"NeRF": 14.934, "Simplified NeRF": 20.092, "DietNeRF": 23.147, "NeRF, 100 views": 31.153}

COLUMNS = {
    "status": "finished", "protocol": "std-v1", "metric": "psnr", "view": 0, "value": None, "reason": None,
    "budget": "quick", "num_steps": 400, "wall_s": 10.0,
}  # fmt: skip


def framed(rows):
    """A frame of rows that name only what is not usual."""
    frame = pd.DataFrame([COLUMNS | row for row in rows], columns=["trial_id", *COLUMNS])
    return frame.astype({"view": "Int64", "value": "float64"})


def trial(arm, cluster, seed=0):
    return f"{arm}__{cluster}__s{seed}"


def made(values, table="t"):
    """Cells and a frame of one number a trial: {arm: numbers by cluster}."""
    cells = [TrialSlot(table, a, trial(a, f"c{i}"), f"c{i}", 0) for a, xs in values.items() for i in range(len(xs))]
    rows = [{"trial_id": trial(a, f"c{i}"), "value": x} for a, xs in values.items() for i, x in enumerate(xs)]
    return cells, framed(rows)


def compared(cells, frame, baseline="base", metrics=("psnr",), **others):
    return compare(frame, cells, table="t", baseline=baseline, protocol="std-v1", metrics=metrics, **others)


BASE = [20.0, 24.0, 22.0, 19.0, 25.0, 21.0, 23.0, 20.0]


def test_the_papers_means_and_what_its_eight_scenes_resolve():
    cells, frame = made(PAPER)
    result = compared(cells, frame, baseline="DietNeRF")
    for arm, mean in PAPER_MEANS.items():
        assert result.entry(arm, "psnr").mean == pytest.approx(mean, abs=6e-4)
    assert result.entry("NeRF, 100 views", "psnr").verdict == "better"
    # DietNeRF is better than NeRF on all eight scenes, though by 0.03 dB on one: p = 2/256, times three arms
    nerf = result.entry("NeRF", "psnr")
    assert (nerf.p, nerf.p_holm, nerf.verdict) == (pytest.approx(2 / 256), pytest.approx(6 / 256), "worse")
    assert nerf.p_floor == pytest.approx(6 / 256)


def test_the_direction_of_the_metric_decides_what_is_better():
    cells, frame = made({"base": BASE, "up": [x + 1 + 0.1 * i for i, x in enumerate(BASE)]})
    assert compared(cells, frame).entry("up", "psnr").verdict == "better"
    lower = compared(cells, frame.assign(metric="lpips_vgg"), metrics=("lpips_vgg",))
    assert lower.entry("up", "lpips_vgg").verdict == "worse"
    assert lower.entry("up", "lpips_vgg").difference > 0


def test_where_neither_way_is_better_a_difference_is_higher_or_lower():
    values = {"base": [x / 100 for x in BASE]}
    values |= {name: [x + s * (0.05 + 0.001 * i) for i, x in enumerate(values["base"])] for name, s in WAYS.items()}
    cells, frame = made(values)
    result = compared(cells, frame.assign(metric="repeats"), metrics=("repeats",))
    assert {e.arm: e.verdict for e in result.entries} == {"base": "baseline", "up": "higher", "down": "lower"}
    assert result.entry("up", "repeats").p_holm == 4 / 256 and result.entry("up", "repeats").resolvable > 0


WAYS = {"up": 1, "down": -1}


def test_means_lie_where_the_metric_can_and_differences_anywhere():
    values = {"base": [1.0, 1.0, 1.0, 0.7, 1.0, 1.0], "arm": [0.0, 0.0, 0.0, 0.0, 0.9, 0.0]}
    cells, frame = made(values)
    result = compared(cells, frame.assign(metric="ssim"), metrics=("ssim",))
    high, low = (result.entry(arm, "ssim") for arm in ("base", "arm"))
    assert (high.high, low.low) == (1.0, 0.0) and high.low < high.mean and low.mean < low.high
    assert low.difference_low < -1.0
    free = compared(cells, frame).entry("base", "psnr")
    assert free.high > 1.0 and free.low == high.low


def test_a_difference_that_is_not_resolved_says_how_many_clusters_would():
    cells, frame = made({"base": BASE, "arm": [x + d for x, d in zip(BASE, [1, -1, 2, -1, 1, 0, 1, -1], strict=True)]})
    entry = compared(cells, frame).entry("arm", "psnr")
    assert entry.verdict == "not resolved" and entry.clusters_to_resolve > 8
    assert entry.resolvable > abs(entry.difference)


@pytest.mark.parametrize(("num", "verdict"), [(1, "too few"), (4, "too few"), (5, "not resolved"), (6, "better")])
def test_few_clusters(num, verdict):
    """With five the floor of p is 0.0625: the largest difference is not resolved, and the entry tells."""
    values = {"base": BASE[:num], "arm": [x + 9 + 0.1 * i for i, x in enumerate(BASE[:num])]}
    entry = compared(*made(values)).entry("arm", "psnr")
    assert entry.verdict == verdict and entry.num_pairs == num
    assert (entry.p is None) == (num < 5)
    if num == 5:
        assert entry.p_floor == 0.0625 and entry.resolvable is None


def test_arms_that_are_tested_together_are_corrected_together():
    values = {"base": BASE} | {f"arm{k}": [x + 1 + 0.1 * (i + k) for i, x in enumerate(BASE)] for k in range(7)}
    result = compared(*made(values))
    assert result.num_tests("psnr") == 7
    assert {e.p_holm for e in result.column("psnr")[1:]} == {7 * 2 / 256}
    assert {e.verdict for e in result.column("psnr")[1:]} == {"not resolved"}, "seven arms need nine scenes"


def test_everything_that_is_lost_is_counted_with_its_reason():
    cells, _ = made({"base": BASE, "arm": BASE})
    ids = [cell.trial_id for cell in cells if cell.arm == "arm"]
    rows = [{"trial_id": c.trial_id, "value": 20.0, "view": v} for c in cells if c.arm == "base" for v in (0, 1)]
    failed = {"status": "failed", "protocol": None, "metric": None, "view": None}
    rows += [{"trial_id": ids[0], **failed, "reason": "out of memory"}]  # ids[1] was never run
    rows += [{"trial_id": ids[2], "view": v, "reason": "views are too small"} for v in (0, 1)]
    rows += [{"trial_id": ids[3], "metric": "ssim", "value": 0.9, "view": v} for v in (0, 1)]
    rows += [{"trial_id": ids[4], "value": 30.0, "view": 0}, {"trial_id": ids[4], "view": 1, "reason": "no foreground"}]
    rows += [{"trial_id": i, "value": 21.0, "view": v} for i in ids[5:] for v in (0, 1)]
    entry = compared(cells, framed(rows)).entry("arm", "psnr")
    counts = (entry.num_planned, entry.num_trials, entry.num_failed, entry.num_absent, entry.num_missing)
    assert counts == (8, 4, 1, 1, 2)
    assert entry.num_lost == 4 and entry.num_views_missing == 1 and entry.num_clusters == entry.num_pairs == 4
    assert entry.reasons == {
        "out of memory": 1,
        "views are too small": 1,
        "no foreground": 1,
        "no score of psnr under std-v1: run rescore": 1,
    }
    assert entry.verdict == "too few"


def test_an_arm_without_a_number_is_a_row():
    cells, frame = made({"base": BASE, "arm": BASE})
    result = compared(cells, frame[~frame["trial_id"].str.startswith("arm")])
    entry = result.entry("arm", "psnr")
    assert (entry.verdict, entry.mean, entry.num_absent, entry.num_steps) == ("no data", None, 8, None)
    assert set(result.by_cluster["psnr"]["arm"].values()) == {None}


def test_seeds_and_views_count_only_where_both_arms_have_them():
    """Cluster a: seed 1 and view 9 are the arm's alone; unpaired they would make a difference of 40."""
    cells = [TrialSlot("t", arm, trial(arm, "a", seed), "a", seed) for arm in ("base", "arm") for seed in (0, 1)]
    numbers = {("base", 0): {7: 1.0, 8: 2.0}, ("arm", 0): {7: 2.0, 8: 5.0, 9: 99.0}, ("arm", 1): {7: 80.0}}
    rows = [
        {"trial_id": trial(arm, "a", seed), "view": view, "value": x}
        for (arm, seed), views in numbers.items() for view, x in views.items()
    ]  # fmt: skip
    result = compared(cells, framed(rows))
    assert result.entry("arm", "psnr").difference == pytest.approx(2.0)
    assert result.entry("arm", "psnr").mean == pytest.approx(((2 + 5 + 99) / 3 + 80) / 2)


def twin(cells, numbers, arm):
    """An arm's mean and its difference, by dictionaries and loops. numbers: {trial id: {view: value}}."""

    def mean(xs):
        return sum(xs) / len(xs)

    ids = {(c.arm, c.cluster, c.seed): c.trial_id for c in cells}
    own, paired = defaultdict(list), defaultdict(list)
    for (name, cluster, seed), trial_id in ids.items():
        if name != arm:
            continue
        mine = numbers.get(trial_id, {})
        theirs = numbers.get(ids.get(("base", cluster, seed)), {})
        if mine:
            own[cluster].append(mean(list(mine.values())))
        if both := [mine[v] - theirs[v] for v in mine if v in theirs]:
            paired[cluster].append(mean(both))
    of_own, of_pairs = ([mean(xs) for xs in by.values()] for by in (own, paired))
    return (mean(of_own) if of_own else None), (mean(of_pairs) if of_pairs else None), len(of_own), len(of_pairs)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_table_is_the_twins(data):
    cells = [
        TrialSlot("t", arm, trial(arm, cluster, seed), cluster, seed)
        for arm in ("base", "arm", "other") for cluster in "abcdef"[: data.draw(st.integers(1, 6))] for seed in (0, 1)
    ]  # fmt: skip
    rows, numbers = [], defaultdict(dict)
    for cell in cells:
        fate = data.draw(st.sampled_from(("finished", "finished", "finished", "failed", "absent")))
        if fate == "failed":
            failed = {"protocol": None, "metric": None, "view": None, "reason": "died"}
            rows.append({"trial_id": cell.trial_id, "status": "failed", **failed})
        elif fate == "finished":
            for view in (3, 5):
                value = data.draw(st.none() | st.integers(10, 30).map(float))
                reason = None if value else "none"
                rows.append({"trial_id": cell.trial_id, "view": view, "value": value, "reason": reason})
                if value is not None:
                    numbers[cell.trial_id][view] = value
    result = compared(cells, framed(rows))
    for arm in ("arm", "other"):
        entry = result.entry(arm, "psnr")
        mean, difference, num_clusters, num_pairs = twin(cells, numbers, arm)
        assert entry.mean == pytest.approx(mean) and entry.difference == pytest.approx(difference)
        assert (entry.num_clusters, entry.num_pairs) == (num_clusters, num_pairs)
        assert entry.num_planned == entry.num_trials + entry.num_failed + entry.num_absent + entry.num_missing
        assert (entry.mean is None) == (entry.num_trials == 0)
        assert entry.verdict != "better" or (entry.p_holm < 0.05 and entry.difference_low > 0)
        assert entry.p is None or entry.p_floor <= entry.p_holm + 1e-12
    assert TableResult.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False))) == result


def test_other_tables_and_protocols_do_no_harm():
    cells, frame = made({"base": BASE, "arm": BASE})
    other_cells, other = made({"base": [1.0], "arm": [2.0]}, table="u")
    noise = pd.concat([frame, frame.assign(protocol="nerf-2020", value=1e3), other.assign(trial_id="stranger")])
    assert compared([*cells, *other_cells], noise) == compared(cells, frame)


def test_a_trial_may_be_in_two_arms():
    cells, frame = made({"base": BASE})
    both = [*cells, *(cell._replace(arm="twin") for cell in cells)]
    entry = compared(both, frame).entry("twin", "psnr")
    assert (entry.difference, entry.verdict, entry.p, entry.clusters_to_resolve) == (0.0, "not resolved", 1.0, None)


def test_steps_that_differ_are_told():
    cells, frame = made({"base": BASE, "arm": BASE})
    frame.loc[frame["trial_id"] == trial("arm", "c3"), "num_steps"] = 100
    entry = compared(cells, frame).entry("arm", "psnr")
    assert (entry.fewest_steps, entry.num_steps) == (100, 400)


def test_a_number_that_is_there_twice_is_refused():
    cells, frame = made({"base": BASE, "arm": BASE})
    with pytest.raises(UsageError, match="one number for a trial, protocol, metric and view, got two for arm__c7"):
        compared(cells, pd.concat([frame, frame.iloc[-1:]]))
    failed = frame.iloc[-1:].assign(status="failed", protocol=None, metric=None, value=None)
    with pytest.raises(UsageError, match="lies in two of the folders that were read: name one"):
        compared(cells, pd.concat([frame, failed]))


def test_dreamfields_2022_counts_a_crash_as_a_miss():
    """The released code scores a black image; std-v1 leaves it out. Either way it is counted."""
    metric, clusters = "rprec1@openai-vit-b-32", range(6)
    cells = [TrialSlot("t", arm, trial(arm, f"c{i}"), f"c{i}", 0) for arm in ("base", "arm") for i in clusters]
    hits = {"base": [1, 1, 1, 1, 0, 1], "arm": [1, 0, None, 1, 0, None]}  # None: crashed
    rows = []
    for arm, values in hits.items():
        for i, hit in enumerate(values):
            failed = {"status": "failed", "protocol": None, "metric": None, "view": None, "reason": "diverged"}
            row = (
                failed if hit is None else {"metric": metric, "protocol": "dreamfields-2022", "view": 16, "value": hit}
            )
            rows.append({"trial_id": trial(arm, f"c{i}")} | row)
    others = {"slots": cells, "table": "t", "baseline": "base", "metrics": [metric]}
    result = compare(framed(rows), protocol="dreamfields-2022", **others)
    found = result.entry("arm", metric)
    assert found.mean == pytest.approx(2 / 6) and found.difference == pytest.approx(2 / 6 - 5 / 6)
    assert (found.num_pairs, found.num_trials, found.num_failed) == (6, 4, 2)
    assert found.reasons == {"diverged": 2}
    assert result.notes == (
        "R-Precision, by openai-vit-b-32: 2 failed trials count as misses, as in dreamfields-2022",
    )  # fmt: skip
    std = [row | ({"protocol": "std-v1"} if row.get("protocol") else {}) for row in rows]
    found = compare(framed(std), protocol="std-v1", **others).entry("arm", metric)
    assert found.mean == pytest.approx(2 / 4) and (found.num_pairs, found.num_failed) == (4, 2)
    assert compare(framed(std), protocol="std-v1", **others).notes == ()


def test_a_place_that_is_there_twice_is_refused():
    cells, frame = made({"base": BASE})
    with pytest.raises(UsageError, match="one trial for an arm, cluster and seed, got several for 'base', 'c0'"):
        compared([*cells, cells[0]._replace(trial_id="another")], frame)


def test_infinite_numbers_are_refused():
    cells, frame = made({"base": [*BASE[:7], np.inf]})
    with pytest.raises(UsageError, match="expected finite numbers, got inf for psnr of base__c7"):
        compared(cells, frame)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"table": "tt"}, "expected a table of the suite, got 'tt'; the nearest is 't'"),
        ({"baseline": "bas"}, "expected a baseline among its arms, got 'bas'; the nearest is 'base'"),
        ({"metrics": ("pnsr",)}, "expected a known name, got 'pnsr'; the nearest is 'psnr'"),
    ],
)
def test_unknown_names_are_told_with_the_nearest(changes, message):
    cells, frame = made({"base": BASE})
    arguments = {"table": "t", "baseline": "base", "protocol": "std-v1", "metrics": ("psnr",)} | changes
    with pytest.raises(UsageError, match=message):
        compare(frame, cells, **arguments)


def test_what_a_store_holds_makes_a_table(tmp_path):
    """The frame as the store makes it, with its own types, a failure and a number that is missing."""
    kept = Store.open(tmp_path)
    cells = []
    for arm, shift in (("base", 0.0), ("arm", 1.0)):
        for i, scene in enumerate(SCENES):
            name = f"{arm}__{scene}__8v__s0__0000000{i}"
            cells.append(TrialSlot("t", arm, name, scene, 0))
            failed = arm == "arm" and scene == "mic"
            record = Record(
                schema_version=SCHEMA_VERSION,
                trial_id=name, status="failed" if failed else "finished", variant=arm, task=scene,
                cluster=scene, seed=0, budget="quick", identity={}, environment={"device": "cpu"}, curves={},
                timings={"wall_s": 3.0}, num_steps=400, num_parameters=1, pack_size=1, first_bad_step=None,
                reason="it burnt" if failed else None, traceback=None,
            )  # fmt: skip
            score = {
                "protocol": "std-v1", "version": "1.0", "view_ids": [4, 9], "reasons": {"ssim": "too small"},
                "per_view": {"psnr": [20.0 + i + shift + 0.01 * i, 22.0 + shift], "ssim": [None, None]},
                "context": {"angle_to_nearest_deg": [5.0, 25.0]},
            }  # fmt: skip
            scores = {} if failed else {"std-v1": score}
            kept.write(Outcome(record=record, parameters={}, views={}, scores=scores))
    result = compared(cells, kept.frame(), metrics=("psnr", "ssim"))
    entry = result.entry("arm", "psnr")
    assert (entry.difference, entry.num_failed, entry.num_pairs, entry.verdict) == (pytest.approx(1.0), 1, 7, "better")
    assert entry.reasons == {"it burnt": 1} and entry.wall_s == 3.0 and result.budgets == ("quick",)
    ssim = result.entry("arm", "ssim")
    assert (ssim.mean, ssim.num_missing, ssim.verdict) == (None, 7, "no data")
    assert ssim.reasons == {"it burnt": 1, "too small": 7}
    assert dataclasses.asdict(entry)["num_steps"] == 400
