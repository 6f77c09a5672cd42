"""Every suite at every budget expands, and every program of it has the shapes that the trainer needs."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from bench import plan, registry
from bench.contract import some_rays
from bench.suite import budget_named
from models.clip import architectures, catalog, dual, weights
from models.clip.encoder import Encoder, LinenTowers
from models.dietnerf import DietNeRF, Observed
from models.method import split_numbers
from models.nerf import Pixels
from tasks.blender import SCENES as BLENDER_SCENES
from tasks.budgets import BUDGETS
from tasks.cameras import Intrinsics, look_at


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


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("name", registry.SUITES)
def test_suite(name, budget, photos, monkeypatch):
    monkeypatch.setenv("BENCH_BLENDER_DIR", str(photos))
    suite = registry.suite(name)
    trials, cells = suite.expand(budget_named(budget))
    assert len({trial.id for trial in trials}) == len(trials)
    assert {cell.trial_id for cell in cells} == {trial.id for trial in trials}
    for pack in {split_numbers(pack.trials[0].method)[0]: pack for pack in plan.make_packs(trials, 4)}.values():
        check_shapes(pack.trials[0])


def shapes_only(name):
    """An encoder without its numbers: those of the papers cannot be had in a test."""
    if name in catalog.EMBEDDED:
        model = weights.read_model(catalog.EMBEDDED_FOLDER / f"{name}.safetensors", name)
    else:
        model = architectures.named(catalog.ENTRIES[name].architecture)
    flat = {path: jax.ShapeDtypeStruct(shape, jnp.float32) for path, shape in dual.shapes(model).items()}
    return Encoder(
        name=name, params=dual.nested(flat), towers=LinenTowers(model), tokenizer=None, sha256="unknown"
    )  # fmt: skip


def check_shapes(trial):
    """One step and one render, by shapes alone."""
    method, numbers = split_numbers(trial.method)
    layout = trial.task.layout()
    scalar = jax.ShapeDtypeStruct((), jnp.float32)
    views = layout.num_train
    data = Pixels(
        colors=jax.ShapeDtypeStruct((views, layout.height, layout.width, 3), jnp.float32),
        poses=jax.ShapeDtypeStruct((views, 4, 4), jnp.float32),
        intrinsics=Intrinsics(*[jax.ShapeDtypeStruct((views,), jnp.float32)] * 4),
        near=scalar, far=scalar, pixel_center=scalar, background=scalar,
    )  # fmt: skip
    frozen = {name: shapes_only(name) for name in method.encoders}
    if isinstance(method, DietNeRF):
        encoder = frozen[method.encoder]
        features = jax.eval_shape(
            lambda e, x: e.image_features(e.params, x, method.feature_of(e)),
            encoder,
            jax.ShapeDtypeStruct((views, encoder.image_px, encoder.image_px, 3), jnp.float32),
        )
        data = Observed(data, features, scalar)
    key = jax.random.key(0)
    params, state = jax.eval_shape(method.init, key, data)
    loss, (_, metrics) = jax.eval_shape(
        method.loss,
        params,
        state,
        frozen,
        data,
        dict.fromkeys(numbers, scalar),
        key,
        jax.ShapeDtypeStruct((), jnp.int32),
    )
    assert loss.shape == ()
    assert {m.shape for m in metrics.values()} == {()}
    assert params["coarse"]
    if trial.method.continues is not None:
        check_shapes(dataclasses.replace(trial, method=trial.method.continues))
    seen = jax.eval_shape(lambda p, d: method.render(p, state, d, some_rays(3)), params, data)
    assert seen.color.shape == (3, 3)
