"""A ball whose every number is known: its turntable, its mesh, and the files of both."""

from __future__ import annotations

import builtins
import dataclasses
import io
import json
import struct

import jax.numpy as jnp
import numpy as np
import pytest
import trimesh
from PIL import Image

from bench.errors import UsageError
from bench.export import field as field_module
from bench.export import mesh, object_files, video
from bench.export.field import TrainedField
from bench.suites.trial import Trial
from models.method import Views
from tasks.budgets import BUDGETS
from tests.fixtures.toys import ToyMethod, ToyTask

RADIUS = 0.7
AXES_COLORS = {0: (0.9, 0.2, 0.3), 1: (0.2, 0.9, 0.3), 2: (0.2, 0.3, 0.9)}
"""Of points on the axes x, y and z, on both sides."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ball(ToyMethod):
    """A solid ball; reddish toward x, greenish toward y, bluish toward z."""

    density: float = 400.0
    specks: bool = False

    def init(self, key, data):
        return {"radius": jnp.asarray(RADIUS)}, {}

    def loss(self, params, state, frozen, data, hyperparameters, key, step):
        return (params["radius"] - RADIUS) ** 2, (state, {})

    def field_at(self, params, state, data, points):
        density = self.density * self.inside(points, (0.0, 0.0, 0.0), params["radius"])
        if self.specks:  # two, far out, each with about a hundredth of a hundredth of the ball's surface
            density += self.density * self.inside(points, (1.0, 1.0, 1.0), 0.05)
            density += self.density * self.inside(points, (-1.0, 1.0, 1.0), 0.05)
        return density, self.color(points)

    @staticmethod
    def inside(points, center, radius):
        from_center = jnp.linalg.norm(points - jnp.broadcast_to(jnp.asarray(center), points.shape), axis=-1)
        return jnp.clip((radius - from_center) / 0.05 + 0.5, 0, 1)

    @staticmethod
    def color(points):
        along = points**2 / jnp.maximum(jnp.sum(points**2, axis=-1, keepdims=True), 1e-9)
        return along @ jnp.asarray([AXES_COLORS[i] for i in range(3)])

    def render(self, params, state, data, rays, num_samples=None):
        a, b = jnp.sum(rays.directions**2, -1), jnp.sum(rays.directions * rays.origins, -1)
        under = b**2 - a * (jnp.sum(rays.origins**2, -1) - params["radius"] ** 2)
        t = (-b - jnp.sqrt(jnp.maximum(under, 0))) / a
        hit = jnp.where((under > 0) & (t > rays.near) & (t < rays.far), 1.0, 0.0)
        color = hit[..., None] * self.color(rays.origins + t[..., None] * rays.directions)
        return Views(color=color + 0.5 * (1 - hit[..., None]), opacity=hit, distance=t)


def ball(radius=RADIUS, **settings):
    half_width = 1.2
    return TrainedField(
        Ball(**settings), {"radius": jnp.asarray(radius)}, {}, {}, 4 - 3**0.5 * half_width, 4 + 3**0.5 * half_width, 0.5
    )


def linear(color):
    return np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)


class TestTurntable:
    def test_frames(self):
        frames = field_module.turntable(ball(), num_frames=4, image_px=40)
        assert frames.shape == (4, 40, 40, 3)
        assert (frames[:, 0, 0] == 255).all()  # white, though the field renders on grey
        # A ball of radius 0.7 seen from 4: the angle of its edge is asin(0.7 / 4), the image spans 40 degrees.
        wide = np.tan(np.arcsin(RADIUS / 4)) / np.tan(np.radians(40 / 2 * 39.6 / 40))
        covered = np.mean(frames.min(axis=-1) < 240)
        np.testing.assert_allclose(covered, np.pi / 4 * wide**2, rtol=0.05)

    def test_turns_from_x_toward_y(self):
        frames = field_module.turntable(ball(), num_frames=4, image_px=41, elevation_deg=0.0)
        middle = frames[:, 20, 20] / 255
        np.testing.assert_allclose(middle, [AXES_COLORS[i] for i in (0, 1, 0, 1)], atol=0.01)
        above = field_module.turntable(ball(), num_frames=1, image_px=41, elevation_deg=89.9)[0, 20, 20] / 255
        np.testing.assert_allclose(above, AXES_COLORS[2], atol=0.01)

    def test_any_grey_behind(self):
        for grey in (0.0, 0.5, 1.0):
            frame = field_module.turntable(ball(), num_frames=1, image_px=16, background=grey)[0]
            assert (frame[0, 0] == round(255 * grey)).all()
            assert (frame[8, 8] != frame[0, 0]).any()


class TestMesh:
    def test_is_the_ball(self):
        found = mesh.mesh(ball(), resolution=48)
        made, cell = found.mesh, 2.4 / 47
        assert found.is_watertight and made.is_winding_consistent and found.reason is None
        assert found.level == pytest.approx(np.log(2) / cell)
        distances = np.linalg.norm(made.vertices, axis=-1)
        # Half of the light is stopped a little outside of 0.7, where density has half its height.
        assert np.abs(distances - RADIUS).max() < cell
        assert distances.std() < cell / 4  # and it is round
        assert made.volume > 0  # outsides are outside
        assert made.volume == pytest.approx(4 / 3 * np.pi * distances.mean() ** 3, rel=0.01)
        assert found.share_inside == pytest.approx(made.volume / 2.4**3, rel=0.1)

    def test_colors_are_the_fields_at_the_vertices(self):
        made = mesh.mesh(ball(), resolution=32).mesh
        expected = Ball.color(jnp.asarray(made.vertices, jnp.float32))
        np.testing.assert_allclose(made.visual.vertex_colors[:, :3] / 255, expected, atol=0.02)

    def test_colors_are_those_one_sees(self):
        """A hard white skin shows; the white mist round a soft red ball does not."""

        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Skin(Ball):
            def field_at(self, params, state, data, points):
                density, _ = super().field_at(params, state, data, points)
                red = jnp.linalg.norm(points, axis=-1, keepdims=True) < 0.66
                return density, jnp.where(red, jnp.asarray([1.0, 0, 0]), jnp.ones(3))

        for density, low, high in ((400.0, 0.95, 1.0), (5.0, 0.0, 0.3)):
            made = mesh.mesh(ball()._replace(method=Skin(density=density)), resolution=64).mesh
            assert low <= made.visual.vertex_colors[:, 1].mean() / 255 <= high

    def test_level_moves_the_surface(self):
        near, far = (mesh.mesh(ball(), resolution=48, level=level).mesh.volume for level in (390.0, 10.0))
        assert near < far

    def test_what_reaches_the_border_is_closed(self):
        found = mesh.mesh(ball(), resolution=24, half_width=0.4)
        assert found.is_watertight and found.share_inside == 1
        np.testing.assert_allclose(found.mesh.extents, 0.8, atol=0.8 / 23 * 1.1)

    def test_small_parts_are_dropped_and_counted(self):
        found = mesh.mesh(ball(specks=True), resolution=64)
        assert found.num_dropped == 2 and len(found.mesh.split()) == 1 and found.is_watertight
        assert mesh.mesh(ball(), resolution=64).num_dropped == 0

    def test_a_soft_field_has_a_surface_too(self):
        found = mesh.mesh(ball(density=5.0), resolution=32)
        assert found.level == pytest.approx(2.5) and found.is_watertight
        np.testing.assert_allclose(np.linalg.norm(found.mesh.vertices, axis=-1), RADIUS, atol=2.4 / 31)

    def test_nothing_at_all(self):
        found = mesh.mesh(ball(density=0.3), resolution=16)  # 0.3 * 1.4 < log(2)
        assert found.mesh is None and not found.is_watertight and found.level is None
        assert found.reason == (
            "expected a field that stops half of the light somewhere, got one that is empty or thin fog "
            "(density 0.3 at most); train longer, or give a level"
        )
        assert json.loads(json.dumps(found.to_json(), allow_nan=False))["share_inside"] == 0
        assert mesh.mesh(ball(density=0.3), resolution=16, level=0.15).is_watertight

    def test_a_level_that_is_too_high(self):
        found = mesh.mesh(ball(density=5.0), resolution=16, level=7.0)
        assert found.reason == "expected a density above 7 somewhere, got 5 at most; give a lower level"

    def test_one_program_for_any_number_of_points(self, monkeypatch):
        monkeypatch.setitem(field_module.POINTS_AT_ONCE, "cpu", 100)
        points = np.random.RandomState(0).uniform(-1, 1, (257, 3)).astype(np.float32)
        before = len(field_module.devices._PROGRAMS)
        density, color = field_module.at_points(ball(), points)
        some = field_module.at_points(ball(), points[:30])
        assert len(field_module.devices._PROGRAMS) == before + 1
        expected = Ball().field_at({"radius": RADIUS}, {}, {}, jnp.asarray(points))
        np.testing.assert_allclose(density, expected[0], rtol=1e-5, atol=1e-3)
        np.testing.assert_allclose(color, expected[1], rtol=1e-5)
        np.testing.assert_array_equal(some[0], density[:30])


@pytest.fixture(scope="module")
def made():
    return mesh.mesh(ball(), resolution=24).mesh


class TestFiles:
    @pytest.mark.parametrize("name", ["object.glb", "object.obj", "object.ply"])
    def test_meshes_come_back(self, made, tmp_path, name):
        assert name in mesh.write_mesh(tmp_path, made)
        skip = {"skip_materials": True} if name.endswith("glb") else {}  # trimesh has a material or colours, not both
        read = trimesh.load(tmp_path / name, force="mesh", process=False, **skip)
        y_up = np.float32([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
        vertices = made.vertices if name.endswith("ply") else made.vertices @ y_up.T
        np.testing.assert_allclose(read.vertices, vertices, atol=1e-6)
        np.testing.assert_array_equal(read.faces, made.faces)
        colors = made.visual.vertex_colors[:, :3] / 255
        expected = linear(colors) if name.endswith("glb") else colors
        np.testing.assert_allclose(read.visual.vertex_colors[:, :3] / 255, expected, atol=0.5 / 255 + 1e-6)
        assert read.is_watertight and read.volume > 0

    def test_a_glb_is_as_its_specification_has_it(self, made, tmp_path):
        mesh.write_mesh(tmp_path, made)
        content = (tmp_path / "object.glb").read_bytes()
        magic, version, length, num_json, kind = struct.unpack("<4sIII4s", content[:20])
        assert (magic, version, length, kind) == (b"glTF", 2, len(content), b"JSON")
        tree = json.loads(content[20 : 20 + num_json])
        [drawn] = tree["meshes"][0]["primitives"]
        assert set(drawn["attributes"]) == {"POSITION", "NORMAL", "COLOR_0"}
        color = tree["accessors"][drawn["attributes"]["COLOR_0"]]
        assert (color["componentType"], color["type"], color["count"]) == (5126, "VEC4", len(made.vertices))
        assert tree["materials"][drawn["material"]]["pbrMetallicRoughness"]["metallicFactor"] == 0

    def test_video(self, tmp_path):
        av = pytest.importorskip("av")
        frames = field_module.turntable(ball(), num_frames=6, image_px=33)
        assert video.write_video(tmp_path / "turn", frames, fps=16) == (["turn.mp4", "turn.webp"], None)
        with av.open(str(tmp_path / "turn.mp4")) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
            read = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
            assert stream.average_rate == 16
        assert len(read) == 6 and read[0].shape == (32, 32, 3)
        assert np.abs(np.float32(read) - frames[:, :32, :32]).mean() < 8
        with Image.open(tmp_path / "turn.webp") as image:
            image.load()
            assert (image.n_frames, image.size, image.info["duration"]) == (6, (33, 33), 62)

    def test_without_pyav_there_is_still_a_webp(self, tmp_path, monkeypatch):
        def import_module(name, *rest):
            if name == "av":
                raise ImportError(name)
            return found(name, *rest)

        found = builtins.__import__
        monkeypatch.setattr(builtins, "__import__", import_module)
        frames = np.zeros((2, 8, 8, 3), np.uint8)
        written, why = video.write_video(tmp_path / "turn", frames)
        assert written == ["turn.webp"] and [path.name for path in tmp_path.iterdir()] == written
        assert why == "no MP4: PyAV is not installed (pip install av); the WebP shows the same"

    def test_what_ffmpeg_refuses_is_said(self, tmp_path, monkeypatch):
        pytest.importorskip("av")
        monkeypatch.setattr(video, "H264", "no-such-codec")
        written, why = video.write_video(tmp_path / "turn", np.zeros((2, 8, 8, 3), np.uint8))
        assert written == ["turn.webp"] and why.startswith("no MP4: PyAV could not write it (")
        assert [path.name for path in tmp_path.iterdir()] == written

    def test_strip(self):
        frames = np.linspace(0, 1, 40, dtype=np.float16)[:, None, None, None] * np.ones((1, 8, 8, 3), np.float16)
        image = np.asarray(object_files.strip(frames, range(0, 4000, 100)))
        tile = round(112 / 8) * 8
        gap, row = (
            object_files.image_grid.GAP_PX,
            tile + object_files.image_grid.LABEL_PX + 6 + object_files.image_grid.GAP_PX,
        )
        assert image.shape == (gap + 2 * row, gap + 12 * (tile + gap), 3)
        shown = [image[gap + 5 + row * j, gap + 5 + (tile + gap) * i, 0] for j in range(2) for i in range(12)]
        assert (shown[0], shown[-1]) == (0, 255) and (np.diff(np.int32(shown)) > 0).all()
        assert (image[gap + tile + 2 : gap + tile + 15] < 200).any()  # the step

    def test_curves(self):
        curves = {"step": [5.0, 10.0], "loss": [1.0, 0.5], "negative_cosine": [0.0, float("nan")], "other": [1.0, 2.0]}
        with Image.open(io.BytesIO(object_files.curves_figure(curves))) as image:
            assert image.format == "PNG" and image.size[0] > 800
        assert object_files.curves_figure({"step": [1.0], "other": [1.0]}) is None


def test_leave(tmp_path):
    views = {"strip": np.ones((2, 8, 8, 3), np.float16), "strip_steps": np.int32([1, 2])}
    curves = {"step": [5.0, 10.0], "loss": [1.0, 0.5]}
    sizes = {"num_frames": 8, "image_px": 16, "resolution": 24}
    left = object_files.export_object(ball(), tmp_path, views=views, curves=curves, **sizes)
    assert sorted(left.files) == sorted(path.name for path in tmp_path.iterdir())
    assert set(object_files.FILES) - set(left.files) <= {"turntable.mp4"}
    assert left.meshed.is_watertight and set(left.seconds) == {"turntable_s", "pictures_s", "mesh_s"}
    assert (tmp_path / "curves.csv").read_text() == "step,loss\n5,1\n10,0.5\n"
    # Again, by an empty field without a strip: nothing of the first stays.
    left = object_files.export_object(ball(density=0.0), tmp_path, views={}, curves={}, **sizes)
    assert set(left.files) - {"turntable.mp4"} == {"turntable.webp", "views.png"}
    assert sorted(left.files) == sorted(path.name for path in tmp_path.iterdir())
    assert any(note.startswith("no mesh: expected a field that") for note in left.notes)


class TestFieldOf:
    TRIAL = Trial(task=ToyTask(), method=ToyMethod(), budget=BUDGETS["smoke"], seed=0, variant="toy")

    def test_a_state_that_holds_nothing_is_not_stored(self):
        trial = dataclasses.replace(self.TRIAL, method=Ball())
        assert field_module.field_of(trial, {"params/radius": np.asarray(0.5, np.float32)}).state == {}

    def test_stored_parameters(self):
        stored = {"params/mean": np.float32([0.1, 0.2, 0.3]), "state/num_seen": np.asarray(7, np.int32)}
        field = field_module.field_of(self.TRIAL, stored)
        np.testing.assert_array_equal(field.params["mean"], stored["params/mean"])
        assert int(field.state["num_seen"]) == 7
        assert (field.near, field.far, field.background) == (2.0, 6.0, 1.0)
        assert field.half_width == pytest.approx(2 / 3**0.5)
        assert field_module.turntable(field, num_frames=1, image_px=4).shape == (1, 4, 4, 3)

    @pytest.mark.parametrize(
        ("stored", "told"),
        [
            ({"params/mean": np.zeros(3, np.float32)}, "state/num_seen of () shape, got none"),
            (
                {"params/mean": np.zeros(4, np.float32), "state/num_seen": np.asarray(7, np.int32)},
                r"of (3,) shape, got (4,)",
            ),
        ],
    )
    def test_those_of_another_version_are_refused(self, stored, told):
        with pytest.raises(UsageError) as caught:
            field_module.field_of(self.TRIAL, stored)
        assert told in str(caught.value) and "train it again" in str(caught.value)
