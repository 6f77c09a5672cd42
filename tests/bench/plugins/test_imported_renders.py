"""Renders of another program become trials: what is read, refused, scored and stored; by the command too."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from bench import __main__ as command_line
from bench.errors import UsageError
from bench.metrics import caption_protocols
from bench.plugins import imported_renders, render_files
from bench.storage.store import Store
from bench.suites import registry
from bench.suites.identity import describe
from bench.suites.suite import Arm, Suite, Table
from bench.suites.trial import Trial
from tasks.budgets import BUDGETS, sized
from tasks.captions.caption_task import CaptionTask
from tasks.sparse_views.embedded import SparseViews
from tests.fixtures.toys import FINGERPRINTS, ToyMethod, ToyTask

PX = 16

SMOKE = BUDGETS["smoke"]

GREY = sized(ToyTask(), SMOKE)

GUITAR = sized(CaptionTask(caption="a blue dotted guitar"), SMOKE)

TOYS = Suite(
    name="toys",
    question="Is it grey?",
    tables={
        "smoke": (
            Table(
                name="toys",
                question="Is it grey?",
                tasks=(ToyTask(), ToyTask(scene="dark")),
                baseline="Toy",
                arms={"Toy": Arm(method=ToyMethod(), variant="toy")},
                metrics=("psnr",),
                protocol="std-v1",
            ),
        )
    },
    num_seeds={"smoke": 1},
)


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    """A suite of toys beside the real ones; no encoder is loaded."""
    suite = registry.suite
    monkeypatch.setitem(registry.SUITES, "toys", "tests:TOYS")
    monkeypatch.setattr(registry, "suite", lambda name: TOYS if name == "toys" else suite(name))
    monkeypatch.setattr(caption_protocols, "encoder_of", lambda name: "it is not there")


def png(shade=0.5, channels=3, alpha=1.0, px=PX, **options):
    levels = np.full((px, px, channels), round(255 * shade), np.uint8)
    if channels == 4:
        levels[..., 3] = round(255 * alpha)
    out = io.BytesIO()
    Image.fromarray(levels).save(out, options.pop("format", "PNG"), **options)
    return out.getvalue()


def images(num=3, **options):
    content = png(**options)
    return {f"{i}.png": lambda: content for i in range(num)}


@pytest.fixture
def out(tmp_path):
    """Renders of both scenes."""
    for scene, shade in (("grey", 0.6), ("dark", 0.1)):
        (tmp_path / "out" / scene).mkdir(parents=True)
        for i in range(3):
            (tmp_path / "out" / scene / f"r_{i}.png").write_bytes(png(shade))
    return tmp_path / "out"


def bench(*words):
    return command_line.main([str(word) for word in words])


class TestWanted:
    def test_a_scene_of_a_suite(self):
        found = imported_renders.find_tasks("toys:grey", SMOKE)
        assert (found.chosen, list(found.tasks), found.protocols) == ("grey", ["grey", "dark"], ("std-v1",))
        assert found.tasks["grey"] == GREY
        assert found.arms == {"Toy", "toy"}

    def test_all_scenes_of_a_suite_and_another_number_of_photographs(self):
        found = imported_renders.find_tasks("toys", SMOKE, num_views=7)
        assert found.chosen is None
        assert [task.name for task in found.tasks.values()] == ["grey__7v", "dark__7v"]

    def test_a_caption(self):
        found = imported_renders.find_tasks("captions:A blue dotted guitar.", SMOKE)
        assert found.chosen == "a-blue-dotted-guitar"
        assert found.tasks[found.chosen] == GUITAR
        assert found.protocols == registry.suite("text-to-3d").protocols_at(SMOKE)
        assert imported_renders.find_tasks("captions", SMOKE).chosen is None
        of_set = imported_renders.find_tasks(
            "captions:a snail made of baguette", SMOKE, caption_set="composed:materials"
        )
        assert of_set.tasks[of_set.chosen].captions == "composed:materials"

    def test_a_caption_of_a_suite_is_the_task_that_is_trained(self):
        suite = registry.suite("text-to-3d")
        task = suite.tables_at(SMOKE)[0].tasks[0]
        found = imported_renders.find_tasks(f"text-to-3d:{task.caption}", SMOKE)
        assert describe(found.tasks[found.chosen]) == describe(sized(task, SMOKE))

    @pytest.mark.parametrize(
        ("text", "num_views", "message"),
        [
            (
                "toy:grey",
                None,
                "--task: expected SUITE:SCENE or captions:CAPTION, got 'toy:grey'; the nearest is 'toys'",
            ),
            (
                "toys:gray",
                None,
                "--task toys:gray: expected a scene or caption of toys, got 'gray'; the nearest is 'grey'",
            ),
            (
                "captions:a kangaroo",
                None,
                "--task captions:a kangaroo: expected a scene or caption of captions, got 'a kangaroo'; the",
            ),
            ("captions", 3, "--num-views: expected none where a method starts from a caption, got 3; leave it out"),
        ],
    )
    def test_mistakes(self, text, num_views, message):
        with pytest.raises(UsageError, match=message):
            imported_renders.find_tasks(text, SMOKE, num_views)


class TestNames:
    @pytest.mark.parametrize("name", ["mine", "my-nerf", "instant.ngp", "a_b", "3dgs"])
    def test_that_may_be(self, name):
        imported_renders.check_free_name(name, [])

    @pytest.mark.parametrize("name", ["", "a__b", "_a", "a_", "a.", ".a", "a b", "a/b", "a+b", "x" * 65])
    def test_that_are_no_part_of_a_folders_name(self, name):
        with pytest.raises(
            UsageError, match="--name: expected letters, digits, single underscores, dots and dashes, got"
        ):
            imported_renders.check_free_name(name, [])

    @pytest.mark.parametrize("name", ["nerf", "Toy"])
    def test_that_variants_and_arms_have(self, name):
        with pytest.raises(
            UsageError, match=f"expected a name of your own, got '{name}', which a variant has; try my-"
        ):
            imported_renders.check_free_name(name, [], frozenset({"Toy"}))

    def test_that_trained_trials_have(self):
        from bench.storage import record

        trained = Trial(task=GREY, method=ToyMethod(), budget=SMOKE, seed=0, variant="mine")
        known = record.make_record(trained, status="finished", with_device=False)
        assert not imported_renders.is_imported(known)
        with pytest.raises(UsageError, match="got 'mine', which trained trials have; try my-mine"):
            imported_renders.check_free_name("mine", [known])


class TestRead:
    def test_without_alpha_nothing_is_said_of_opacity(self):
        found = imported_renders.read_images(GREY, images(), "out")
        assert sorted(found.views) == ["color", "ids"]
        assert found.views["color"].dtype == np.float16 and found.views["color"].shape == (3, PX, PX, 3)
        assert found.views["ids"].tolist() == [0, 1, 2]
        assert found.notes == ()

    def test_alpha_is_put_on_the_tasks_background(self):
        found = imported_renders.read_images(GREY, images(shade=0.0, channels=4, alpha=0.2), "out")
        assert np.allclose(found.views["color"], 0.8, atol=1e-3)  # the toy does not say: white
        assert np.allclose(found.views["opacity"], 0.2, atol=1e-3)

    def test_of_a_caption_the_background_is_grey(self):
        found = imported_renders.read_images(GUITAR, images(17, shade=0.0, channels=4, alpha=0.2), "out")
        assert np.allclose(found.views["color"], 0.4, atol=2e-3)

    def test_the_hash_is_of_contents_by_view(self):
        one = imported_renders.read_images(GREY, images(), "out").digest
        renamed = {f"r_{name}": read for name, read in images().items()}
        assert imported_renders.read_images(GREY, renamed, "elsewhere").digest == one
        other = images() | {"2.png": lambda: png(0.4)}
        assert imported_renders.read_images(GREY, other, "out").digest != one

    def test_jpeg_is_warned_of(self):
        found = imported_renders.read_images(GREY, {f"{i}.jpg": lambda: png(format="JPEG") for i in range(3)}, "out")
        assert found.notes == ("out: 3 JPEGs; what their compression lost counts against them: save PNG",)

    def test_another_background_is_warned_of(self, monkeypatch):
        monkeypatch.setattr(imported_renders, "OTHER_GREY", 0.3)
        assert imported_renders.read_images(GREY, images(shade=0.1), "out").notes == (
            "out: around the object they are 0.10, the photographs 0.50; is it another background?",
        )

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            (images(2), "out: expected 3 views, 0, 1, 2, got no 2; render what is missing"),
            (images(4), "got also 3; take out what is of no view"),
            (images(px=48), "out, 0.png: expected 16 x 16 pixels, got 48 x 48; .*, or say --budget quick"),
            (images(px=33), "out, 0.png: expected 16 x 16 pixels, got 33 x 33; render it at the task's size$"),
            (
                images() | {"1.png": lambda: png(channels=4)},
                "expected all images with alpha or none, got both, 0.png and 1",
            ),
        ],
    )
    def test_what_is_refused(self, files, message):
        with pytest.raises(UsageError, match=message):
            imported_renders.read_images(GREY, files, "out")

    def test_a_caption_needs_alpha(self):
        with pytest.raises(UsageError, match="expected images with alpha, got RGB; judges see objects before grey and"):
            imported_renders.read_images(GUITAR, images(17), "out")

    def test_a_caption_needs_its_ring_alone(self):
        assert len(imported_renders.read_images(GUITAR, images(16, channels=4), "out").views["ids"]) == 16
        with pytest.raises(UsageError, match="expected 16 views, 0, 1, 2, ... 15, got no 15"):
            imported_renders.read_images(GUITAR, images(15, channels=4), "out")


class TestTrials:
    def made(self, shade=0.6, seed=0, **options):
        found = imported_renders.read_images(GREY, images(shade=shade, **options), "out")
        return imported_renders.make_imported_trial(GREY, found, "mine", SMOKE, seed), found

    def test_it_is_stored_as_a_trained_one_would_be(self, tmp_path):
        trial, found = self.made()
        trained = Trial(task=ToyTask(), method=ToyMethod(), budget=SMOKE, seed=0, variant="toy")
        assert trial.id.startswith("mine__grey__2v__s0__")
        Store.open(tmp_path).write(imported_renders.imported_outcome(trial, found, ("std-v1", "dreamfields-2022")))
        known, again = Store.open(tmp_path).read(trial.id), Store.open(tmp_path)
        assert imported_renders.is_imported(known)
        assert (known.variant, known.cluster, known.seed, known.budget) == ("mine", "grey", 0, "smoke")
        assert known.identity["task"] == trained.identity()["task"]
        assert (known.num_steps, known.num_parameters, known.curves, known.timings) == (0, 0, {}, {})
        assert known.environment["device"] is None
        assert list(again.scores(trial.id)) == ["std-v1"]
        assert set(again.views(trial.id)) == {"color", "ids"}

    def test_numbers_that_need_more_than_images_are_missing_with_a_reason(self):
        trial, found = self.made()
        scores = imported_renders.scores_of(trial, found.views, ("std-v1",))["std-v1"]
        assert scores["per_view"]["psnr"] == pytest.approx([20.0] * 3, abs=0.1)
        assert scores["per_view"]["floaters"] == [None] * 3
        assert "nothing was stored of what stands right before" in scores["reasons"]["floaters"]
        assert scores["field_state"] == "unknown"

    def test_equal_images_have_a_finite_number(self):
        trial, found = self.made(shade=128 / 255)
        found.views["color"][:] = 0.5
        scores = imported_renders.scores_of(trial, found.views, ("std-v1",))["std-v1"]
        assert scores["per_view"]["psnr"] == [100.0] * 3

    def test_empty_renders_are_told_by_their_alpha(self):
        trial, found = self.made(channels=4, alpha=0.0)
        assert imported_renders.scores_of(trial, found.views, ("std-v1",))["std-v1"]["field_state"] == "empty"

    def test_a_protocol_without_a_view_of_its_own_is_left_out(self):
        for num, names in ((17, ["std-v1", "dreamfields-2022"]), (16, ["std-v1"])):
            found = imported_renders.read_images(GUITAR, images(num, channels=4, alpha=0.3), "out")
            trial = imported_renders.make_imported_trial(GUITAR, found, "mine", SMOKE, 0)
            made = imported_renders.scores_of(trial, found.views, ("std-v1", "dreamfields-2022", "nerf-2020"))
            assert list(made) == names
        reasons = made["std-v1"]["reasons"]
        assert reasons["rprec1@guide"] == "no encoder guided this trial"
        assert reasons["rprec1@embedded-judge-rn"] == "it is not there"

    def test_other_files_under_the_same_name_are_refused(self, tmp_path):
        trial, found = self.made()
        there = Store.open(tmp_path)
        there.write(imported_renders.imported_outcome(trial, found, ()))
        imported_renders.check_not_replaced(trial, there)
        imported_renders.check_not_replaced(self.made(seed=1)[0], there)
        with pytest.raises(UsageError) as refused:
            imported_renders.check_not_replaced(self.made(shade=0.7)[0], there)
        assert str(refused.value) == (
            f"mine on grey__2v: expected the renders that are stored as {trial.id}, got other files; choose another "
            f"--name or --seed, or remove {tmp_path / trial.id}"
        )

    def test_the_same_files_of_a_scene_that_has_changed_are_refused(self, tmp_path, monkeypatch):
        trial, found = self.made()
        there = Store.open(tmp_path)
        there.write(imported_renders.imported_outcome(trial, found, ()))
        monkeypatch.setitem(FINGERPRINTS, "toy", "newer")
        with pytest.raises(UsageError, match="got the same files, of data that has changed; choose another"):
            imported_renders.check_not_replaced(self.made()[0], there)

    def test_what_was_not_trained_cannot_be_asked(self):
        method = self.made()[0].method
        for name in ("prepare", "init", "loss", "optimizer", "render", "field_at"):
            with pytest.raises(
                UsageError, match="imported renders: expected a method that was trained here, got images"
            ):
                getattr(method, name)()


class TestCommand:
    def words(self, out, tmp_path, *more, task="toys:grey", name="mine"):
        return [
            "import",
            out,
            "--task",
            task,
            "--name",
            name,
            "--budget",
            "smoke",
            "--results",
            tmp_path / "runs",
            *more,
        ]

    def test_one_scene(self, out, tmp_path, capsys):
        assert bench(*self.words(out, tmp_path)) == 0
        printed = capsys.readouterr().out
        [trial_id] = Store.open(tmp_path / "runs").ids()
        assert printed.startswith(f"{trial_id}: 3 views, std-v1: psnr 19.99")
        assert "1 imported as 'mine'" in printed
        assert "next: python -m bench compare mine --suite toys --budget smoke" in printed

    def test_again_it_is_found(self, out, tmp_path, capsys):
        assert bench(*self.words(out, tmp_path)) == 0
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*/**/*.json")}
        capsys.readouterr()
        assert bench(*self.words(out, tmp_path)) == 0
        assert ", found stored\n" in capsys.readouterr().out
        assert before and all(path.stat().st_mtime_ns == then for path, then in before.items())

    def test_scores_of_another_version_are_made_again(self, out, tmp_path, capsys):
        assert bench(*self.words(out, tmp_path)) == 0
        [path] = (tmp_path / "runs").glob("*/scores/std-v1.json")
        told = json.loads(path.read_text())
        path.write_text(json.dumps(told | {"version": "0.9"}))
        assert bench(*self.words(out, tmp_path)) == 0
        assert json.loads(path.read_text()) == told

    def test_all_scenes_from_an_archive(self, out, tmp_path, capsys):
        with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
            for path in sorted(out.rglob("*.png")):
                archive.write(path, f"out/{path.relative_to(out)}")
        assert bench(*self.words(tmp_path / "out.zip", tmp_path, "--json", task="toys")) == 0
        told = json.loads(capsys.readouterr().out)
        assert [each["trial_id"].split("__")[1] for each in told] == ["grey", "dark"]
        assert told[0]["means"]["std-v1"]["floaters"] is None
        assert bench(*self.words(out, tmp_path, task="toys")) == 0
        assert capsys.readouterr().out.count("found stored") == 2

    def test_scenes_without_renders_are_named(self, out, tmp_path, capsys):
        for path in (out / "dark").iterdir():
            path.unlink()
        assert bench(*self.words(out, tmp_path, task="toys")) == 0
        assert "no renders of dark: they will be missing in tables" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            ({"name": "nerf"}, "bench: --name: expected a name of your own, got 'nerf'"),
            ({"task": "toys:gray"}, "bench: --task toys:gray: expected a scene or caption of toys"),
        ],
    )
    def test_mistakes_are_one_line_and_exit_2(self, out, tmp_path, capsys, more, message):
        assert bench(*self.words(out, tmp_path, **more)) == 2
        said = capsys.readouterr().err
        assert said.startswith(message) and len(said.splitlines()) == 1
        assert not (tmp_path / "runs").exists()

    def test_other_verbs_read_it(self, out, tmp_path, capsys):
        assert bench(*self.words(out, tmp_path)) == 0
        [trial_id] = Store.open(tmp_path / "runs").ids()
        capsys.readouterr()
        assert bench("ls", "mine", "--results", tmp_path / "runs") == 0
        assert f"{trial_id}  finished" in capsys.readouterr().out
        assert bench("show", "mine", "--results", tmp_path / "runs") == 0
        shown = capsys.readouterr().out
        assert "mine on grey__2v (cluster grey), seed 0, budget smoke" in shown
        assert "type: ImportedRenders" in shown
        assert set(Store.open(tmp_path / "runs").frame()["trial_id"]) == {trial_id}
        assert bench("export", "mine", "--suite", "toys", "--budget", "smoke", "--results", tmp_path / "runs") == 2
        assert f"got {trial_id}, whose images were imported: it has no parameters" in capsys.readouterr().err
        words = (
            "report",
            "--suite",
            "toys",
            "--budget",
            "smoke",
            "--results",
            tmp_path / "runs",
            "--out",
            tmp_path / "r",
        )
        assert bench(*words) == 0

    def test_the_help_says_how_images_are_named(self, capsys):
        with pytest.raises(SystemExit):
            bench("import", "--help")
        said = capsys.readouterr().out
        assert "transforms_test.json as `python -m bench export-scenes --format blender OUT` writes it" in said
        assert "0.png, 007.png, r_0.png, test_000.png" in said
        seen = SparseViews(scene="kettle", num_views=16).view_ids
        assert f"{', '.join(str(i) for i in seen)}, ..." in said


def test_names_of_views_are_told_once():
    for name in ("0.png", "007.png", "r_0.png", "test_000.png"):
        assert name in render_files.NAMES
