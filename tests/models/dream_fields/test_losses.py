"""Dream Fields' whole loss against a slow twin: cameras, bounds, cones, windows, and what keeps an object solid."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models import augmentations
from models.dream_fields import losses
from models.dream_fields.losses import TRANSMITTANCE
from models.method import split_hyperparameters
from tasks.cameras import BLENDER_FOV_DEG
from tests.fixtures.toy_dreams import (
    GUIDE,
    NAME,
    NUM_CROPS,
    NUM_SAMPLES,
    NUM_STEPS,
    PX,
    made,
    prepared,
    slow_blob,
    slow_cosine,
    some,
    stepped,
)

RNG = np.random.default_rng(4)


def slow_rays(method, pose_key):
    """Origin and directions of a view's rays, row by row: a camera on a sphere that looks at the middle."""
    around_key, up_key = jax.random.split(pose_key)
    azimuth = np.radians(method.azimuth_deg * float(jax.random.uniform(around_key)))
    turn = float(jax.random.uniform(up_key))
    elevation = np.radians(method.low_deg + (method.high_deg - method.low_deg) * turn)
    back = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    right = np.array([-np.sin(azimuth), np.cos(azimuth), 0])
    up = np.cross(back, right)
    focal = method.focal_multiplier * PX / 2 / np.tan(np.radians(BLENDER_FOV_DEG) / 2)
    directions = [
        (column + 0.5 - PX / 2) / focal * right - (row + 0.5 - PX / 2) / focal * up - back
        for row in range(PX)
        for column in range(PX)
    ]
    return method.radius * back, directions, 2 / np.sqrt(12) / focal


def slow_ends(method, start, direction):
    """Where a ray is asked, by cutting it at one pair of faces after the other."""
    reach = np.sqrt(3) * method.half_width
    near, far = method.radius - reach, method.radius + reach
    if not method.bounds:
        return near, far
    enter, leave = -np.inf, np.inf
    for axis in range(3):
        faces = sorted((side * method.half_width - start[axis]) / direction[axis] for side in (-1, 1))
        enter, leave = max(enter, faces[0]), min(leave, faces[1])
    return (enter, leave) if leave > enter else ((near + far) / 2,) * 2


def slow_view(method, key, origin, strength, blur):
    """A training view: premultiplied colours, opacities, and where the density has its centre."""
    pose_key, ray_key, _ = jax.random.split(key, 3)
    post_key, _ = jax.random.split(jax.random.split(ray_key, 1)[0])
    jitter = np.asarray(jax.random.uniform(post_key, (PX * PX, NUM_SAMPLES + 1)), np.float64)
    start, directions, radius = slow_rays(method, pose_key)
    colors, opacities, densities, places = [], [], [], []
    for ray, direction in enumerate(directions):
        near, far = slow_ends(method, start, direction)
        posts = []
        for i in range(NUM_SAMPLES + 1):
            low, high = (np.clip((i + shift) / NUM_SAMPLES, 0, 1) for shift in (-0.5, 0.5))
            posts.append(near + (far - near) * (low + (high - low) * jitter[ray, i]))
        color, light = np.zeros(3), 1.0
        for before, after in zip(posts, posts[1:], strict=False):
            middle, half = (before + after) / 2, (after - before) / 2
            base = 3 * middle**2 + half**2
            t_mean = middle + 2 * middle * half**2 / base
            t_var = half**2 / 3 - 4 / 15 * half**4 * (12 * middle**2 - half**2) / base**2
            r_var = radius**2 * (middle**2 / 4 + 5 / 12 * half**2 - 4 / 15 * half**4 / base) * method.variance_scale
            point = start + t_mean * direction
            density, shade = slow_blob(strength, point + origin, t_var * blur**2, r_var * blur**2)
            if method.bounds and np.abs(point).max() > method.half_width * 1.0001:
                density = 0.0
            stopped = light * (1 - np.exp(-density * (after - before) * np.linalg.norm(direction)))
            color, light = color + stopped * shade, light - stopped
            densities.append(density)
            places.append(point + origin)
        colors.append(color)
        opacities.append(1 - light)
    center = np.average(places, axis=0, weights=densities)
    return np.reshape(colors, (PX, PX, 3)), np.reshape(opacities, (PX, PX)), center


def slow_fit(method, key, text, color, opacity):
    """The mean cosine of windows, which are cut and put before backgrounds by the parts that test_augment checks."""
    _, _, window_key = jax.random.split(key, 3)
    image = jnp.asarray(np.concatenate([color, opacity[..., None]], axis=-1), jnp.float32)
    shares = jnp.asarray([float(kind in method.backgrounds) for kind in augmentations.BACKGROUNDS])
    cosines = []
    for one in jax.random.split(window_key, NUM_CROPS):
        place_key, behind_key = jax.random.split(one)
        piece = np.asarray(augmentations.random_resized_crop(place_key, image, method.crop_share, 8))
        behind = augmentations.sample_weighted_background(behind_key, 8, shares, jnp.asarray(method.max_blur_px))
        cosines.append(slow_cosine(GUIDE, piece[..., :3] + (1 - piece[..., 3:]) * np.asarray(behind), text))
    return np.mean(cosines)


def slow_loss(method, step, key, origin, strength, text):
    """Equations 7 to 11 of the paper, of one step."""
    progress = step / NUM_STEPS
    blur = 1 + method.first_blur * max(0.0, 1 - progress / method.blur_share)
    color, opacity, center = slow_view(method, key, np.asarray(origin), strength, blur)
    clip = -slow_fit(method, key, text, color, opacity)
    ramp = min(1.0, progress / method.opacity_share)
    tau = 1 - np.exp((1 - ramp) * np.log(method.first_opacity) + ramp * np.log(method.last_opacity))
    passed = np.mean(1 - opacity)
    loss = {
        "none": clip,
        "clipped additive": clip - method.transmittance_weight * min(tau, passed),
        "gated": passed * clip,
        "clipped gated": min(tau, passed) * clip,
    }[method.transmittance]
    beta = np.mean(np.log(0.1 + opacity) + np.log(0.1 + 1 - opacity) + 2.20727)
    if progress >= method.beta_after:
        loss += method.beta_weight * beta
    return loss, {"negative_cosine": clip, "transmittance": passed, "transmittance_target": tau, "beta": beta}, center


CASES = {
    "as it is": {},
    "far on": {"step": 60},
    "looser": {"last_opacity": 0.8, "step": 60, "crop_share": 0.6, "low_deg": -10.0, "high_deg": 50.0},
    "no bounds": {"bounds": False, "step": 5, "variance_scale": 0.25, "focal_multiplier": 1.5},
    "moved": {"origin": (0.2, -0.1, 0.3), "track_origin": True, "origin_decay": 0.7, "half_width": 0.8},
    "white": {"backgrounds": ("white",), "crop_share": 1.0, "beta_weight": 0.3, "beta_after": 0.15, "step": 20},
}


@pytest.mark.parametrize("form", TRANSMITTANCE)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_loss_is_the_papers(form, case):
    step, origin = case.get("step", 0), case.get("origin", (0.0, 0.0, 0.0))
    changes = {name: value for name, value in case.items() if name not in ("step", "origin")}
    method = made(transmittance=form, **changes)
    loss, (state, metrics) = stepped(method, step, origin=origin)
    text = prepared(method)[2].texts[0].caption
    wanted, parts, center = slow_loss(method, step, jax.random.key(7), origin, 3.0, text)
    assert set(metrics) == set(parts)
    for name, value in parts.items():
        assert float(metrics[name]) == pytest.approx(value, abs=2e-5), name
    assert float(loss) == pytest.approx(wanted, abs=3e-5)
    moved = np.asarray(origin)
    if method.track_origin:
        moved = method.origin_decay * moved + (1 - method.origin_decay) * center
    np.testing.assert_allclose(state["origin"], moved, atol=1e-5)


def test_cases_tell_the_forms_apart():
    """No two forms are alike where the target is met, and the cases have both sides of it."""
    losses = [float(stepped(made(transmittance=form, last_opacity=0.8), 60)[0]) for form in TRANSMITTANCE]
    assert min(abs(a - b) for i, a in enumerate(losses) for b in losses[:i]) > 1e-3
    clear, foggy = (stepped(made(last_opacity=last), 60)[1][1] for last in (0.8, 0.01))
    assert clear["transmittance"] > clear["transmittance_target"]
    assert foggy["transmittance"] < foggy["transmittance_target"]


def test_a_target_that_is_met_has_no_gradient():
    def pull(strength, last):
        method = made(transmittance="clipped additive", last_opacity=last, transmittance_weight=0.7)
        return (
            stepped(method, 60, strength=strength)[0]
            - stepped(dataclasses.replace(method, transmittance="none"), 60, strength=strength)[0]
        )

    met, not_met = (float(pull(3.01, last) - pull(3.0, last)) for last in (0.8, 0.01))
    assert met == pytest.approx(0, abs=1e-6) and not_met > 1e-5  # a denser field loses transmittance


def test_gradients_are_finite_where_there_is_nothing_or_a_wall():
    static, _ = split_hyperparameters(made())
    _, _, data = prepared(static)

    @jax.jit
    def grad(strength, hyperparameters):
        return jax.grad(lambda x: static.loss(
            {"strength": x}, {"origin": jnp.zeros(3)}, {NAME: GUIDE}, data, hyperparameters, jax.random.key(1),
            jnp.asarray(3),
        )[0])(strength)  # fmt: skip

    for form in TRANSMITTANCE:
        hyperparameters = some(transmittance=form, beta_weight=0.1, beta_after=0.0, track_origin=True)
        for strength in (0.0, 1e-30, 3.0, 1e6):
            assert np.isfinite(grad(jnp.asarray(strength), hyperparameters)), (form, strength)


def test_opacities_are_annealed_as_released():
    """schedule.anneal_exponentially of the released code, from 0.60 to 0.12."""
    hyperparameters = some(first_opacity=0.6, last_opacity=0.12, opacity_share=0.05)
    for step in (0, 100, 250, 499, 500, 9999):
        t = min(step / 500, 1)
        wanted = np.exp(np.log(0.6) * (1 - t) + np.log(0.12) * t)
        found = losses.opacity_target(hyperparameters, jnp.asarray(step / 10_000))
        assert float(found) == pytest.approx(wanted, rel=1e-5)
    assert float(losses.opacity_target(some(opacity_share=0.0), jnp.asarray(1e-4))) == pytest.approx(0.19)


def test_beta_prior_is_neural_volumes_with_its_constant():
    """Lombardi et al., section 5, with the 2.20727 that their code adds; not the released Dream Fields code's."""
    opacity = RNG.uniform(0, 1, (6, 6)).astype(np.float32)
    wanted = np.mean(np.log(0.1 + opacity) + np.log(0.1 + 1 - opacity) + 2.20727)
    assert float(losses.beta_prior(jnp.asarray(opacity))) == pytest.approx(wanted, abs=2e-5)
    assert wanted > 0.3
    for clear in (0.0, 1.0):
        assert float(losses.beta_prior(jnp.full((2, 2), clear))) == pytest.approx(0, abs=1e-6)
    assert float(losses.beta_prior(jnp.full((2, 2), 0.5))) == pytest.approx(2 * np.log(0.6) - np.log(0.11))


def test_distortion_is_equation_15_of_mip_nerf_360():
    """Against the sum over all pairs of bins."""
    posts = np.sort(RNG.uniform(0, 1, (4, 9)), axis=1)
    weights = RNG.uniform(0, 0.2, (4, 8))
    for i, found in enumerate(
        losses.distortion_loss(jnp.asarray(weights, jnp.float32), jnp.asarray(posts, jnp.float32))
    ):
        middles = (posts[i, 1:] + posts[i, :-1]) / 2
        between = sum(weights[i, a] * weights[i, b] * abs(middles[a] - middles[b]) for a in range(8) for b in range(8))
        within = sum(weights[i, a] ** 2 * (posts[i, a + 1] - posts[i, a]) for a in range(8)) / 3
        assert float(found) == pytest.approx(between + within, rel=1e-4)


def test_a_view_has_the_mean_distortion_of_its_rays():
    plain, extra = stepped(made(), 60), stepped(made(distortion_weight=0.4), 60)
    spread = extra[1][1]["distortion"]
    assert float(extra[0] - plain[0]) == pytest.approx(0.4 * float(spread), abs=1e-6) and spread > 1e-3
    assert "distortion" not in plain[1][1]


def test_sharpness_grows_to_its_last_value_and_is_what_views_are_rendered_with():
    from models.fields.networks import Voxels

    method = made(last_sharpness=16.0, field=Voxels(resolution=3, density_activation="softplus"))
    params, state, data = prepared(method)
    params = {"grid": params["grid"] - 0.5}
    assert float(state["sharpness"]) == 1
    static, _ = split_hyperparameters(method)
    step = jax.jit(lambda step: static.loss(
        params, state, {NAME: GUIDE}, data, data.hyperparameters, jax.random.key(0), step
    )[1][0])  # fmt: skip
    half, last = step(jnp.asarray(NUM_STEPS // 2)), step(jnp.asarray(NUM_STEPS))
    assert float(half["sharpness"]) == pytest.approx(4, rel=1e-5) and float(last["sharpness"]) == pytest.approx(16)
    points = jnp.zeros((1, 3))
    densities = [float(method.field_at(params, s, data, points)[0][0]) for s in (state, half, last)]
    np.testing.assert_allclose(densities, np.log1p(np.exp(-0.5 * np.asarray([1.0, 4.0, 16.0]))), rtol=1e-4)
