"""Hours are those that devices were busy, and money is hours times a price that somebody named."""

from __future__ import annotations

import dataclasses

import pytest

from bench.report.page import report_files
from bench.report.tables import costs
from tests.fixtures.report_studies import contents_of


@pytest.fixture(scope="module")
def ran(usual):
    """Forty trials of 72 s: ten on two cards at once, ten on a CPU, nineteen on one card, one without a time."""
    places = [("card", 2)] * 10 + [("cpu", 1)] * 10 + [("card", 1)] * 19 + [("card", 1)]
    timings = [{"wall_s": 72.0}] * 39 + [{}]
    return [
        dataclasses.replace(record, environment={"device": device, "num_devices": num}, timings=times)
        for record, (device, num), times in zip(usual.records, places, timings, strict=False)
    ]


def test_hours_of_each_device(ran):
    # 10 x 2 x 72 s + 19 x 72 s on cards, 10 x 72 s on the CPU
    [(name, text)] = costs.cost_rows(ran)
    assert name == "device-hours"
    assert text.startswith("0.78 h on card (29 trials) | 0.20 h on cpu (10 trials)") and "1 trial left no time" in text


def test_a_price_is_hours_times_it_in_all_and_a_trial(ran):
    [_, (name, text)] = costs.cost_rows(ran, costs.DevicePrice(4.0, "EUR"))
    assert name == "price"
    parts = text.partition(", at 4 EUR")[0].split(" | ")
    assert parts == [
        "3.12 EUR on card, 0.11 EUR a trial",
        "0.80 EUR on cpu, 0.080 EUR a trial",
        "3.92 EUR in all, 0.10 EUR a trial",
    ]
    [_, (_, one)] = costs.cost_rows(ran[:10], costs.DevicePrice(2.6))
    assert one.startswith("1.04 USD on card, 0.10 USD a trial") and "in all" not in one, "no sum of one"


def test_nothing_timed_says_nothing(usual):
    bare = [dataclasses.replace(record, timings={"wall_s": float("nan")}) for record in usual.records]
    assert costs.cost_rows(bare, costs.DevicePrice(2.5)) == costs.cost_rows([]) == []


def test_costs_of_each_arm(usual):
    known = {"timings": {"wall_s": 5.0, "train_s": 3.0}, "memory_bytes": 2**21, "pack_size": 2}
    by_id = {}
    for record, num in zip(usual.records, [7, 9] * 24, strict=True):
        by_id[record.trial_id] = dataclasses.replace(record, num_parameters=num, **known)
    base, better, same = costs.costs_by_arm(usual.cells, by_id)
    assert (base.arm, base.wall_s, base.train_s, base.memory_mib) == ("base", 5.0, 3.0, 1.0)
    assert (better.num_parameters, better.pack_size, same.device) == ("7-9", "2", "cpu")
    assert costs.costs_by_arm(usual.cells, {})[0] == costs.ArmCost("base", None, None, "", "", "", None)
    grid = costs.cost_grid([base], "cost")
    assert grid.header[0] == "cost" and [cell.text for cell in grid.rows[0]][:4] == ["base", "5.00", "3.00", "1.00"]


def test_a_page_without_a_price_names_no_money(usual):
    prices = (costs.DevicePrice(3.0), None)
    priced, unpriced = (report_files.draw_files(contents_of(usual, price=price)) for price in prices)
    for name in ("index.html", "index.md"):
        text, plain = priced[name].decode(), unpriced[name].decode()
        # 47 trials with a device: 16 x 12 s, 16 x 13 s, 15 x 14 s
        assert "0.17 h on cpu (47 trials)" in text and "0.51 USD on cpu" in text
        assert "0.17 h on cpu" in plain and "USD" not in plain
