"""Scenes stand where the cameras look, their pictures are the same bytes every time, and a mistyped name is told."""

import dataclasses
import functools
import os
import pathlib
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from bench.errors import UsageError
from tasks import cameras
from tasks.path_tracing import materials, mitsuba_renderer
from tasks.path_tracing import meshes as meshes_module
from tasks.path_tracing.materials import Part
from tasks.scenes import scenes

POSES = cameras.look_at(np.asarray([-60.0, 50.0, 170.0]), np.asarray([4.0, 30.0, 80.0]), np.full(3, 4.0))


@functools.cache
def description(name):
    return materials.in_studio(scenes.described(name).build)


@functools.cache
def loaded(name):
    return mitsuba_renderer.load_scene(description(name))


def take(scene, pose, **settings):
    return mitsuba_renderer.render_view(scene, pose, fov_deg=cameras.BLENDER_FOV_DEG, **settings)


def object_scene(mesh, material, light=None):
    return mitsuba_renderer.load_scene(
        {
            "studio": light or materials.studio(height_px=32),
            **materials.assign_materials([Part(mesh, "body")], {"body": material}),
        }
    )


# ---- the eight scenes ------------------------------------------------------------------------------------------------


def test_there_are_eight_scenes_with_short_names():
    assert len(scenes.SCENES) == 8
    for name, scene in scenes.SCENES.items():
        assert name == scene.name and name.isalpha() and name.islower()
        assert scene.title.endswith(".") and scene.hard_because
    assert len({scene.hard_because for scene in scenes.SCENES.values()}) == 8


@pytest.mark.parametrize("name", scenes.SCENES)
def test_a_scene_fills_the_ball_that_the_cameras_look_at(name):
    meshes = [fragment["mesh"] for fragment in description(name).values() if fragment["type"] == "mesh"]
    whole = meshes_module.join(meshes)
    assert all(np.isfinite(getattr(whole, f.name)).all() for f in dataclasses.fields(whole))
    np.testing.assert_allclose(whole.bounds.sum(axis=0), 0, atol=1e-6)
    reach = np.linalg.norm(whole.corners, axis=-1).max()
    assert max(reach / 1.2, whole.bounds[1].max()) == pytest.approx(1)
    assert len(whole.corners) < 150_000  # what is traced in a tenth of a second at 48 px


@pytest.mark.parametrize("name", scenes.SCENES)
def test_pictures_are_framed_and_exposed(name):
    for i, pose in enumerate(POSES):
        image = take(loaded(name), pose, image_px=32, num_spp=16, seed=i)
        alpha, color = image[..., 3], image[..., :3].astype(int)
        edge = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
        assert not edge.any(), "the scene leaves the picture"
        assert not color[alpha == 0].any(), "colour where nothing is"
        solid = color[alpha == 255]
        assert 0.04 < len(solid) / alpha.size < 0.5
        assert (solid.min(axis=-1) >= 250).mean() == 0, "clipped white"
        assert 40 < solid.mean() < 200
        assert solid.std(axis=0).max() > 15, "nothing to see"


def test_scenes_differ_and_so_do_their_views():
    images = [take(loaded(n), p, image_px=16, num_spp=4, seed=0) for n in scenes.SCENES for p in POSES]
    flat = np.stack(images).reshape(len(images), -1).astype(float)
    apart = np.abs(flat[:, None] - flat[None]).mean(axis=-1)[~np.eye(len(images), dtype=bool)]
    assert apart.min() > 5


# ---- the camera ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "point", [(0.0, 0.0, 0.0), (0.6, 0.0, 0.0), (0.0, 0.7, 0.0), (-0.3, 0.4, 0.8), (0.5, -0.6, -0.5)]
)
@pytest.mark.parametrize("azimuth_deg, elevation_deg", [(0.0, 0.0), (-60.0, 25.0), (130.0, 70.0)])
def test_a_point_appears_where_the_intrinsics_project_it(point, azimuth_deg, elevation_deg):
    pose = cameras.look_at(np.asarray(azimuth_deg), np.asarray(elevation_deg), np.asarray(4.0))
    scene = object_scene(meshes_module.sphere(0.08, 24).moved(*point), materials.matte("#ffffff"))
    alpha = take(scene, pose, image_px=64, num_spp=16, seed=0)[..., 3] / 255
    rows, columns = np.indices(alpha.shape) + 0.5  # a pixel's middle
    seen = np.asarray([(alpha * columns).sum(), (alpha * rows).sum()]) / alpha.sum()
    focal = 32 / np.tan(np.radians(cameras.BLENDER_FOV_DEG) / 2)
    x, y, z, _ = np.linalg.inv(pose.astype(np.float64)) @ [*point, 1]
    np.testing.assert_allclose(seen, [32 + focal * x / -z, 32 - focal * y / -z], atol=0.1)
    # The way back: the ray that a field is trained on goes through the point.
    intrinsics = cameras.intrinsics_from_fov(cameras.BLENDER_FOV_DEG, 64, 64)
    rays = cameras.pixel_rays(jnp.asarray(pose), intrinsics, jnp.float32(seen[0]), jnp.float32(seen[1]), 2.0, 6.0)
    along = np.asarray(rays.directions) / np.linalg.norm(rays.directions)
    off = np.cross(np.asarray(point) - np.asarray(rays.origins), along)
    assert np.linalg.norm(off) < 0.02


def test_up_is_up_and_right_is_right():
    pose = cameras.look_at(np.asarray(-90.0), np.asarray(0.0), np.asarray(4.0))  # from -y: +x is right, +z up
    for place, rows, columns in (((0, 0, 0.8), slice(0, 8), slice(0, 16)), ((0.8, 0, 0), slice(0, 16), slice(8, 16))):
        scene = object_scene(meshes_module.sphere(0.2, 12).moved(*place), materials.matte("#ffffff"))
        alpha = take(scene, pose, image_px=16, num_spp=4, seed=0)[..., 3]
        assert alpha[rows, columns].sum() == alpha.sum() > 0


@pytest.mark.parametrize("azimuth_deg, elevation_deg", [(0.0, 0.0), (90.0, 0.0), (200.0, 30.0), (0.0, 85.0)])
def test_light_comes_from_where_its_box_stands(azimuth_deg, elevation_deg):
    box = materials.SoftBox(azimuth_deg, elevation_deg, 0.3, 0.3, "#ffffff", 40.0)
    scene = object_scene(meshes_module.sphere(1.0, 24), materials.matte("#ffffff"), materials.studio([box]))
    toward = cameras.look_at(np.asarray(azimuth_deg), np.asarray(elevation_deg), np.asarray(4.0))
    away = cameras.look_at(np.asarray(azimuth_deg + 180), np.asarray(-elevation_deg), np.asarray(4.0))
    lit, dark = (take(scene, p, image_px=16, num_spp=16, seed=0)[..., :3].astype(int) for p in (toward, away))
    assert lit[8, 8].min() > dark[8, 8].max() + 60
    thick = lit.sum(axis=-1)  # seen from the light itself, the picture is brightest in its middle
    rows, columns = np.indices(thick.shape) + 0.5
    middle = np.asarray([(thick * rows).sum(), (thick * columns).sum()]) / thick.sum()
    np.testing.assert_allclose(middle, [8, 8], atol=0.25)


def test_the_first_row_of_a_texture_lies_at_v_zero():
    flat = meshes_module.sheet(
        np.asarray([[(-1.0, 0, -1), (1, 0, -1)], [(-1, 0, 1), (1, 0, 1)]])
    )  # v = 0 is its lower edge
    picture = materials.matte(materials.picture_texture(np.asarray([[[1.0, 0, 0]], [[0, 0, 1.0]]]), smooth=False))
    pose = cameras.look_at(np.asarray(-90.0), np.asarray(0.0), np.asarray(4.0))
    image = take(object_scene(flat, picture), pose, image_px=16, num_spp=16, seed=0)
    assert image[5, 8, 2] > 100 > image[5, 8, 0] and image[10, 8, 0] > 100 > image[10, 8, 2]


# ---- pixels ----------------------------------------------------------------------------------------------------------


MATERIALS = {
    "matte": materials.matte("#d8342c"),
    "glossy": materials.glossy("#2364c8"),
    "lacquer": materials.glossy(materials.checker("#203040", "#f0e0a0", 3, 3), 0.0),
    "metal": materials.metal("#e0b050"),
    "mirror": materials.metal(roughness=0.0),
    "glass": materials.glass(),
    "stripes": materials.matte(materials.stripes("#d8342c", "#f4efe6", 4)),
    "wood": materials.glossy(materials.wood("#c8935a", "#8a5a30", 3)),
    "speckle": materials.matte(materials.speckle("#b0b0a8", "#303030", 1)),
}


@pytest.mark.parametrize("name", MATERIALS)
def test_every_material_stands_before_nothing(name):
    scene = object_scene(meshes_module.sphere(0.8, 32), MATERIALS[name])
    image = take(scene, POSES[1], image_px=16, num_spp=16, seed=0)
    rows, columns = np.indices((16, 16)) + 0.5
    from_middle = np.hypot(rows - 8, columns - 8)
    outline = 0.8 / np.sqrt(16 - 0.64) * 8 / np.tan(np.radians(cameras.BLENDER_FOV_DEG) / 2)  # a sphere's, in pixels
    assert np.all(image[from_middle < outline - 1, 3] == 255), "a hole, or light seen through"
    assert not image[from_middle > outline + 1].any(), "the light stands in the picture"
    assert image[8, 8, :3].max() > 30


def test_developing_keeps_dark_values_and_never_clips():
    ramp = np.linspace(0, 50, 5001)
    rgba = np.stack([ramp, ramp, ramp, np.ones_like(ramp)], axis=-1)[None]
    out = mitsuba_renderer.to_srgb_uint8(rgba)[0, :, 0].astype(int)
    assert np.all(np.diff(out) >= 0) and out[0] == 0
    assert out[21] == 126  # 0.21 in sRGB, by IEC 61966-2-1: 255 * (1.055 * 0.21 ** (1 / 2.4) - 0.055) = 126.4
    assert out[400] < 250 and out[-1] <= 255  # radiance 4 is as bright as a soft box


def test_the_same_shot_gives_the_same_bytes_and_another_seed_does_not():
    first, again, other = (
        scenes.render_scene_view("bottle", POSES[1], image_px=20, num_spp=4, seed=seed) for seed in (3, 3, 4)
    )
    assert first.shape == (20, 20, 4)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_views_are_the_same_bytes_however_many_processes_take_them():
    poses = np.concatenate([POSES, POSES[:1]])
    size = {"image_px": 20, "num_spp": 4}
    seen: list[int] = []
    together = scenes.render_scene("kettle", poses, **size, num_workers=2, first_seed=7, on_view=seen.append)
    alone = [scenes.render_scene_view("kettle", pose, **size, seed=7 + i) for i, pose in enumerate(poses)]
    assert np.array_equal(together, np.stack(alone))
    assert seen == [0, 1, 2, 3]
    assert not np.array_equal(together[0], together[3]), "the same noise in two views"


def test_a_worker_that_dies_is_told():
    shots = [mitsuba_renderer.RenderRequest(os._exit, (1,), pose, 40.0, 8, 1, 0) for pose in POSES]
    with pytest.raises(RuntimeError, match="expected worker processes to stay alive, one ended"):
        mitsuba_renderer.photograph_all(shots, num_workers=2)


def test_a_thousand_views_leave_no_memory_behind():
    def resident_mb() -> float:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    for i in range(200):
        take(loaded("chess"), POSES[0], image_px=8, num_spp=1, seed=i)
    before = resident_mb()
    for i in range(1000):
        take(loaded("chess"), POSES[0], image_px=8, num_spp=1, seed=i)
    assert resident_mb() - before < 8  # a film of 8 px kept a thousand times, with its sampler, would be more


def test_workers_do_not_wait_for_jax():
    code = "import sys, tasks.path_tracing.mitsuba_renderer, tasks.scenes.scene_models; sys.exit('jax' in sys.modules)"
    root = pathlib.Path(scenes.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, timeout=60).returncode == 0


# ---- names -----------------------------------------------------------------------------------------------------------


def test_an_unknown_scene_names_the_nearest():
    message = "scene: expected an embedded scene, got 'ketle'; the nearest is 'kettle'"
    for call in (
        lambda: scenes.described("ketle"),
        lambda: scenes.fingerprint("ketle", 8, 1),
        lambda: scenes.render_scene_view("ketle", POSES[0], image_px=8, num_spp=1, seed=0),
        lambda: scenes.render_scene("ketle", POSES, image_px=8, num_spp=1),
    ):
        with pytest.raises(UsageError, match=message):
            call()


def test_fingerprints_name_scene_and_settings_and_are_stable():
    prints = [
        scenes.fingerprint(name, px, spp) for name, px, spp in
        (("kettle", 48, 64), ("kettle", 96, 64), ("kettle", 48, 128), ("chess", 48, 64))
    ]  # fmt: skip
    assert len(set(prints)) == 4
    assert scenes.fingerprint("kettle", 48, 64) == prints[0]
    assert all(len(p) == 16 and int(p, 16) >= 0 for p in prints)


def test_a_fingerprint_sees_what_shows_and_not_the_last_bit(monkeypatch):
    def scene(shift=0.0, color="#d8342c", seed=1, reverse=False):
        pieces = {
            "studio": materials.studio(height_px=16),
            **materials.assign_materials(
                [Part(meshes_module.sphere(0.5, 12).moved(shift), "a"), Part(meshes_module.box(1, 1, 1), "b")],
                {"a": materials.matte(color), "b": materials.glossy(materials.wood("#c8935a", "#8a5a30", seed))},
            ),
        }
        return dict(reversed(pieces.items())) if reverse else pieces

    first = mitsuba_renderer.rendering_fingerprint(scene())
    assert mitsuba_renderer.rendering_fingerprint(scene(), image_px=48) != first
    assert mitsuba_renderer.rendering_fingerprint(scene(reverse=True)) == first
    assert mitsuba_renderer.rendering_fingerprint(scene(shift=1e-15)) == first
    others = [scene(shift=1e-3), scene(color="#d8342d"), scene(seed=2)]
    assert len({first, *map(mitsuba_renderer.rendering_fingerprint, others)}) == 4
    monkeypatch.setitem(mitsuba_renderer.INTEGRATOR, "max_depth", 3)
    assert mitsuba_renderer.rendering_fingerprint(scene()) != first
