"""DietNeRF's parts against plain twins, with an encoder so small that it is made here."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.errors import UsageError
from bench.suites.trial import Trial
from bench.training import dry_run
from bench.training.flop_count import count_products
from models import clip
from models.clip.encoder import Encoder, LinenTowers
from models.clip.networks import dual_encoder
from models.clip.networks.dual_encoder import DualEncoder
from models.clip.networks.vit import VisionTransformer
from models.dietnerf import DIETNERF_2021, DIETNERF_2021_FAST, DietNeRF
from models.fields.networks import Voxels
from models.imagenet.architectures import CLASSIFIERS
from models.imagenet.catalog import IMAGENET
from models.imagenet.variables import classifier_shapes
from tasks.budgets import BUDGETS, sized
from tasks.cameras import select_cameras, view_rays
from tests.fixtures.toys import ToyTask

NAME = "file:tiny"


@pytest.fixture(scope="module")
def encoder():
    model = DualEncoder(
        image_tower=VisionTransformer(
            image_px=12, patch_px=6, width=16, depth=2, num_heads=2, embedding_dim=8, activation="gelu"
        )
    )
    return Encoder(
        name=NAME,
        params=dual_encoder.init(model, jax.random.key(5)),
        towers=LinenTowers(model),
        tokenizer=None,
        sha256="tiny",
    )


def made(**changes):
    method = DietNeRF(encoder=NAME, **{"consistency_px": 8, "consistency_every": 4, **changes})
    return sized(method, BUDGETS["smoke"])


def prepared(method, encoder, image_px=16):
    task = ToyTask(image_px=image_px, num_views=3)
    data = method.prepare({NAME: encoder}, task)
    params, state = jax.jit(method.init)(jax.random.key(0), data)
    return params, state, data


def hyperparameters(method):
    names = [f.name for f in dataclasses.fields(method) if f.metadata.get("hyperparameter")]
    return {name: jnp.asarray(getattr(method, name), jnp.float32) for name in names}


@pytest.mark.slow
def test_distance_is_one_minus_the_cosine_of_what_is_seen(encoder):
    method = made()
    params, _, data = prepared(method, encoder)
    key = jax.random.key(7)
    found = jax.jit(method.consistency_losses)(params, {NAME: encoder}, data, key)
    pose_key, place_key, ray_key, photo_key = jax.random.split(key, 4)
    rays = method.small_view_rays(data, method.sample_pose(data, pose_key), place_key)
    # One block of 64 rays: its key is the only one split off.
    levels = jax.jit(method.render_levels)(params, data.pixels, rays, jax.random.split(ray_key, 1)[0])
    photo = int(jax.random.randint(photo_key, (), 0, 3))
    see = jax.jit(lambda images: encoder.image_features(encoder.params, images, "class_token"))
    for level, distance in zip(levels, found, strict=True):
        small = jax.image.resize(level.color.reshape(8, 8, 3), (12, 12, 3), "linear")
        seen = np.asarray(see(small[None]))[0]
        shown = jax.image.resize(np.full((16, 16, 3), 0.5, np.float32), (12, 12, 3), "linear")
        wanted = np.asarray(see(shown[None]))[0]
        cosine = seen @ wanted / np.linalg.norm(seen) / np.linalg.norm(wanted)
        assert float(distance) == pytest.approx(1 - cosine, abs=1e-4)
    assert photo in (0, 1, 2)


def test_blocks_of_rays_give_what_one_block_gives(encoder, monkeypatch):
    method = made(num_importance=0, field=Voxels(resolution=4))
    params, _, data = prepared(method, encoder)
    rays = method.small_view_rays(data, data.pixels.poses[0], jax.random.key(1))
    monkeypatch.setattr("models.dietnerf.RAYS_AT_ONCE", 24)  # 64 rays: blocks of 22, 22 and 20
    in_blocks = jax.jit(method.render_in_blocks)(params, data.pixels, rays, jax.random.key(2))
    levels = jax.jit(method.render_levels)
    keys = jax.random.split(jax.random.key(2), 3)
    for i, key in enumerate(keys):
        index = np.minimum(np.arange(22 * i, 22 * (i + 1)), 63)
        block = levels(params, data.pixels, jax.tree.map(lambda x, at=index: x[at], rays), key)[0].color
        mine = in_blocks[0, 22 * i : 22 * (i + 1)]
        np.testing.assert_allclose(mine, block[: len(mine)], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"rays_at_once": 64}, {"rays_at_once": 64, "keep_activations": True}])
def test_activations_are_kept_or_computed_again(encoder, changes):
    params, _, data = prepared(made(), encoder)

    def gradient(method):
        def loss(params):
            return method.consistency_losses(params, {NAME: encoder}, data, jax.random.key(0)).sum()

        return jax.jit(jax.grad(loss))(params)

    found = gradient(made(**changes))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(gradient(made())), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * float(jnp.abs(b).max()) + 1e-9)


def test_bfloat16_arrives_in_every_product(encoder):
    """Of the pixels, of the small view, of its encoder (12 pixels need no resizing), and of their gradients."""
    half = dataclasses.replace(encoder.towers.model.image_tower, dtype=jnp.bfloat16)
    towers = LinenTowers(dataclasses.replace(encoder.towers.model, image_tower=half))
    frozen = {NAME: dataclasses.replace(encoder, towers=towers)}
    field = dataclasses.replace(DIETNERF_2021_FAST.field, width=32, depth=4)
    method = made(num_rays=512, consistency_px=12, field=field, encoder_dtype=DIETNERF_2021_FAST.encoder_dtype)
    params, state, data = prepared(method, encoder)

    def step(params):
        steps = (hyperparameters(method), jax.random.key(0), jnp.asarray(0))
        return jax.grad(lambda params: method.loss(params, state, frozen, data, *steps)[0])(params)

    found = count_products(step, params, scopes=("field", "encoder"))
    for scope in ("field", "encoder"):
        types = {product.types: product.flops for product in found if product.scope == scope}
        exact = sum(flops for name, flops in types.items() if "float32 x" in name or " x float32" in name)
        assert exact < 0.02 * sum(types.values()), types


def test_a_whole_view_is_the_photographs_rays(encoder):
    method = made(view_share=1.0, consistency_px=16)
    _, _, data = prepared(method, encoder)
    rays = method.small_view_rays(data, data.pixels.poses[1], jax.random.key(1))
    inner = select_cameras(data.pixels.intrinsics, 1)
    wanted = view_rays(data.pixels.poses[1], inner, 16, 16, 2.0, 6.0)
    np.testing.assert_allclose(rays.directions.reshape(16, 16, 3), wanted.directions, atol=1e-6)
    np.testing.assert_allclose(rays.origins.reshape(16, 16, 3), wanted.origins, atol=1e-6)


def test_small_view_is_the_released_codes(encoder):
    """168 pixels of 400 at a stride of 2, offset by less than 64: run_nerf_helpers.get_rays of ajayjain/DietNeRF."""
    method = sized(dataclasses.replace(DIETNERF_2021, encoder=NAME), BUDGETS["paper"])
    assert (method.consistency_px, method.consistency_every, method.consistency_weight) == (168, 10, 0.1)
    task = ToyTask(image_px=400, num_views=1)
    data = method.prepare({NAME: encoder}, task)
    focal = float(data.pixels.intrinsics.focal_x[0])
    offsets = []
    small_view_rays = jax.jit(method.small_view_rays)
    for i in range(20):
        rays = small_view_rays(data, jnp.eye(4), jax.random.key(i))
        columns = np.asarray(rays.directions[:168, 0]) * focal + 200
        np.testing.assert_allclose(np.diff(columns), 2.0, atol=1e-3)
        offsets.append(columns[0])
    assert 0 <= min(offsets) < 12 and 52 < max(offsets) <= 65


@pytest.mark.parametrize("distribution", ["hemisphere", "hemisphere area", "interpolated", "observed"])
def test_poses_look_at_the_object(encoder, distribution):
    method = made(pose_distribution=distribution)
    _, _, data = prepared(method, encoder)
    sample = jax.jit(method.sample_pose)
    for i in range(5):
        pose = np.asarray(sample(data, jax.random.key(i)))
        away = np.linalg.norm(pose[:3, 3])
        assert away <= 4.5 + 1e-4
        if distribution != "interpolated":
            np.testing.assert_allclose(pose[:3, 2] * away, pose[:3, 3], atol=1e-4)
        if distribution == "observed":
            assert min(np.abs(pose - known).max() for known in np.asarray(data.pixels.poses)) == 0


def test_only_every_so_many_steps_are_compared(encoder):
    method = made()
    params, state, data = prepared(method, encoder)
    key, frozen = jax.random.key(0), {NAME: encoder}
    pixel_key, view_key = jax.random.split(key)

    @jax.jit
    def both(step):
        loss, (_, metrics) = method.loss(params, state, frozen, data, hyperparameters(method), key, step)
        distances = method.consistency_losses(params, frozen, data, view_key)
        pixels = super(DietNeRF, method).loss(params, state, {}, data.pixels, hyperparameters(method), pixel_key, step)[
            0
        ]
        return loss, metrics["consistency"], pixels, distances.sum()

    for step, is_turn in ((0, True), (1, False), (3, False), (4, True)):
        loss, consistency, pixels, distances = both(jnp.asarray(step))
        assert (float(consistency) > 0) == is_turn
        assert float(loss) == pytest.approx(float(pixels + (0.1 * distances if is_turn else 0)), abs=1e-5)


def test_the_last_phase_has_pixels_alone(encoder):
    method = made(finetune_steps=3)
    params, state, data = prepared(method, encoder)
    args = (params, state, {NAME: encoder}, data, hyperparameters(method), jax.random.key(0), jnp.asarray(20))
    _, (_, metrics) = jax.eval_shape(method.loss, *args)
    assert "consistency" not in metrics
    assert (method.total_steps, method.continues) == (23, made())
    assert made().continues is None
    assert sized(DietNeRF(encoder=NAME, finetune_steps=None), BUDGETS["paper"]).total_steps == 250_000


def test_the_encoder_has_no_gradient_and_the_field_has(encoder):
    method = made(consistency_weight=1.0)
    params, _, data = prepared(method, encoder)
    grads = jax.jit(jax.grad(lambda p: method.consistency_losses(p, {NAME: encoder}, data, jax.random.key(0))[-1]))(
        params
    )
    fine = sum(float(jnp.abs(leaf).sum()) for leaf in jax.tree.leaves(grads["fine"]))
    assert np.isfinite(fine) and fine > 0


def test_features_by_name(encoder):
    assert made().resolve_feature(encoder) == "class_token"
    assert made(feature="embedding").resolve_feature(encoder) == "embedding"
    with pytest.raises(UsageError, match=r"expected a feature of file:tiny, got 'spatail'; .*spatial"):
        made(feature="spatail").resolve_feature(encoder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"view_share": 0.0}, r"expected view_share above 0 and up to 1, got 0.0"),
        ({"rays_at_once": 0}, r"expected rays_at_once of at least 1, got 0"),
        ({"consistency_every": 0}, r"expected consistency_every of at least 1, got 0"),
        ({"finetune_steps": -1}, r"expected finetune_steps of at least 0, got -1"),
        ({"encoder": "embedded-judge-rn"}, r"expected one that may guide, got 'embedded-judge-rn'"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(UsageError, match=message):
        DietNeRF(**changes)


def test_unknown_pose_distribution():
    method = DietNeRF()
    object.__setattr__(method, "pose_distribution", "hemisfere")  # the constructor's annotation is checked in tests
    with pytest.raises(UsageError, match=r"expected a pose_distribution, got 'hemisfere'; .*hemisphere"):
        method.__post_init__()


@pytest.mark.parametrize("name", [pytest.param("efficientnet-lite0", marks=pytest.mark.slow), "imagenet-vgg16"])
def test_the_published_setting_traces_through_an_encoder_of_imagenet(name):
    method = dataclasses.replace(DIETNERF_2021, encoder=name)
    budget = BUDGETS["paper"]
    method = sized(method, budget)
    assert (method.consistency_px, method.consistency_every, method.num_samples) == (168, 10, 64)
    trial = Trial(task=ToyTask(num_views=2, image_px=40), method=method, budget=budget, seed=0, variant="d")
    found = dry_run.trace_trial(trial)
    shapes = classifier_shapes(CLASSIFIERS[IMAGENET[name].architecture])
    assert found.num_encoder_parameters == sum(math.prod(shape) for shape in shapes.values())
    assert "consistency" in found.metrics


@pytest.mark.slow
def test_a_step_through_an_encoder_of_imagenet_moves_the_field():
    name = "imagenet-alexnet"
    method = sized(DietNeRF(encoder=name, consistency_px=8), BUDGETS["smoke"])
    encoder = clip.load(name)
    assert method.resolve_feature(encoder) == "embedding"
    data = method.prepare({name: encoder}, ToyTask(image_px=16, num_views=2))
    np.testing.assert_allclose(jnp.linalg.norm(data.features, axis=-1), 1, rtol=1e-5)
    params, _ = method.init(jax.random.key(0), data)

    @jax.jit
    @jax.value_and_grad
    def distance(params, encoder):
        return method.consistency_losses(params, {name: encoder}, data, jax.random.key(1)).sum()

    found, gradient = distance(params, encoder)
    assert 0 < float(found) < 2
    sizes = [float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradient)]
    assert np.isfinite(sizes).all() and np.mean(np.array(sizes) > 0) > 0.9
