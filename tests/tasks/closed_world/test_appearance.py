"""What the closed world looks like: everything fits, stands where it should, and has the colour that is said."""

import numpy as np
import pytest

from tasks.cameras import BLENDER_FOV_DEG, look_at
from tasks.closed_world import appearance, meanings, object_models, pictures
from tasks.closed_world.meanings import ObjectPairSpec, ObjectSpec
from tasks.path_tracing import mitsuba_renderer
from tasks.path_tracing.materials import fitted
from tasks.path_tracing.meshes import join

AROUND = look_at(np.asarray([40.0, 200.0]), np.asarray([25.0, 50.0]), np.asarray([3.6, 4.4]))


def photograph(id, family, number, *, image_px, num_spp, seed=0, pose=AROUND[0]):
    scene = mitsuba_renderer.load_scene(appearance.describe_meaning(id, family, number))
    return mitsuba_renderer.render_view(
        scene, pose, fov_deg=BLENDER_FOV_DEG, image_px=image_px, num_spp=num_spp, seed=seed
    ).astype(float)


def meshes(description):
    return [fragment["mesh"] for fragment in description.values() if fragment["type"] == "mesh"]


@pytest.mark.parametrize("kind", meanings.KINDS)
def test_every_kind_fits_and_has_a_body(kind):
    description = appearance.build_object(ObjectSpec(kind, "blue", "striped"))
    whole = join(meshes(description))
    assert "body" in description and set(description) <= {"body", "shade", "tint", "dark"}
    assert np.linalg.norm(whole.corners, axis=-1).max() < 1.2 + 1e-6
    assert np.abs(whole.bounds).max() < 1 + 1e-6
    assert np.ptp(whole.bounds, axis=0).min() > 0.15  # nothing is so flat that it vanishes from a side
    assert max(np.ptp(whole.bounds, axis=0).max() / 2, np.linalg.norm(whole.corners, axis=-1).max() / 1.2) > 1 - 1e-6


def test_every_name_has_its_looks():
    assert set(object_models.PARTS) == set(meanings.KINDS)
    assert set(object_models.STANDS) == set(meanings.CARRIERS)
    assert set(appearance.TONES) == set(meanings.COLORS)
    assert set(appearance.NOISE_SAMPLES) == set(meanings.FINISHES)


def height_at(mesh, x, y):
    """The highest point of a mesh above a place, triangle by triangle."""
    best = -np.inf
    for a, b, c in mesh.corners:
        across = np.stack([b[:2] - a[:2], c[:2] - a[:2]], axis=1)
        if abs(np.linalg.det(across)) > 1e-9:
            u, v = np.linalg.solve(across, np.asarray([x, y]) - a[:2])
            if u >= -1e-9 and v >= -1e-9 and u + v <= 1 + 1e-9:
                best = max(best, a[2] + u * (b[2] - a[2]) + v * (c[2] - a[2]))
    return best


@pytest.mark.parametrize("kind", meanings.CARRIERS)
def test_there_is_ground_where_things_stand(kind):
    x, y, z, width = object_models.STANDS[kind]
    whole = join(part.mesh for part in object_models.PARTS[kind]())
    assert height_at(whole, x, y + 0.1) == pytest.approx(z, abs=0.03)
    assert 0.5 < width <= np.ptp(whole.bounds, axis=0)[:2].min() + 1e-9


@pytest.mark.parametrize("pair", meanings.pairs("train", 12, 5), ids=lambda pair: pair.id)
def test_pairs_fit_and_touch_or_do_not(pair):
    description = appearance.build_object(pair)
    one, other = (
        join(f["mesh"] for name, f in description.items() if name.startswith(prefix))
        for prefix in ("first-", "second-")
    )
    whole = join([one, other])
    assert np.linalg.norm(whole.corners, axis=-1).max() < 1.2 + 1e-6
    if pair.relation == "on":
        assert one.bounds[0, 2] > other.bounds[0, 2] + 0.1  # it stands higher
        assert one.bounds[1, 2] > other.bounds[0, 2] + 0.5 * np.ptp(other.bounds[:, 2])
    else:
        assert one.bounds[0, 1] > other.bounds[1, 1] + 0.05  # a gap between them
        assert one.bounds[0, 2] == pytest.approx(other.bounds[0, 2])  # on one floor


def test_the_upper_one_stands_on_the_ground_it_was_given():
    description = appearance.build_object(
        ObjectPairSpec(ObjectSpec("ball", "red", "matte"), "on", ObjectSpec("cube", "blue", "matte"))
    )
    ball, cube = description["first-body"]["mesh"], description["second-body"]["mesh"]
    assert ball.bounds[0, 2] == pytest.approx(cube.bounds[1, 2])
    np.testing.assert_allclose(ball.bounds.mean(axis=0)[:2], cube.bounds.mean(axis=0)[:2], atol=1e-9)


def test_patterns_have_one_size_on_small_and_large_things():
    for thing in (ObjectSpec("ball", "red", "striped"), ObjectSpec("cube", "red", "checkered")):
        alone = appearance.build_object(thing)["body"]["mesh"]
        small = appearance.build_object(ObjectPairSpec(thing, "next to", ObjectSpec("chair", "blue", "matte")))
        small = next(
            f["mesh"]
            for name, f in small.items()
            if f["bsdf"] is not None and len(f["mesh"].corners) == len(alone.corners)
        )
        per_unit = [
            np.linalg.norm(np.diff(m.uvs, axis=1), axis=-1).sum()
            / np.linalg.norm(np.diff(m.corners, axis=1), axis=-1).sum()
            for m in (alone, small)
        ]
        assert per_unit[0] == pytest.approx(per_unit[1], rel=1e-3)
        assert np.ptp(alone.corners[..., 2]) > 1.2 * np.ptp(small.corners[..., 2])


def test_colours_are_told_apart_in_every_light_and_white_does_not_clip():
    lights = [(family, number) for family in appearance.FAMILIES for number in range(3)]
    seen = np.zeros((len(lights), len(meanings.COLORS), 3))
    for i, light in enumerate(lights):
        for j, color in enumerate(meanings.COLORS):
            image = photograph(f"{color}-matte-ball", *light, image_px=10, num_spp=9)
            inside = image[..., 3] == 255
            seen[i, j] = image[inside][:, :3].mean(axis=0)
            if color == "white":
                assert np.percentile(image[inside][:, :3], 98) < 250
    for i in range(len(lights)):  # one light's balls by the means of the other lights
        means = np.delete(seen, i, axis=0).mean(axis=0)
        nearest = np.linalg.norm(seen[i][:, None] - means[None], axis=-1).argmin(axis=1)
        assert nearest.tolist() == list(range(len(meanings.COLORS)))


def test_noise_is_the_same_for_all_finishes():
    noise = {}
    for finish in meanings.FINISHES:
        values = []
        for i, (kind, color) in enumerate((("ball", "red"), ("car", "white"), ("teapot", "green"))):
            num_spp = round(25 * appearance.NOISE_SAMPLES[finish])
            both = [
                photograph(f"{color}-{finish}-{kind}", "guide", i, image_px=32, num_spp=num_spp, seed=seed)
                for seed in (1, 2)
            ]
            inside = (both[0][..., 3] == 255) & (both[1][..., 3] == 255)
            values.append(np.median(np.abs(both[0] - both[1])[inside][:, :3].mean(axis=-1)))
        noise[finish] = np.mean(values)
    for value in noise.values():
        assert 0.65 < value / noise["matte"] < 1.5, noise


def test_lights_differ_and_those_of_the_judge_are_its_own():
    maps = [appearance.light(family, number)["pixels"] for family in appearance.FAMILIES for number in range(4)]
    for i, one in enumerate(maps):
        assert one.min() > 0 and np.isfinite(one).all()
        for other in maps[:i]:
            assert np.abs(one - other).mean() > 0.02 * one.mean()
    again = appearance.light.__wrapped__("judge", 2)["pixels"]
    np.testing.assert_array_equal(maps[6], again)


def test_views_of_a_meaning_are_straight_rgba_with_the_thing_in_the_middle():
    views = pictures.render_meaning(
        ObjectSpec("mug", "red", "matte"), AROUND, image_px=24, num_spp=4, num_workers=1, first_seed=3
    )
    assert views.shape == (2, 24, 24, 4) and views.dtype == np.uint8
    assert np.all(views[:, 0, 0] == 0) and np.all(views[:, 10:14, 10:14, 3] == 255)
    red, green, blue = views[:, 10:14, 10:14, :3].reshape(-1, 3).mean(axis=0)
    assert red > 3 * max(green, blue)
    again = photograph("red-matte-mug", "judge", 0, image_px=24, num_spp=4, seed=4, pose=AROUND[1])
    np.testing.assert_array_equal(views[1], again)


def test_fitted_parts_are_shared_by_all_who_ask():
    assert appearance.fit_kind("mug") is appearance.fit_kind("mug")
    slots = [part.slot for part in appearance.fit_kind("car")]
    assert len(slots) == len(set(slots))
    np.testing.assert_allclose(
        join(part.mesh for part in fitted(object_models.PARTS["car"]())).bounds,
        join(part.mesh for part in appearance.fit_kind("car")).bounds,
    )
