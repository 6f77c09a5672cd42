"""The figure `clip-consistency`: numbers against loops, intervals on made-up scenes, the files and the verb."""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import itertools
import xml.etree.ElementTree as ElementTree

import jax
import numpy as np
import pytest
from PIL import Image
from scipy import stats

from bench import __main__ as command_line
from bench.analysis import view_pair_similarity
from bench.analysis.view_pair_similarity import SimilarityPairs
from bench.report.figures import encoder_consistency, encoder_features
from bench.report.figures.encoder_features import SimilarityStatistics
from bench.report.figures.svg import standalone_svg
from models import dietnerf
from models.clip.encoder import Encoder, LinenTowers
from models.clip.networks import dual_encoder
from models.clip.networks.dual_encoder import DualEncoder
from models.clip.networks.vit import VisionTransformer
from tasks import cameras
from tasks.budgets import BUDGETS
from tasks.cameras import look_at
from tasks.sparse_views import embedded, scene_folders, scene_views
from tasks.task import Photos, SceneData
from tests.fixtures.photo_scenes import write_scene


def made_up(num_scenes=6, num_views=5, spread=0.7, seed=0, dim=12):
    """Features that lie about a point of their scene, by another distance in each; cameras are drawn."""
    rng = np.random.default_rng(seed)
    width = spread * rng.uniform(0.5, 1.6, (num_scenes, 1, 1))
    features = 0.7 + rng.normal(size=(num_scenes, 1, dim)) + width * rng.normal(size=(num_scenes, num_views, dim))
    number = num_scenes * num_views
    poses = look_at(rng.uniform(0, 360, number), rng.uniform(0, 80, number), np.full(number, 4.0))
    return features.reshape(number, dim), poses, np.repeat(np.arange(num_scenes), num_views)


def measured(name="tiny", feature="embedding", is_default=True, **others):
    return SimilarityStatistics(
        encoder=name, feature=feature, is_default=is_default, pairs=view_pair_similarity.pairs_of(*made_up(**others))
    )


def cosine(a, b):
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


class TestNumbers:
    def test_pairs_are_each_two_photographs_once(self):
        features, poses, scenes = made_up(num_scenes=3, num_views=4)
        found = view_pair_similarity.pairs_of(features, poses, scenes)
        expected = [
            (
                cosine(features[i], features[j]),
                np.degrees(np.arccos(cosine(poses[i, :3, 3], poses[j, :3, 3]))),
                scenes[i],
                scenes[j],
            )
            for i, j in itertools.combinations(range(12), 2)
        ]
        np.testing.assert_allclose(np.stack(found, axis=1), expected, rtol=1e-4)
        assert len(found.of("within").cosines) == 3 * 6
        assert len(found.of("across").cosines) == 3 * 16

    def test_angles_are_those_of_the_cameras_module(self):
        features, poses, scenes = made_up(num_scenes=2, num_views=1)
        [angle] = view_pair_similarity.pairs_of(features, poses, scenes).angles_deg
        assert angle == pytest.approx(cameras.angle_to_nearest_deg(poses[:1], poses[1:])[0])

    @pytest.mark.parametrize("decimals", [1, 8], ids=["ties", "no ties"])
    def test_auc_and_overlap_by_loops(self, decimals):
        pairs = measured(num_scenes=4, num_views=4).pairs
        pairs = pairs._replace(cosines=pairs.cosines.round(decimals))
        within, across = pairs.of("within").cosines, pairs.of("across").cosines
        wins = [float(a > b) + 0.5 * float(a == b) for a in within for b in across]
        assert view_pair_similarity.auc(pairs) == pytest.approx(np.mean(wins))
        gaps = [abs(np.mean(within <= x) - np.mean(across <= x)) for x in pairs.cosines]
        assert view_pair_similarity.overlap(pairs) == pytest.approx(1 - max(gaps))

    def test_alike_within_and_across_is_a_half(self):
        """Nothing to tell apart: by the definition of AUC."""
        scenes = np.repeat(np.arange(6), 3)
        pairs = view_pair_similarity.pairs_of(np.ones((18, 4)), made_up(num_views=3)[1], scenes)
        assert view_pair_similarity.auc(pairs) == 0.5
        assert view_pair_similarity.overlap(pairs) == 1.0

    def test_far_means_by_loops(self):
        pairs = measured().pairs
        rows = list(zip(*pairs, strict=True))
        far = np.mean([c for c, angle, a, b in rows if a == b and angle >= 90])
        across = np.mean([c for c, _, a, b in rows if a != b])
        summary = measured().summary()
        within = np.mean([c for c, _, a, b in rows if a == b])
        assert summary["mean_within"].mean == pytest.approx(within) and abs(within - far) > 1e-3
        assert summary["far_within"].mean == pytest.approx(far)
        assert summary["mean_across"].mean == pytest.approx(across)
        assert summary["far_gap"].mean == pytest.approx(far - across)
        assert summary["far_gap"].low < far - across < summary["far_gap"].high


class TestIntervals:
    def test_of_a_mean_within_scenes_is_the_t_interval_of_their_means(self):
        within = measured().pairs.of("within")
        means = [np.mean(within.cosines[within.first == scene]) for scene in range(6)]
        expected = stats.ttest_1samp(means, 0).confidence_interval()
        found = view_pair_similarity.leave_one_out(view_pair_similarity.mean_cosine, within)
        assert found == pytest.approx((np.mean(means), expected.low, expected.high))

    def test_of_auc_leaves_out_one_scene_at_a_time_in_log_odds(self):
        features, poses, scenes = made_up(spread=1.0)
        pairs = view_pair_similarity.pairs_of(features, poses, scenes)
        logits = []
        for scene in range(6):
            share = view_pair_similarity.auc(
                view_pair_similarity.pairs_of(*(x[scenes != scene] for x in (features, poses, scenes)))
            )
            logits.append(np.log(share / (1 - share)))
        half = stats.t.ppf(0.975, 5) * np.sqrt(5 / 6 * np.sum((logits - np.mean(logits)) ** 2))  # Efron 1982, 3.6
        share = view_pair_similarity.auc(pairs)
        low, high = (1 / (1 + (1 - share) / share * np.exp(half * sign)) for sign in (1, -1))
        found = view_pair_similarity.leave_one_out(view_pair_similarity.auc, pairs, is_share=True)
        assert found == pytest.approx((share, low, high))
        assert 0 < found.low < found.high < 1

    def test_of_auc_holds_the_truth_where_it_is_near_one(self):
        """The truth is that of 60 scenes; a t interval of eight scenes without log odds holds it in 76 of 100."""
        truth = np.mean(
            [view_pair_similarity.auc(measured(num_scenes=60, spread=0.5, seed=s).pairs) for s in (1, 2, 3)]
        )
        assert 0.95 < truth < 0.99
        held = 0
        for seed in range(100, 160):
            pairs = measured(num_scenes=8, spread=0.5, seed=seed).pairs
            found = view_pair_similarity.leave_one_out(view_pair_similarity.auc, pairs, is_share=True)
            held += found.low is not None and found.low <= truth <= found.high
        assert held >= 54

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"num_scenes": 1}, "no AUC: it needs two scenes, and two views of one"),
            ({"num_scenes": 6, "num_views": 1}, "no AUC: it needs two scenes, and two views of one"),
            ({"num_scenes": 4}, "no intervals: 4 scenes, 5 needed"),
            ({"num_scenes": 6, "spread": 0.01}, "95% over 6 scenes, none for an AUC on which too many scenes agree"),
            ({"num_scenes": 6}, "(95% over 6 scenes; 60 pairs within, 375 across)"),
        ],
    )
    def test_what_few_scenes_do_not_say(self, changes, message):
        found = measured(**changes)
        text = encoder_consistency.summarize_similarity(found)
        assert message in text and "\n" not in text and "nan" not in text
        interval = found.summary()["auc"]
        assert (interval is not None and interval.low is not None) == (changes == {"num_scenes": 6})

    def test_a_line_says_the_numbers(self):
        found = measured()
        summary = {name: interval.mean for name, interval in found.summary().items()}
        text = encoder_consistency.summarize_similarity(found)
        assert text.startswith(f"tiny, embedding (DietNeRF compares this): AUC {summary['auc']:.3f} [")
        assert f"overlap {summary['overlap']:.3f}; {summary['far_within']:.3f} within at 90 degrees and more" in text
        assert f"more ({summary['mean_within']:.3f} at all angles), {summary['mean_across']:.3f} across" in text
        assert f"across, difference {summary['far_gap']:.3f} [" in text

    def test_an_encoder_of_imagenet_is_not_taken_for_clip(self):
        found = measured("efficientnet-lite0", num_scenes=3)
        assert encoder_consistency.summarize_similarity(found).startswith("efficientnet-lite0 [ImageNet], embedding")
        figure, _ = encoder_consistency.draw_consistency([found, measured("embedded-vit-8", num_scenes=3)])
        assert "efficientnet-lite0 [ImageNet]: embedding" in figure.svg
        assert "embedded-vit-8: embedding" in figure.svg


@pytest.fixture(scope="module")
def two():
    """Two features of one encoder, and one of another with a name that means something to matplotlib."""
    return [
        measured(is_default=False), measured(feature="class_token", spread=1.5), measured("file:a$b$<c>", seed=3)
    ]  # fmt: skip


class TestFigure:
    def test_rows_are_the_pairs_counted(self, two):
        made, _ = encoder_consistency.draw_consistency(two)
        pairs = two[1].pairs
        mine = [r for r in made.rows if r["feature"] == "class_token"]
        for kind, same in (("within", True), ("across", False)):
            chosen = pairs.where((pairs.first == pairs.second) == same)
            densities = [r for r in mine if (r["what"], r["pairs"]) == ("density", kind)]
            assert sum(r["value"] * (r["to"] - r["from"]) for r in densities) == pytest.approx(1)
            assert sum(r["num_pairs"] for r in densities) == len(chosen.cosines)
            angles = [r for r in mine if (r["what"], r["pairs"]) == ("cosine by angle", kind)]
            assert sum(r["num_pairs"] for r in angles) == len(chosen.cosines)
            row = next(r for r in angles if r["from"] == 60)
            values = [c for c, angle in zip(chosen.cosines, chosen.angles_deg, strict=True) if 60 <= angle < 75]
            assert row["value"] == pytest.approx(np.mean(values)) and row["to"] == 75
        [row] = [r for r in mine if r["what"] == "auc"]
        assert row["value"] == view_pair_similarity.auc(pairs) and row["num_scenes"] == 6
        [row] = [r for r in mine if r["what"] == "far_within"]
        num_far = sum(a == b and angle >= 90 for _, angle, a, b in zip(*pairs, strict=True))
        assert (row["pairs"], row["num_pairs"]) == ("within", num_far)

    def test_the_ends_fall_into_a_bin(self):
        """A cosine of 1 and cameras on opposite sides."""
        pairs = SimilarityPairs(np.array([1.0, -1.0]), np.array([180.0, 0.0]), np.zeros(2, int), np.array([0, 1]))
        found = SimilarityStatistics(encoder="tiny", feature="embedding", is_default=True, pairs=pairs)
        rows = list(encoder_consistency.consistency_rows(found))
        assert sum(r["num_pairs"] for r in rows if r["what"] == "density") == 2
        assert [(r["from"], r["to"]) for r in rows if r["what"] == "cosine by angle"] == [(165, 180), (0, 15)]

    def test_the_same_numbers_give_the_same_bytes(self, two):
        made, png = encoder_consistency.draw_consistency(two)
        again, png_again = encoder_consistency.draw_consistency(two)
        assert made.svg == again.svg and png == png_again and b"Software" not in png
        ElementTree.fromstring(standalone_svg(made.svg).encode())
        width, height = Image.open(io.BytesIO(png)).size
        assert width < 700 and height > 3 * 100

    def test_draws_what_has_no_interval_or_no_pairs(self):
        for changes in ({"num_scenes": 1}, {"num_scenes": 3}, {"num_scenes": 2, "num_views": 1}):
            made, _ = encoder_consistency.draw_consistency([measured(**changes)])
            assert {r["low"] for r in made.rows} == {None}


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Towers that see means of blocks of four pixels, and have no class token."""

    image_px: int = 12
    context_length: int = 0
    image_feature_names: tuple[str, ...] = ("embedding",)
    text_feature_names: tuple[str, ...] = ()

    def image(self, params, images, feature):
        """The means, one after the other."""
        return images.reshape(len(images), 3, 4, 3, 4, 3).mean(axis=(2, 4)).reshape(len(images), -1)

    def text(self, params, tokens, feature):
        """It reads none."""

    def logit_scale(self, params):
        """It compares no texts."""


@functools.cache
def tiny(kind):
    """An encoder of made-up weights, or of none."""
    if kind == "blocks":
        return Encoder(name="file:blocks", params={}, towers=Blocks(), tokenizer=None, sha256=kind)
    tower = VisionTransformer(
        image_px=12, patch_px=6, width=16, depth=1, num_heads=2, embedding_dim=8, activation="gelu"
    )
    model = DualEncoder(image_tower=tower)
    params = jax.jit(functools.partial(dual_encoder.init, model))(jax.random.key(5))
    return Encoder(name="file:vit", params=params, towers=LinenTowers(model), tokenizer=None, sha256=kind)


def looked(num_scenes=6, num_views=3, image_px=16):
    rng = np.random.default_rng(1)
    _, poses, scenes = made_up(num_scenes=num_scenes, num_views=num_views)
    colors = rng.uniform(size=(num_scenes, num_views, image_px, image_px, 3)).astype(np.float32)
    return encoder_features.ScenePhotos(tuple(colors), poses, scenes)


class TestEncoders:
    def test_cosines_are_those_that_dietnerf_compares(self):
        encoder, seen = tiny("vit"), looked()
        embedding, token = encoder_features.measure_similarity(encoder, seen)
        assert [(m.feature, m.is_default) for m in (embedding, token)] == [("embedding", False), ("class_token", True)]
        for found in (embedding, token):
            features = np.asarray(dietnerf._image_features(found.feature, encoder, jax.numpy.concatenate(seen.colors)))
            expected = [cosine(a, b) for a, b in itertools.combinations(features, 2)]
            np.testing.assert_allclose(found.pairs.cosines, expected, atol=1e-5)

    def test_an_encoder_without_a_class_token_has_one_line(self):
        [found] = encoder_features.measure_similarity(tiny("blocks"), looked(num_scenes=2, num_views=2))
        assert (found.feature, found.is_default) == ("embedding", True)

    def test_views_are_spread_over_both_splits(self, monkeypatch):
        """Scenes are not rendered here: every photograph has the colour of its id."""

        def load(task):
            def some(split, ids):
                shape = (len(ids), task.image_px, task.image_px)
                colors = np.broadcast_to(np.array(ids, np.float32)[:, None, None, None], (*shape, 3))
                one = cameras.intrinsics_from_fov(40.0, 4, 4)
                every = jax.tree.map(lambda x: np.full(len(ids), x, np.float32), one)
                return Photos(ids, colors, np.ones(shape, np.float32), scene_views.split_poses(split)[list(ids)], every)

            poses = scene_views.split_poses("train")
            test = some("test", tuple(range(25)))
            return SceneData(some("train", task.view_ids), test, 2.0, 6.0, 0.5, poses)

        monkeypatch.setattr(embedded.SparseViews, "load", load)
        monkeypatch.setattr(embedded, "prepare_all", lambda tasks: None)
        found = encoder_features.load_photos(BUDGETS["smoke"], ("kettle", "chess"))
        assert [colors.shape for colors in found.colors] == 2 * [(40, 16, 16, 3)] and found.names == ()
        assert found.scenes.tolist() == [0] * 40 + [1] * 40
        for split, numbers in (("train", slice(0, 32)), ("test", slice(32, 40))):
            ids = found.colors[0][numbers, 0, 0, 0].astype(int)
            np.testing.assert_array_equal(found.poses[numbers], scene_views.split_poses(split)[ids])
            assert np.diff(ids).min() >= 3 and np.diff(ids).max() <= 4, "even in their order"
        every = encoder_features.load_photos(BUDGETS["smoke"], ("kettle",), most=1000)
        assert len(every.scenes) == 125

    def test_a_users_scenes_may_have_other_sizes(self, tmp_path):
        small = write_scene(tmp_path / "small", num_train=3, num_test=9, px=12)
        large = write_scene(tmp_path / "large", num_train=12, num_test=17, px=24)
        found = encoder_features.load_folder_photos([small, large], BUDGETS["smoke"], most=8)
        # Of the test photographs every eighth is held out: two, and three.
        assert [colors.shape for colors in found.colors] == [(5, 12, 12, 3), (8, 16, 16, 3)]
        assert found.scenes.tolist() == [0] * 5 + [1] * 8 and found.names == ("small", "large")
        data = dataclasses.replace(scene_folders.open_scene(large), num_views=8, image_px=16).load()
        every = np.concatenate([data.train.colors, data.test.colors])
        assert len(every) == 11
        np.testing.assert_array_equal(found.colors[1], every[[0, 1, 3, 4, 6, 7, 9, 10]])
        np.testing.assert_array_equal(found.poses[-1], data.test.poses[-1])
        [measured] = encoder_features.measure_similarity(tiny("blocks"), found)
        assert len(measured.pairs.of("within").cosines) == 10 + 28


class TestVerb:
    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch):
        monkeypatch.setattr(encoder_consistency, "load_photos", lambda budget: looked(image_px=budget.image_px))
        monkeypatch.setattr(encoder_consistency.loading, "load", lambda name: tiny(name.removeprefix("file:")))

    def test_writes_three_files_and_says_a_line_a_feature(self, tmp_path, capsys):
        words = ["report", "--figure", "clip-consistency", "--budget", "smoke", "--out", str(tmp_path)]
        encoders = ["--encoder", "file:vit", "--encoder", "file:blocks", "--encoder", "file:vit"]
        assert command_line.main([*words, *encoders]) == 0
        printed = capsys.readouterr().out.splitlines()
        assert [x.partition(":")[0] + ":" + x.split(":")[1] for x in printed[:3]] == [
            "file:vit, embedding",
            "file:vit, class_token (DietNeRF compares this)",
            "file:blocks, embedding (DietNeRF compares this)",
        ]
        paths = [tmp_path / f"clip-consistency.{end}" for end in ("svg", "csv", "png")]
        assert printed[3:] == [f"report: {path}" for path in paths]
        assert sorted(tmp_path.iterdir()) == sorted(paths)
        ElementTree.parse(paths[0])
        assert "photographs of" not in paths[0].read_text()
        rows = list(csv.DictReader(paths[1].read_text().splitlines()))
        assert {r["what"] for r in rows} == {
            "density", "cosine by angle", "auc", "overlap", "mean_within", "far_within", "mean_across", "far_gap"
        }  # fmt: skip
        assert {(r["encoder"], r["feature"]) for r in rows} == {
            ("file:vit", "embedding"), ("file:vit", "class_token"), ("file:blocks", "embedding")
        }  # fmt: skip

    def test_on_a_users_scenes(self, tmp_path, capsys):
        for name in ("lego", "ship"):
            write_scene(tmp_path / name, num_train=3, num_test=9)
        words = ["report", "--figure", "clip-consistency", "--budget", "smoke", "--out", str(tmp_path / "out")]
        assert command_line.main([*words, "--encoder", "file:blocks", "--scenes", str(tmp_path)]) == 0
        [line, *_] = capsys.readouterr().out.splitlines()
        assert "no intervals: 2 scenes, 5 needed; 20 pairs within, 25 across" in line
        assert "photographs of lego, ship" in (tmp_path / "out" / "clip-consistency.svg").read_text()
        assert command_line.main([*words, "--encoder", "file:blocks", "--scenes", str(tmp_path / "leg")]) == 2
        assert "--scenes: expected a folder, got" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--suite", "ablations", "--encoder", "x"], "--encoder: expected --figure clip-consistency beside it"),
            (
                ["--figure", "clip-consistency", "--suite", "ablations", "--seeds", "1"],
                "--figure clip-consistency: expected only --encoder, --scenes, --budget and --out beside it, got "
                "--suite, --seeds; leave it out",
            ),
            (["--figure", "clip-consistency", "--budget", "quik"], "'quik'"),
        ],
    )
    def test_mistakes_are_one_line_and_exit_2(self, words, message, capsys):
        assert command_line.main(["report", *words]) == 2
        said = capsys.readouterr().err
        assert message in said and len(said.strip().splitlines()) == 1

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ([], "--suite"),
            (["--figure", "clip"], "clip-consistency, got 'clip'"),
        ],
    )
    def test_a_suite_is_still_asked_for(self, words, message, capsys):
        assert command_line.main(["report", *words]) == 2
        said = capsys.readouterr().err
        assert message in said and len(said.strip().splitlines()) == 1
