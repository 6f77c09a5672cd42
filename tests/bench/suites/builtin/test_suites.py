"""Every suite at every budget expands, and every program of it has the shapes that the trainer needs."""

import dataclasses
import hashlib
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from bench.plugins.contract import some_rays
from bench.suites import registry
from bench.suites.suite import check_twins
from bench.training import packing
from models.clip.checkpoints import catalog, files
from models.clip.encoder import Encoder, LinenTowers
from models.clip.networks import architectures, dual_encoder
from models.dietnerf import DietNeRF, DietNeRFData
from models.dream_fields import DreamFields, DreamFieldsData
from models.dream_fields.arrays import GuideTexts
from models.method import split_hyperparameters
from models.nerf import NeRFData
from tasks.budgets import BUDGETS, budget_named
from tasks.cameras import Intrinsics, look_at
from tasks.captions import caption_sets
from tasks.sparse_views.nerf_synthetic import SCENES as BLENDER_SCENES


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder as NeRF Realistic Synthetic is, of tiny images."""
    root = tmp_path_factory.mktemp("synthetic")
    Image.fromarray(np.full((400, 400, 4), 128, np.uint8)).save(root / "grey.png")
    grey = (root / "grey.png").read_bytes()
    for scene in BLENDER_SCENES:
        for split, num in (("train", 100), ("test", 200)):
            (root / scene / split).mkdir(parents=True)
            frames = []
            for i in range(num):
                (root / scene / split / f"r_{i}.png").write_bytes(grey)
                pose = look_at(np.array(3.6 * i), np.array(30.0), np.array(4.0))
                frames.append({"file_path": f"./{split}/r_{i}", "transform_matrix": pose.tolist()})
            content = {"camera_angle_x": 0.6911112070083618, "frames": frames}
            (root / scene / f"transforms_{split}.json").write_text(json.dumps(content))
    return root


@pytest.fixture
def coco(monkeypatch, tmp_path):
    """Some captions as the paper's 153 are written; of all of them the suites are as many times larger."""
    made = [f"a thing with {i} sides." for i in range(9)]
    (tmp_path / "captions.txt").write_text("\n".join(made))
    monkeypatch.setenv(caption_sets.COCO_VARIABLE, str(tmp_path / "captions.txt"))
    digest = hashlib.sha256("".join(f"{caption}\n" for caption in made).encode()).hexdigest()
    monkeypatch.setattr(caption_sets, "COCO_SHA256", digest)
    caption_sets._coco.cache_clear()
    yield
    caption_sets._coco.cache_clear()
    for name in registry.SUITES:
        registry.suite(name)._made.pop("paper", None)  # made of captions that are not there for other tests


CHECKED = set()
"""Programs whose shapes were found right in this session."""


AS_ELSEWHERE = {("sparse-views-ablations", budget) for budget in BUDGETS}
AS_ELSEWHERE |= {(name, budget) for name in registry.SUITES for budget in ("quick", "standard", "fine")}
AS_ELSEWHERE |= {("sparse-views-equivalence", "paper"), ("ablations", "paper"), ("equivalence", "paper")}
AS_ELSEWHERE |= {("text-to-3d", "paper")} | {("sparse-views-recipes", budget) for budget in BUDGETS}
"""Much the same arms as elsewhere, sizes between the least and the largest, and the longest suites: slow tests."""


@pytest.mark.parametrize(
    ("name", "budget"),
    [
        pytest.param(name, budget, marks=[pytest.mark.slow] * ((name, budget) in AS_ELSEWHERE))
        for name in registry.SUITES
        for budget in registry.suite(name).tables
    ],
)
def test_suite(name, budget, photos, coco, monkeypatch):
    monkeypatch.setenv("BENCH_BLENDER_DIR", str(photos))
    suite = registry.suite(name)
    trials, cells = suite.expand(budget_named(budget))
    assert len({trial.id for trial in trials}) == len(trials)
    check_twins(trials)
    assert {cell.trial_id for cell in cells} == {trial.id for trial in trials}
    for pack in packing.make_packs(trials, 4):
        # All that shapes depend on: several suites have programs in common.
        program = (split_hyperparameters(pack.trials[0].method)[0], pack.trials[0].task.layout())
        if program not in CHECKED:
            check_shapes(pack.trials[0])
            CHECKED.add(program)


def shapes_only(name):
    """An encoder without its numbers: those of the papers cannot be had in a test."""
    if name in catalog.EMBEDDED:
        model = files.read_model(catalog.EMBEDDED_FOLDER / f"{name}.safetensors", name)
    else:
        model = architectures.build(catalog.ENTRIES[name].architecture)
    flat = {
        path: jax.ShapeDtypeStruct(shape, jnp.float32) for path, shape in dual_encoder.variable_shapes(model).items()
    }
    return Encoder(
        name=name, params=dual_encoder.unflatten(flat), towers=LinenTowers(model), tokenizer=None, sha256="unknown"
    )


def shape(*sizes):
    return jax.ShapeDtypeStruct(sizes, jnp.float32)


def data_of(method, layout, frozen, hyperparameters):
    """What preparation makes, by shapes alone."""
    if isinstance(method, DreamFields):
        texts = []
        for name in method.encoders:
            px = frozen[name].image_px
            text = jax.eval_shape(lambda e, x: e.image_features(e.params, x), frozen[name], shape(1, px, px, 3))
            size = text.shape[1]
            others = (shape(2, size), shape(2)) if method.reads_negatives else (None, None)
            texts.append(GuideTexts(shape(size), *others, shape(size) if method.silhouette_share else None))
        return DreamFieldsData(
            texts=tuple(texts),
            near=shape(),
            far=shape(),
            background=shape(),
            hyperparameters=hyperparameters,
        )
    views = layout.num_train
    data = NeRFData(
        colors=shape(views, layout.height, layout.width, 3), poses=shape(views, 4, 4),
        intrinsics=Intrinsics(*[shape(views)] * 4), near=shape(), far=shape(), pixel_center=shape(),
        background=shape(),
    )  # fmt: skip
    if not isinstance(method, DietNeRF):
        return data
    encoder = frozen[method.encoder]
    features = jax.eval_shape(
        lambda e, x: e.image_features(e.params, x, method.resolve_feature(e)),
        encoder,
        shape(views, encoder.image_px, encoder.image_px, 3),
    )
    return DietNeRFData(data, features, shape())


def check_shapes(trial):
    """One step and one render, by shapes alone."""
    method, hyperparameters = split_hyperparameters(trial.method)
    hyperparameters = {name: shape(*np.shape(value)) for name, value in hyperparameters.items()}
    frozen = {name: shapes_only(name) for name in method.encoders}
    data, key = data_of(method, trial.task.layout(), frozen, hyperparameters), jax.random.key(0)
    params, state = jax.eval_shape(method.init, key, data)
    step = jax.ShapeDtypeStruct((), jnp.int32)
    loss, (stepped, metrics) = jax.eval_shape(method.loss, params, state, frozen, data, hyperparameters, key, step)
    assert loss.shape == ()
    assert {m.shape for m in metrics.values()} == {()}
    assert jax.tree.map(lambda x: x.shape, stepped) == jax.tree.map(lambda x: x.shape, state)
    assert params if isinstance(method, DreamFields) else params["coarse"]
    if trial.method.continues is not None:
        check_shapes(dataclasses.replace(trial, method=trial.method.continues))
    seen = jax.eval_shape(lambda p, s, d: method.render(p, s, d, some_rays(3)), params, state, data)
    assert seen.color.shape == (3, 3)


def test_published_rows_are_those_of_the_papers_tables(photos, coco, monkeypatch):
    monkeypatch.setenv("BENCH_BLENDER_DIR", str(photos))
    tables = {table.name: table for table in registry.suite("ablations").tables_at(budget_named("paper"))}
    rows = [p.row for p in tables["one prior after the other"].published if p.column == "by CLIP B/32"]
    ours = [arm for arm in tables["one prior after the other"].arms if arm != "Dream Fields"]
    assert [row for row in rows if row in ours] == ours
    for name in ("regularizers", "CLIP backbones"):
        assert {p.row for p in tables[name].published} & set(tables[name].arms)
