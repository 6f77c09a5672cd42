"""Options of reports: numbers of turntables and meshes, and prices."""

import argparse

import numpy as np
import pytest

from bench.cli import report, report_options, suite_options
from bench.errors import UsageError
from bench.report.tables.costs import DevicePrice
from bench.storage.record import Outcome, make_record
from bench.storage.store import Store


def parsed(*words, suite=("--suite", "compositional", "--budget", "smoke")):
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    return parser.parse_args([*suite, *words])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A store with views and no parameters."""
    kept = Store.open(tmp_path_factory.mktemp("results"))
    for place, trial in enumerate(suite_options.selection(parsed()).trials):
        px = trial.task.view_px
        views = {"color": np.full((17, px, px, 3), 0.1 * place, np.float16), "ids": np.arange(17, dtype=np.int32)}
        kept.write(Outcome(record=make_record(trial, status="finished"), parameters={}, views=views, scores={}))
    return kept.root


def test_how_many_are_asked_for():
    assert report_options.media_options(parsed()) == report_options.MediaOptions(None, report_options.NUM_MESHES)
    assert report_options.media_options(parsed("--pictures", "3", "--meshes", "0")) == report_options.MediaOptions(3, 0)
    assert report_options.MediaOptions().num_meshes == 0, "a run that ends does not wait for meshes"


def test_a_number_that_is_none(capsys):
    with pytest.raises(SystemExit):
        parsed("--pictures", "-1")
    assert "at least 0, got '-1'" in capsys.readouterr().err


def test_a_figure_has_none():
    args = parsed("--figure", "clip-consistency", "--meshes", "1", suite=())
    with pytest.raises(UsageError, match="beside it, got --meshes; leave it out"):
        report.main(args)


def test_so_many_captions_have_pictures(root, tmp_path):
    assert report.main(parsed("--results", str(root), "--out", str(tmp_path / "a"), "--pictures", "1")) == 0
    assert len(list((tmp_path / "a" / "media").iterdir())) == 2, "one caption, two arms"
    assert not (tmp_path / "a" / "objects").exists(), "no parameters, no mesh"
    assert report.main(parsed("--results", str(root), "--out", str(tmp_path / "b"), "--pictures", "0")) == 0
    assert not (tmp_path / "b" / "media").exists()


def test_the_same_bytes_twice(root, tmp_path):
    files = []
    for side in "ab":
        report.main(parsed("--results", str(root), "--out", str(tmp_path / side)))
        files.append({p.relative_to(tmp_path / side): p.read_bytes() for p in (tmp_path / side).rglob("*.*")})
    assert files[0] == files[1] and sum(path.suffix == ".webp" for path in files[0]) == 4


@pytest.mark.parametrize(
    ("words", "price"),
    [
        ((), None),
        (("--price-per-hour", "2.5"), DevicePrice(2.5, "USD")),
        (("--price-per-hour", "0", "--currency", "€"), DevicePrice(0.0, "€")),
    ],
)
def test_prices_of_the_command_line(words, price):
    assert report_options.price_of(parsed(*words)) == price


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--currency", "EUR"), "--currency: expected --price-per-hour .* got 'EUR'"),
        (("--price-per-hour", "nan"), "--price-per-hour: .* got nan"),
        (("--price-per-hour", "-1"), "--price-per-hour: .* got -1.0"),
        (("--price-per-hour", "1", "--currency", "<b>"), "--currency: .* got '<b>'"),
    ],
)
def test_prices_that_are_none(words, said):
    with pytest.raises(UsageError, match=said):
        report_options.price_of(parsed(*words))
