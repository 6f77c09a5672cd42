"""A suite on a user's scenes: which tables, sizes and numbers of photographs it has, and what is refused."""

from __future__ import annotations

import shutil

import pytest

from bench.errors import UsageError
from bench.suites import scene_study
from bench.suites.builtin import published_numbers
from bench.suites.selection import SelectionOptions, select_trials, study_name
from tasks.budgets import BUDGETS
from tests.fixtures.photo_scenes import write_one_list, write_scene


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A folder of three scenes with 5, 6 and 9 training photographs of 8 or 20 pixels."""
    folder = tmp_path_factory.mktemp("scans")
    write_scene(folder / "vase", num_train=5, num_test=2)
    write_scene(folder / "chess", num_train=6, num_test=9, px=20, seed=1)
    write_one_list(folder / "yard", num=10, seed=2)
    return folder


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Scenes with the names and counts of NeRF Realistic Synthetic."""
    folder = tmp_path_factory.mktemp("originals")
    for name in ("lego", "ship"):
        write_scene(folder / name, num_train=100, num_test=2)
    return folder


def select(scenes, suite="sparse-views", budget="smoke", **options):
    return select_trials(SelectionOptions(suite=suite, budget=BUDGETS[budget], scenes=str(scenes), **options))


def arms_of(chosen, table="sparse views"):
    return {(cell.arm, cell.cluster) for cell in chosen.cells if cell.table == table}


def test_all_scenes_of_a_folder_with_sizes_of_the_budget_or_their_own(scans):
    chosen = select(scans, only=("table=sparse views",))
    assert {(t.task.scene, t.task.image_px) for t in chosen.trials} == {("vase", 8), ("chess", 16), ("yard", 8)}
    assert {cell.arm for cell in chosen.cells} == {
        "NeRF", "Simplified NeRF", "DietNeRF", "DietNeRF, fine-tuned", "NeRF, all views",
    }  # fmt: skip
    by_id = {trial.id: trial.task.num_views for trial in chosen.trials}
    of_all = {cell.cluster: by_id[cell.trial_id] for cell in chosen.cells if cell.arm == "NeRF, all views"}
    assert of_all == {"vase": 5, "chess": 6, "yard": 8}  # every eighth of yard's ten is held out
    assert {by_id[cell.trial_id] for cell in chosen.cells if cell.arm == "NeRF"} == {3}
    assert study_name(chosen) == "sparse-views-smoke-chess+vase+yard"


def test_one_size_changes_with_the_budget(scans):
    chosen = select(scans / "chess", settings=("budget.image_px=18",))
    assert {t.task.image_px for t in chosen.trials} == {18}
    assert {t.task.image_px for t in select(scans / "chess", budget="quick", seeds="0").trials} == {20}


def test_named_scenes_and_numbers_of_views(scans):
    chosen = select(f"{scans / 'vase'},{scans / 'chess'}", settings=("task.num_views=5",))
    assert {t.task.num_views for t in chosen.trials if t.variant != "nerf"} == {5}
    assert study_name(chosen) == "sparse-views-smoke-vase+chess"
    one = select(scans / "vase")
    assert ("NeRF, 5 views", "vase") in arms_of(one)


def test_a_scene_that_is_left_out_is_not_opened(scans, tmp_path):
    for name in ("vase", "chess"):
        shutil.copytree(scans / name, tmp_path / name)
    (tmp_path / "chess" / "transforms_train.json").write_text("{")
    chosen = select(tmp_path, only=("scene=vase",))
    assert {t.task.scene for t in chosen.trials} == {"vase"} and study_name(chosen) == "sparse-views-smoke-vase"
    with pytest.raises(UsageError, match="chess/transforms_train.json: expected JSON"):
        select(tmp_path)


def test_where_a_scene_lies_is_no_part_of_it_and_its_photographs_are(scans, tmp_path):
    shutil.copytree(scans / "vase", tmp_path / "a" / "vase")
    write_scene(tmp_path / "b" / "vase", num_train=5, num_test=2, seed=9)
    ids = [[t.id for t in select(place / "vase").trials] for place in (scans, tmp_path / "a", tmp_path / "b")]
    assert ids[0] == ids[1]
    assert not set(ids[0]) & set(ids[2])


def test_paper_settings_for_scenes_of_the_paper(originals):
    chosen = select(originals, budget="paper")
    assert chosen.protocols == ("dietnerf-2021",)
    assert {(t.task.scene, t.variant) for t in chosen.trials if t.variant.startswith("simplified")} == {
        ("lego", "simplified_nerf_2021_lego"), ("ship", "simplified_nerf_2021"),
    }  # fmt: skip
    assert ("NeRF, 100 views", "ship") in arms_of(chosen)
    assert {(t.task.resize, t.task.pixel_center) for t in chosen.trials} == {("straight", 0.0)}
    assert {t.task.num_views for t in chosen.trials} == {8, 100}
    (table,) = chosen.tables
    printed = {(p.row, p.column): p.value for p in table.published}
    # Source: the table of scenes in DietNeRF's notebook, see `published_numbers.DIETNERF_SCENES`.
    assert printed["NeRF, 100 views", "PSNR, lego"] == "31.618"
    assert printed["DietNeRF", "LPIPS, ship"] == "0.204"


def test_a_scene_of_ones_own_at_paper_has_nothing_published(tmp_path):
    write_scene(tmp_path / "lego", num_train=9, num_test=2)
    chosen = select(tmp_path / "lego", budget="paper")
    assert {t.variant for t in chosen.trials if "simplified" in t.variant} == {"simplified_nerf_2021"}
    assert {t.task.resize for t in chosen.trials} == {"premultiplied"}
    assert chosen.tables[0].published == ()


def test_published_numbers_of_all_scenes_are_the_main_table():
    of_all = published_numbers.dietnerf_by_scene(tuple(published_numbers.DIETNERF_SCENES))
    assert of_all == published_numbers.dietnerf_main()
    of_three = published_numbers.dietnerf_by_scene(("mic", "lego", "ship"))
    assert {each.column for each in of_three} == {"PSNR, mic", "PSNR, lego", "PSNR, ship"}


def test_means_of_published_scenes_are_those_of_the_main_table():
    means = {(p.row, p.column): float(p.value) for p in published_numbers.dietnerf_main()}
    for place, arm in enumerate(published_numbers.DIETNERF_ARMS):
        psnr = [float(rows[place].split("/")[0]) for rows in published_numbers.DIETNERF_SCENES.values()]
        loose = 0.05 if arm == "DietNeRF, fine-tuned" else 2e-3  # its runs are not all those of the paper
        assert sum(psnr) / 8 == pytest.approx(means[arm, "PSNR"], abs=loose)


def test_the_ablations_have_as_many_views_as_there_are(scans):
    chosen = select(scans, suite="sparse-views-ablations")
    names = [table.name for table in chosen.tables]
    assert "2 views" in names and "4 views" in names and "8 views" not in names
    assert "other photographs" in names and "still others" in names and "unseen side" not in names


def test_the_study_of_types_takes_ones_own_scenes(originals):
    for budget, variants in (("smoke", {"nerf", "dietnerf"}), ("paper", {"nerf_2021", "dietnerf_2021"})):
        chosen = select(originals / "lego", suite="sparse-views-equivalence", budget=budget)
        assert {t.variant.removesuffix("_bfloat16") for t in chosen.trials} == variants and len(chosen.trials) == 4
        assert {t.task.num_views for t in chosen.trials} == {8}


def test_the_study_of_recipes_has_ours_beside_the_released_one(originals):
    for budget, protocol in (("smoke", "std-v1"), ("paper", "dietnerf-2021")):
        chosen = select(originals / "lego", suite="sparse-views-recipes", budget=budget)
        (table,) = chosen.tables
        assert {t.variant for t in chosen.trials} == {arm.variant for arm in table.arms.values()}
        assert table.protocol == protocol and {t.task.num_views for t in chosen.trials} == {8}


def test_names_of_many_scenes_become_a_number():
    assert scene_study.label_folders(["my scan"]).startswith("my-scan-")
    names = [f"scan{i}" for i in range(30)]
    assert scene_study.label_folders(names).startswith("30-scenes-")
    assert scene_study.label_folders(names) != scene_study.label_folders(names[::-1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"suite": "ablations"}, r"starts from photographs \(sparse-views, .*sparse-views-ablations\), got ablations"),
        ({"only": ("scene=vas",)}, "--only scene=vas: expected a scene of the suite, got 'vas'; the nearest is 'vase'"),
        ({"only": ("scene=vase", "scene=yard")}, "some scene meets together, got none"),
        ({"settings": ("task.num_views=6",)}, "scene vase: expected at least 6 training photographs, got 5; .*views=5"),
        ({"budget": "paper"}, "scene chess: expected at least 8 training photographs, got 6"),
        (
            {"settings": ("task.scene=vase",)},
            "--only scene=vase, or name folders of your own photographs with --scenes",
        ),
    ],
)
def test_what_is_refused(scans, options, message):
    with pytest.raises(UsageError, match=message) as error:
        select(scans, **options)
    assert "\n" not in str(error.value)


def test_a_scene_alone_works_without_the_others(originals, monkeypatch):
    monkeypatch.setenv("BENCH_BLENDER_DIR", str(originals))
    small = {"budget": BUDGETS["paper"], "settings": ("task.image_px=8",)}
    options = SelectionOptions(suite="sparse-views", only=("scene=lego",), **small)
    ids = {trial.id for trial in select_trials(options).trials}
    assert len(ids) == 5
    named = SelectionOptions(suite="sparse-views", scenes=str(originals / "lego"), **small)
    assert ids == {trial.id for trial in select_trials(named).trials}


def test_without_data_there_are_places_but_no_ids(originals, monkeypatch):
    monkeypatch.setenv("BENCH_BLENDER_DIR", str(originals))
    options = SelectionOptions(suite="sparse-views", budget=BUDGETS["paper"], settings=("task.image_px=8",))
    with pytest.raises(UsageError, match="expected a folder 'chair'"):
        select_trials(options)
    chosen = select_trials(options, allow_missing=True)
    assert {t.task.scene for t in chosen.trials} == {"lego", "ship"} and len(chosen.without_data) == 6 * 5
    assert [table.name for table in chosen.tables] == ["sparse views"]
    assert len(chosen.missing) == 6 and "expected a folder 'chair'" in chosen.missing[0]


def test_captions_without_their_list_are_counted(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_COCO_CAPTIONS", str(tmp_path / "nothing.txt"))
    options = SelectionOptions(suite="text-to-3d", budget=BUDGETS["paper"], seeds="0")
    registered = select_trials(options, allow_missing=True)
    assert not registered.trials and len(registered.without_data) == 153 * len(registered.tables[0].arms)
    with pytest.raises(UsageError, match="nothing.txt: expected a text file of captions, got none there"):
        select_trials(options)
