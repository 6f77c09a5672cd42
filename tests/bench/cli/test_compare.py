"""`compare` as a user calls it, on toys: what is printed, written, trained, and returned."""

import argparse
import dataclasses
import json

import pytest

from bench import __main__ as command_line
from bench.cli import compare
from bench.errors import UsageError
from bench.import_paths import ROOT
from bench.plugins import comparison_run, comparison_suite, trial_sources
from bench.storage.store import Store
from bench.suites import registry
from bench.suites.trial import Trial
from bench.training import run_suite
from tests.fixtures import toy_studies
from tests.fixtures.bare_pages import leave_out_figures
from tests.fixtures.toy_studies import SMOKE, ToyScene, outcome, toy_suite
from tests.fixtures.toys import ToyMethod

MINE = ToyMethod(label="mine", learning_rate=0.3)

VARIANT = "MINE+code=0a1b2c3d"


@pytest.fixture(autouse=True)
def toys(monkeypatch, tmp_path, request):
    """The toy suite under its name, a reference of its own, and a plug-in; figures are drawn in one test."""
    if request.function is not TestStored.test_the_page:
        leave_out_figures(monkeypatch)
    suites = {"toys": toy_suite(), "few": toy_suite(num_scenes=2)}
    monkeypatch.setattr(registry, "suite", suites.__getitem__)
    for name in suites:
        monkeypatch.setitem(registry.SUITES, name, f"tests:{name}")
    monkeypatch.setattr(registry.import_paths, "import_plugin", {"mine:MINE": MINE}.__getitem__)
    monkeypatch.setattr(comparison_suite.identity, "code_digest", lambda method: "0a1b2c3d")
    monkeypatch.setattr(trial_sources, "REFERENCE", tmp_path / "reference")


@pytest.fixture
def never_trains(monkeypatch):
    monkeypatch.setattr(run_suite.scheduler, "train_packs", lambda *args, **others: pytest.fail("nothing is missing"))


def parsed(tmp_path, *words):
    parser = argparse.ArgumentParser()
    compare.add_arguments(parser)
    words = ["--budget", "smoke", "--suite", "toys", "--results", tmp_path / "runs", "--out", tmp_path / "page", *words]
    return parser.parse_args([str(word) for word in words])


def trials(variant, method, scenes=toy_studies.SCENES, **fields):
    made = {"budget": SMOKE, "seed": 0} | fields
    return [Trial(task=ToyScene(scene=scene), method=method, variant=variant, **made) for scene in scenes]


def keep(folder, made, level=0.0, **changes):
    kept = Store.open(folder)
    for trial in made:
        kept.write(outcome(trial, level, **changes))


@pytest.fixture
def stored(tmp_path):
    """The method here, the baselines in the reference: Base lower, Fast higher."""
    keep(tmp_path / "runs", trials(VARIANT, MINE))
    keep(tmp_path / "reference", trials("toy_base", toy_studies.BASE), -2.0)
    keep(tmp_path / "reference", trials("toy_fast", toy_studies.FAST), 3.0)
    return tmp_path


def printed(capsys):
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.usefixtures("never_trains")
class TestStored:
    def test_one_baseline(self, stored, capsys):
        assert compare.main(parsed(stored, "mine:MINE")) == 0
        out = capsys.readouterr().out
        assert out.splitlines()[:2] == [
            f"baselines: 6 of 6 trials from {stored}/reference", "MINE: 6 of 6 trials found here",
        ]  # fmt: skip
        said = " ".join(out.split())
        assert "Is MINE better than Base?" in said and "6 scenes × 1 seed an arm" in said
        assert "+2.00 ±0.00 0.031 better" in said
        assert (
            "MINE minus a baseline, by scene: PSNR [dB] against ant bee cat dog eel fox mean Base +2.00 +2.00" in said
        )
        assert "MINE 2.00 – – 7 1" in said
        assert out.splitlines()[-1] == (
            "MINE: PSNR better than Base. SSIM better than Base. LPIPS, VGG better than Base"
        )

    def test_the_page(self, stored, capsys):
        assert compare.main(parsed(stored, "mine:MINE", "--against", "toy_base,toy_fast")) == 0
        (base, fast) = json.loads((stored / "page" / "results.json").read_text())
        assert (base["table"], base["baseline"], fast["baseline"]) == ("against Base", "Base", "Fast")
        assert base["arms"] == ["MINE", "Base"] and base["tests_beside"]["psnr"] == 1
        page = (stored / "page" / "index.html").read_text()
        assert "python -m bench compare mine:MINE --against toy_base,toy_fast --suite toys --budget smoke" in page
        assert "code 0a1b2c3d" in page
        assert f"report: {stored}/page/index.html" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("words", "code"),
        [
            (["--fail-if", "worse"], 0),
            (["--fail-if", "not-better"], 0),
            (["--fail-if", "worse", "--against", "toy_fast"], 1),
            (["--fail-if", "not-better", "--against", "toy_fast"], 1),
            (["--against", "toy_fast"], 0),
            (["--fail-if", "not-better", "--only", "scene=ant,bee"], 1),
            (["--fail-if", "worse", "--only", "scene=ant,bee", "--against", "toy_fast"], 0),
        ],
    )
    def test_exit_codes(self, stored, words, code, capsys):
        assert compare.main(parsed(stored, "mine:MINE", *words)) == code

    @pytest.mark.parametrize(("chosen", "absent"), [("MINE", "Base"), ("Base", "MINE")])
    def test_one_side_alone_is_refused(self, stored, chosen, absent):
        with pytest.raises(UsageError, match=f"got none of {absent} with --only; name both .*arm=MINE,Base"):
            compare.main(parsed(stored, "mine:MINE", "--only", f"arm={chosen}"))

    def test_json(self, stored, capsys):
        assert compare.main(parsed(stored, "mine:MINE", "--json", "--against", "toy_base,toy_fast")) == 0
        out, err = capsys.readouterr()
        plain = json.loads(out)
        assert "12 of 12 trials from" in err and plain["origins"]["said"] == err.splitlines()[:2]
        assert plain["method"] == "MINE" and plain["suite"] == "toys" and plain["failed"] == []
        assert [(d["baseline"], d["metric"], d["verdict"]) for d in plain["differences"]][:2] == [
            ("Base", "psnr", "not resolved"), ("Base", "ssim", "not resolved"),  # 6 scenes are too few for two
        ]  # fmt: skip
        assert plain["differences"][0]["difference"] == pytest.approx(2.0)
        assert plain["differences"][0]["by_cluster"].keys() == set(toy_studies.SCENES)
        assert {cost["arm"]: cost["num_parameters"] for cost in plain["costs"]} == {
            "MINE": "7",
            "Base": "7",
            "Fast": "7",
        }
        assert {t["where"] for t in plain["origins"]["trials"].values()} == {"here", "reference"}
        assert plain["found"].startswith("MINE: PSNR not resolved against Base, Fast")

    def test_a_failed_trial_is_a_row_and_exits_1(self, stored, capsys):
        keep(stored / "other", trials(VARIANT, MINE)[1:])
        keep(stored / "other", trials(VARIANT, MINE)[:1], reason="the loss was not finite")
        assert compare.main(parsed(stored, "mine:MINE", "--results", stored / "other")) == 1
        out, err = capsys.readouterr()
        shown = " ".join(out.split())
        for words in ("5 of 6", "missing from MINE", "of 6 trials, 1 failed", "not finite (1)"):
            assert words in shown
        assert "1 trial failed" in err and "retry --all" in err

    def test_renders_that_were_imported(self, stored, capsys):
        kept = Store.open(stored / "runs")
        for trial in trials("theirs", toy_studies.FAST, toy_studies.SCENES[:5]):
            kept.write(dataclasses.replace(outcome(trial, 1.0), views=toy_studies.views(trial)))
        assert compare.main(parsed(stored, "theirs")) == 0
        said = printed(capsys)
        assert "theirs: 5 of 5 trials stored under this name" in said and "+3.00" in said
        assert list((stored / "page" / "sheets").glob("*.png")), "they are shown beside the truth"
        assert "theirs: PSNR not resolved against Base" in said and "6 of 6" not in said.partition("difference:")[2]

    def test_other_scores_without_views_are_refused(self, stored):
        keep(stored / "other", trials(VARIANT, MINE), version="0.8")
        with pytest.raises(
            UsageError, match="MINE.*: expected scores of std-v1 as it is now, or views .* scored with std-v1 0.8"
        ):
            compare.main(parsed(stored, "mine:MINE", "--results", stored / "other"))

    def test_imported_renders_are_imported_again_not_scored_again(self, stored):
        kept = Store.open(stored / "runs")
        for trial in trials("theirs", toy_studies.FAST):
            kept.write(dataclasses.replace(outcome(trial, version="0.8"), views=toy_studies.views(trial)))
        with pytest.raises(
            UsageError, match="theirs__ant.*: expected scores of std-v1 as it is now.*; import it again"
        ):
            compare.main(parsed(stored, "theirs"))

    def test_other_scores_are_made_anew_from_views(self, stored, monkeypatch):
        kept, again = Store.open(stored / "other"), []
        for trial in trials(VARIANT, MINE):
            kept.write(dataclasses.replace(outcome(trial, version="0.8"), views=toy_studies.views(trial)))
        monkeypatch.setattr(comparison_run, "rescore_trial", lambda trial, names, here: again.append((trial.id, names)))
        compare.main(parsed(stored, "mine:MINE", "--results", stored / "other"))
        assert again == [(trial.id, ("std-v1",)) for trial in trials(VARIANT, MINE)]


class TestTrains:
    def test_only_what_is_stored_nowhere(self, tmp_path, capsys):
        """The method is trained, and so is the one baseline whose score in the reference is old."""
        ant, bee = trials("toy_base", toy_studies.BASE, ("ant", "bee"))
        keep(tmp_path / "reference", [ant])
        keep(tmp_path / "reference", [bee], version="0.3")
        words = ["mine:MINE", "--suite", "few", "--executor", "inline"]
        assert compare.main(parsed(tmp_path, *words)) == 0
        said = printed(capsys)
        assert "baselines: 1 of 2 trials from" in said
        assert "1 to train here: scored with std-v1 0.3, which is now 1.1 MINE: 2 of 2 trials to train" in said
        assert "MINE: PSNR too few scenes for a verdict against Base" in said
        trained = trials(VARIANT, MINE, ("ant", "bee"))
        assert Store.open(tmp_path / "runs").ids() == sorted([bee.id, *(trial.id for trial in trained)])
        assert compare.main(parsed(tmp_path, *words)) == 0
        assert "1 of 2 trials from" in (said := printed(capsys)) and "MINE: 2 of 2 trials found here" in said

    def test_set_changes_the_method_and_its_variant(self, stored, monkeypatch, capsys):
        asked = []
        monkeypatch.setattr(run_suite, "train_missing", lambda options, chosen, here: asked.extend(chosen.trials))
        compare.main(parsed(stored, "mine:MINE", "--set", "MINE.num_rays=9", "--seeds", "4"))
        assert {t.variant for t in asked} == {"MINE+num_rays=9+code=0a1b2c3d", "toy_base"} and {
            t.seed for t in asked
        } == {4}
        assert {t.method.num_rays for t in asked if t.variant != "toy_base"} == {9}
        assert "MINE: PSNR no data against Base" in printed(capsys)


class TestReference:
    """The reference numbers that come with the project."""

    @pytest.fixture(autouse=True)
    def ours(self, toys, monkeypatch):
        monkeypatch.setattr(registry, "suite", lambda name: registry._object(registry.SUITES[name]))
        monkeypatch.setattr(trial_sources, "REFERENCE", ROOT / "results" / "reference")

    @pytest.mark.usefixtures("never_trains")
    def test_captions_have_a_row_each(self, tmp_path, capsys):
        words = ["dream_fields_plain", "--suite", "ablations", "--budget", "quick", "--against", "Dream Fields"]
        assert compare.main(parsed(tmp_path, *words)) == 0
        out = capsys.readouterr().out
        assert "baselines: 8 of 8 trials from results/reference\n" in out
        assert "no crops, no backgrounds: 8 of 8 trials from results/reference\n" in out
        rows = [line for line in out.splitlines() if line.startswith(("a pink windmill ", "mean "))]
        assert len(rows) == 2 and all(row.split()[-1][0] in "+-0" for row in rows)
        assert "Retrieval is among the " in out
        assert out.splitlines()[-1].startswith("no crops, no backgrounds: margin")

    @pytest.mark.slow
    @pytest.mark.parametrize("budget", ["quick", "standard"])
    def test_a_laptop_and_an_accelerator_find_theirs(self, tmp_path, budget):
        args = parsed(tmp_path, "mine:MINE", "--suite", "sparse-views", "--against", "nerf,simplified_nerf,dietnerf")
        args.budget = budget
        options = compare.comparison_options(args)
        study, chosen = comparison_run.select_comparison(options, Store.open(tmp_path / "runs"))
        found = trial_sources.find_sources(
            chosen.trials, "std-v1", Store.open(tmp_path), Store.open(trial_sources.REFERENCE)
        )
        theirs = {cell.trial_id for cell in chosen.cells if cell.arm != study.label}
        assert {name: found[name].why for name in theirs if found[name].where != "reference"} == {}


def test_the_verb_and_its_default_suite(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # names with dashes are broken in narrow terminals
    with pytest.raises(SystemExit):
        command_line.main(["compare", "--help"])
    said = printed(capsys)
    assert "(default: sparse-views)" in said and "--fail-if" in said and "my_pkg.field:MyField --against" in said
