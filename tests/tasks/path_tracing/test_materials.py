"""Shapes are closed, their outside is outside, their volume is the formula's; objects fit, dress, say what lacks."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.path_tracing import materials, meshes
from tasks.path_tracing.materials import Part
from tasks.path_tracing.meshes import Mesh


def volume(mesh: Mesh) -> float:
    """Of a closed mesh, by the divergence theorem; negative if its outside is inside."""
    a, b, c = mesh.corners[:, 0], mesh.corners[:, 1], mesh.corners[:, 2]
    return float((a * np.cross(b, c)).sum() / 6)


def is_closed(mesh: Mesh) -> bool:
    """Whether every edge is run along once in each direction."""
    places = np.unique(np.round(mesh.corners.reshape(-1, 3) * 1e6), axis=0, return_inverse=True)[1].reshape(-1, 3)
    edges = np.concatenate([places, np.roll(places, -1, axis=1)], axis=0).reshape(2, -1).T
    count: dict[tuple[int, int], int] = {}
    for a, b in edges.tolist():
        count[a, b] = count.get((a, b), 0) + 1
    return all(n == 1 and count.get((b, a)) == 1 for (a, b), n in count.items())


L_OUTLINE = [(0, 0), (3, 0), (3, 1), (1, 1), (1, 2), (0, 2)]
ROUND = np.sinc(2 / 96)  # area of a polygon with 96 sides over that of its circle: sin(x) / x at x = 2 pi / 96

SOLIDS = {  # with their volumes, by the formulas of any book; tolerances for their flat sides
    "sphere": (meshes.sphere(0.7, 96), 4 / 3 * np.pi * 0.7**3, 3e-3),
    "cylinder": (meshes.cylinder(0.5, 1.2, 96), np.pi * 0.25 * 1.2 * ROUND, 1e-9),
    "cone": (meshes.cone(0.5, 0.9, 0, 96), np.pi * 0.25 * 0.9 / 3 * ROUND, 1e-9),
    "cut cone": (meshes.cone(0.6, 0.9, 0.3, 96), np.pi * 0.9 / 3 * (0.36 + 0.18 + 0.09) * ROUND, 1e-9),
    "torus": (meshes.torus(0.8, 0.2, 96, 96), 2 * np.pi**2 * 0.8 * 0.04, 3e-3),
    "capsule": (meshes.capsule(0.3, 1.4, 96), np.pi * 0.09 * 0.8 + 4 / 3 * np.pi * 0.027, 3e-3),
    "box": (meshes.box(0.3, 0.5, 0.7), 0.3 * 0.5 * 0.7, 1e-9),
    # A box less, at each edge, a triangle's prism, and what these share at the corners: see `bevelled`.
    "bevelled box": (meshes.box(1, 1, 1, 0.1), 1 - 12 * 0.1**2 / 2 * 0.8 - 8 * 0.1**3 * 5 / 6, 1e-9),
    "rod": (meshes.rod((0, 0, 0), (1, 2, 2), 0.1, 96), np.pi * 0.01 * 3 * ROUND, 1e-9),
    "straight tube": (meshes.tube([(0, 0, 0), (0, 0, 1), (0, 0, 2)], 0.1, 96), np.pi * 0.01 * 2 * ROUND, 1e-9),
    "oval tube": (meshes.tube([(0, 0, 0), (0, 0, 2)], [(0.1, 0.3)] * 2, 96), np.pi * 0.03 * 2 * ROUND, 1e-9),
    "prism": (meshes.prism(L_OUTLINE, 0.5), 4 * 0.5, 1e-9),
    "prism, clockwise": (meshes.prism(L_OUTLINE[::-1], 0.5), 4 * 0.5, 1e-9),
}


@pytest.mark.parametrize("name", SOLIDS)
def test_solids_are_closed_and_have_the_volume_of_the_formula(name):
    mesh, expected, tolerance = SOLIDS[name]
    assert is_closed(mesh)
    assert volume(mesh) == pytest.approx(expected, rel=tolerance)
    outward = np.cross(mesh.corners[:, 1] - mesh.corners[:, 0], mesh.corners[:, 2] - mesh.corners[:, 0])
    assert np.all((outward[:, None] * mesh.normals).sum(axis=-1) > 0)
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=-1), 1, atol=1e-9)


def test_closed_tube_is_a_torus():
    circle = meshes.arc(0.8, 0, 360, 97)
    mesh = meshes.tube(np.concatenate([circle, np.zeros((97, 1))], axis=1), 0.2, 48, closed=True, across=(0, 0, 1))
    assert is_closed(mesh)
    assert volume(mesh) == pytest.approx(2 * np.pi**2 * 0.8 * 0.04, rel=0.01)  # Pappus


def test_oval_tube_is_wide_across():
    straight = [(0, 0, 0), (0, 0, 1)]
    np.testing.assert_allclose(meshes.tube(straight, [(0.3, 0.1)] * 2, 16).bounds[1], [0.1, 0.3, 1], atol=1e-9)
    along_x = meshes.tube(straight, [(0.3, 0.1)] * 2, 16, across=(1, 0, 0))
    np.testing.assert_allclose(along_x.bounds[1], [0.3, 0.1, 1], atol=1e-9)


def test_normals_of_a_sphere_point_away_from_its_middle():
    mesh = meshes.sphere(0.5, 48)
    np.testing.assert_allclose(mesh.normals, mesh.corners / 0.5, atol=0.02)


def slow_shading_normals(corners, crease_deg):
    """The same as `_shading_normals`, corner by corner."""
    out = np.zeros_like(corners)

    def face(t):
        n = np.cross(t[1] - t[0], t[2] - t[0])
        return n / np.linalg.norm(n)

    def angle(t, i):
        a, b = t[(i + 1) % 3] - t[i], t[(i + 2) % 3] - t[i]
        return np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))

    for i, triangle in enumerate(corners):
        for j in range(3):
            total = np.zeros(3)
            for other in corners:
                for k in range(3):
                    near = np.abs(other[k] - triangle[j]).max() < 1e-7
                    if near and face(other) @ face(triangle) > np.cos(np.radians(crease_deg)):
                        total += angle(other, k) * face(other)
            out[i, j] = total / np.linalg.norm(total)
    return out


@pytest.mark.parametrize("crease_deg", [20.0, 50.0, 100.0])
def test_shading_normals_match_a_slow_twin(crease_deg):
    mesh = meshes.join([meshes.cone(0.5, 0.6, 0.2, 7), meshes.sphere(0.3, 6)])
    np.testing.assert_allclose(
        meshes._shading_normals(mesh.corners, crease_deg), slow_shading_normals(mesh.corners, crease_deg), atol=1e-9
    )


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(*[st.floats(0.2, 3)] * 3), st.sampled_from("xyz"), st.floats(-360, 360), st.tuples(*[st.booleans()] * 3)
)
def test_a_mesh_keeps_its_outside_and_its_volume_when_moved_turned_scaled_and_mirrored(scale, axis, angle, mirrored):
    mesh = meshes.cone(0.5, 1.0, 0.2, 12)
    factors = [-s if m else s for s, m in zip(scale, mirrored, strict=True)]
    changed = mesh.scaled(*factors).turned(axis, angle).moved(1, -2, 3)
    assert volume(changed) == pytest.approx(volume(mesh) * np.prod(scale), rel=1e-9)
    outward = np.cross(changed.corners[:, 1] - changed.corners[:, 0], changed.corners[:, 2] - changed.corners[:, 0])
    assert np.all((outward[:, None] * changed.normals).sum(axis=-1) > 0)


def test_turns_are_counter_clockwise():
    tip = Mesh(np.ones((1, 3, 3)) * [[1.0, 0, 0]], np.ones((1, 3, 3)) / 3**0.5, np.zeros((1, 3, 2)))
    np.testing.assert_allclose(tip.turned("z", 90).corners[0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(tip.turned("y", 90).corners[0, 0], [0, 0, -1], atol=1e-12)
    np.testing.assert_allclose(tip.turned("x", 90).corners[0, 0], [1, 0, 0], atol=1e-12)


@given(st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda d: np.linalg.norm(d) > 0.1))
@settings(max_examples=25, deadline=None)
def test_aimed_points_the_upper_end(direction):
    top = meshes.cone(0.1, 2.0, 0, 6).aimed(direction)
    tip = np.asarray(direction) / np.linalg.norm(direction)
    assert np.abs(top.corners - tip).sum(axis=-1).min() < 1e-9
    assert volume(top) > 0


def test_spline_goes_through_its_points_and_a_closed_one_returns():
    points = [(0, 0), (1, 2), (3, 1), (4, 4)]
    np.testing.assert_allclose(meshes.spline(points, 31)[::10], points, atol=1e-12)
    closed = meshes.spline(points, 41, closed=True)
    np.testing.assert_allclose(closed[::10], [*points, points[0]], atol=1e-12)


def test_ring_puts_copies_at_even_angles():
    ring = meshes.ring(meshes.box(0.1, 0.1, 0.1).moved(1), 4)
    middles = ring.corners.reshape(4, -1, 3).mean(axis=1)
    np.testing.assert_allclose(middles, [[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]], atol=1e-9)


def test_boxed_uvs_are_places_seen_along_the_facing_axis():
    mesh = meshes.box(2, 2, 2).boxed_uvs(0.5)
    for corners, uvs in zip(mesh.corners, mesh.uvs, strict=True):
        axis = int(np.argmin(np.ptp(corners, axis=0)))  # a box's face is flat along one axis
        others = [i for i in range(3) if i != axis]
        np.testing.assert_allclose(uvs, corners[:, others] * 0.5)


def test_a_prism_that_crosses_itself_is_refused():
    with pytest.raises(ValueError, match="prism: expected an outline that does not cross itself"):
        meshes.prism([(0, 0), (1, 1), (1, 0), (0, 1)], 1.0)


# ---- materials and objects -------------------------------------------------------------------------------------------


def test_colors_are_read_or_refused():
    assert materials.linear("#bc0000")[0] == pytest.approx(0.5029, abs=1e-4)  # 188 / 255: IEC 61966-2-1 gives 0.5029
    with pytest.raises(ValueError, match=re.escape("linear: expected a colour such as '#d8342c', got 'red'")):
        materials.linear("red")


def test_textures_come_from_their_seed_alone():
    for make in (materials.wood, materials.speckle):
        a, b, c = (make("#c8935a", "#8a5a30", seed)["pixels"] for seed in (1, 1, 2))
        assert np.array_equal(a, b) and not np.array_equal(a, c)
        low, high = sorted([materials.linear("#c8935a"), materials.linear("#8a5a30")])
        assert np.all(a >= np.asarray(low) - 1e-12) and np.all(a <= np.asarray(high) + 1e-12)


def test_stripes_and_checkers_alternate():
    black_white = materials.stripes("#000000", "#ffffff", 3)["pixels"]
    assert black_white[:, 0, 0].tolist() == [0, 1, 0, 1, 0, 1]
    fields = materials.checker("#000000", "#ffffff", 2, 1)["pixels"][..., 0]
    assert fields.tolist() == [[0, 1, 0, 1], [1, 0, 1, 0]]


def mug() -> list[Part]:
    handle = meshes.torus(0.25, 0.06, 12, 6).turned("x", 90).moved(0.45)
    return [Part(meshes.cylinder(0.4, 0.8, 12), "body"), Part(handle, "body"), Part(meshes.sphere(0.1, 8), "inside")]


def test_dress_joins_the_parts_of_a_slot_and_names_a_slot_without_material():
    dressed = materials.assign_materials(
        mug(), {"body": materials.matte("#ff0000"), "inside": materials.metal()}, prefix="left "
    )
    assert list(dressed) == ["left body", "left inside"]
    assert len(dressed["left body"]["mesh"].corners) == sum(len(p.mesh.corners) for p in mug()[:2])
    with pytest.raises(ValueError, match="expected a material for every slot, got none for inside"):
        materials.assign_materials(mug(), {"body": materials.matte("#ff0000")})


def test_an_object_in_the_studio_has_no_slot_of_its_name():
    built = materials.assign_materials([Part(meshes.sphere(0.1, 8), "body")], {"body": materials.glass()})
    assert list(materials.in_studio(lambda: built)) == ["studio", "body"]
    with pytest.raises(ValueError, match="in_studio: expected slots with other names than the light's, got 'studio'"):
        materials.in_studio(lambda: {"studio": built["body"]})


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.floats(0.05, 20)] * 3), st.tuples(*[st.floats(-9, 9)] * 3))
def test_fitted_objects_touch_the_ball_or_the_cube(scale, place):
    changed = materials.map_meshes(mug(), lambda mesh: mesh.scaled(*scale).moved(*place))
    mesh = meshes.join(part.mesh for part in materials.fitted(changed, 1.2, 1.0))
    low, high = mesh.bounds
    np.testing.assert_allclose(low + high, 0, atol=1e-9)
    reach = np.linalg.norm(mesh.corners, axis=-1).max()
    assert max(reach / 1.2, high.max() / 1.0) == pytest.approx(1)


def test_the_light_is_exposed_for_a_white_card():
    light = materials.studio(height_px=32)
    pixels = light["pixels"]
    best = 0.0
    for card in np.random.Generator(np.random.PCG64(0)).normal(size=(100, 3)):  # slow twin: pixel by pixel
        card = card / np.linalg.norm(card)
        total = 0.0
        for i in range(32):
            polar = np.pi * (i + 0.5) / 32
            around = np.pi * (np.arange(64) + 0.5) / 32
            z = np.cos(polar)
            x, y = np.sin(around) * np.sin(polar), np.cos(around) * np.sin(polar)
            cosine = np.maximum(x * card[0] + y * card[1] + z * card[2], 0)
            total += float((cosine * pixels[i].mean(axis=-1)).sum() * np.sin(polar) * (np.pi / 32) ** 2)
        best = max(best, total / np.pi)
    assert best == pytest.approx(materials.EXPOSURE, rel=0.04)
