"""Casts many pictures of the closed world on an accelerator, in a simpler light than a path tracer's.

They have the meanings, cameras, shapes, colours and patterns of the path-traced pictures with the same numbers. Light
is direct, from `NUM_LIGHTS` directions with shadows; a coat or a metal mirrors the environment. Encoders are trained on
them, and tested on path-traced pictures.

h and w: pixels, r: rays, four a pixel, p: pixels of a picture, n: pictures, t: triangles of a picture, padded.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree, UInt8

from models.clip.pretraining.casting import ray_triangles, surfaces
from models.clip.pretraining.casting.placed_objects import PlacedThing, kind_shapes, place_meaning
from models.clip.pretraining.casting.ray_triangles import NOWHERE
from tasks.cameras import BLENDER_FOV_DEG
from tasks.closed_world.appearance import PERIOD, STRIPE_NORMAL, Family
from tasks.closed_world.meanings import COLORS, FINISHES, KINDS, Meaning
from tasks.closed_world.pictures import plan_picture

NUM_LIGHTS = 16
"""Directions from which a picture is lit."""

NUM_ENVIRONMENTS = 256
"""Environments of a family; picture i has the one of number i modulo this."""

SIDE_RAYS = 2
"""Rays along a side of a pixel."""

AT_ONCE = 64
"""Pictures of one program's call."""

SMALLEST = 1024
"""Triangles of the smallest program; others have twice, four times, and so on."""


class CastTables(NamedTuple):
    """Holds what all pictures of a family share; the program sees its leaves as traced arrays.

    Attributes:
        corners: Of the triangles of all kinds; the last triangle has no area, and fills up.
        normals: Of the corners.
        slots: Of the triangles.
        textures: Of the bodies, by look; a look is a colour and a finish.
        colors: By look and slot.
        surfaces: By look and slot, see `surfaces.SURFACES`.
        patterns: Finish of each look.
        environments: Radiance.
    """

    corners: Float[np.ndarray, "k 3 3"]
    normals: Float[np.ndarray, "k 3 3"]
    slots: Int[np.ndarray, " k"]
    textures: Float[np.ndarray, "looks e f 3"]
    colors: Float[np.ndarray, "looks s 3"]
    surfaces: Int[np.ndarray, "looks s"]
    patterns: Int[np.ndarray, " looks"]
    environments: Float[np.ndarray, "num m o 3"]


class PlacedPicture(NamedTuple):
    """Describes one picture in numbers; a picture of one thing has a second one without triangles.

    Attributes:
        starts: First triangle of each thing.
        counts: Triangles of each thing.
        scales: See `placed_objects.PlacedThing`.
        shifts: See `placed_objects.PlacedThing`.
        looks: Look of each thing.
        pose: Camera to world.
        number: Of the picture, which chooses its environment and the directions of its light.
    """

    starts: Int[np.ndarray, "2"]
    counts: Int[np.ndarray, "2"]
    scales: Float[np.ndarray, "2"]
    shifts: Float[np.ndarray, "2 3"]
    looks: Int[np.ndarray, "2"]
    pose: Float[np.ndarray, "4 4"]
    number: Int[np.ndarray, ""]


def cast_pictures(
    family: Family, numbers: Sequence[int], image_px: int, *, show: bool = False
) -> tuple[UInt8[np.ndarray, "n h w 4"], list[Meaning]]:
    """Cast the pictures of some numbers, sRGB with straight alpha.

    Args:
        family: Family of pictures.
        numbers: Of `tasks.closed_world.pictures.plan_picture`.
        image_px: Width and height.
        show: Whether to print a line.

    Returns:
        Pictures and their meanings, in the order of the numbers.
    """
    planned = [plan_picture(family, number) for number in numbers]
    placed = [place_picture(place_meaning(spec.meaning), spec.pose, spec.number) for spec in planned]
    sizes = np.asarray([program_size(int(one.counts.sum())) for one in placed])
    images = np.zeros((len(placed), image_px, image_px, 4), np.uint8)
    tables: PyTree = jax.device_put(build_tables(family))
    if show:
        print(f"casting {len(planned)} pictures of {image_px} px", flush=True)
    for size in np.unique(sizes):
        places = np.flatnonzero(sizes == size)
        for start in range(0, len(places), AT_ONCE):
            some = places[start : start + AT_ONCE]
            filled = np.resize(some, AT_ONCE)  # a call has always as many pictures
            batch = jax.tree.map(lambda *leaves: np.stack(leaves), *[placed[place] for place in filled])
            images[some] = np.asarray(cast_batch(tables, batch, image_px, int(size)))[: len(some)]
    return images, [spec.meaning for spec in planned]


def program_size(num_triangles: int) -> int:
    """Choose the triangles of the program that casts a picture.

    Example:
        >>> program_size(44), program_size(1025)
        (1024, 2048)
    """
    size = SMALLEST
    while size < num_triangles:
        size *= 2
    return size


def place_picture(things: Sequence[PlacedThing], pose: Float[np.ndarray, "4 4"], number: int) -> PlacedPicture:
    """Describe a picture of one or two things in numbers."""
    starts = kind_shapes().starts
    filled = [*things, *things][:2]
    kinds = [KINDS.index(thing.spec.kind) for thing in filled]
    counts = np.asarray([starts[kind + 1] - starts[kind] for kind in kinds], np.int32)
    if len(things) == 1:
        counts[1] = 0
    scales = [thing.scale for thing in filled]
    shifts = [thing.shift for thing in filled]
    looks = [look_index(thing.spec.color, thing.spec.finish) for thing in filled]
    return PlacedPicture(
        starts=np.asarray([starts[kind] for kind in kinds], np.int32),
        counts=counts,
        scales=np.asarray(scales, np.float32),
        shifts=np.stack(shifts).astype(np.float32),
        looks=np.asarray(looks, np.int32),
        pose=np.asarray(pose, np.float32),
        number=np.asarray(number, np.int32),
    )


def look_index(color: str, finish: str) -> int:
    """Return the place of a colour and finish in the tables."""
    return COLORS.index(color) * len(FINISHES) + FINISHES.index(finish)


@functools.lru_cache(maxsize=2)
def build_tables(family: Family) -> CastTables:
    """Build the tables of a family of pictures; some seconds on one core."""
    shapes = kind_shapes()
    looks = [surfaces.look_of(color, finish) for color in COLORS for finish in FINISHES]
    textures = [look.texture for look in looks]
    colors = [look.colors for look in looks]
    surface_kinds = [look.surfaces for look in looks]
    patterns = [look.pattern for look in looks]
    return CastTables(
        corners=np.concatenate([shapes.corners, np.zeros((1, 3, 3), np.float32)]),
        normals=np.concatenate([shapes.normals, np.ones((1, 3, 3), np.float32)]),
        slots=np.append(shapes.slots, np.int32(0)),
        textures=np.stack(textures),
        colors=np.stack(colors),
        surfaces=np.stack(surface_kinds).astype(np.int32),
        patterns=np.asarray(patterns, np.int32),
        environments=surfaces.environments(family, NUM_ENVIRONMENTS),
    )


@functools.partial(jax.jit, static_argnames=("image_px", "num_triangles"))
def cast_batch(tables: PyTree, batch: PyTree, image_px: int, num_triangles: int) -> UInt8[Array, "n h w 4"]:
    """Cast pictures one after the other; each of them keeps a device busy."""
    return jax.lax.map(lambda picture: cast_one(tables, picture, image_px, num_triangles), batch)


def cast_one(tables: PyTree, picture: PyTree, image_px: int, num_triangles: int) -> UInt8[Array, "h w 4"]:
    """Cast one picture."""
    place = jnp.arange(num_triangles)
    is_first = place < picture.counts[0]
    is_second = ~is_first & (place < picture.counts.sum())
    index = jnp.where(is_first, picture.starts[0] + place, picture.starts[1] + place - picture.counts[0])
    index = jnp.where(is_first | is_second, index, tables.corners.shape[0] - 1)
    thing = is_second.astype(jnp.int32)
    corners = tables.corners[index] * picture.scales[thing][:, None, None] + picture.shifts[thing][:, None]

    origin = picture.pose[:3, 3]
    directions = ray_directions(picture.pose, image_px)
    hits = ray_triangles.find_nearest(origin, directions, corners)
    is_hit = hits.distance < NOWHERE
    products = ray_triangles.corner_products(corners, origin)[hits.triangle]
    weights = jnp.einsum("rci,ri->rc", products, directions, precision="highest")
    weights = weights / jnp.where(is_hit, weights.sum(axis=1), 1.0)[:, None]
    own = corners[hits.triangle]
    points = jnp.where(is_hit[:, None], jnp.sum(weights[..., None] * own, axis=1), 10.0)
    normals = jnp.sum(weights[..., None] * tables.normals[index[hits.triangle]], axis=1)
    normals = normals / jnp.maximum(jnp.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    away = jnp.sum(normals * directions, axis=1, keepdims=True) > 0
    normals = jnp.where(away, -normals, normals)

    look = picture.looks[thing[hits.triangle]]
    slot = tables.slots[index[hits.triangle]]
    faces = jnp.cross(own[:, 1] - own[:, 0], own[:, 2] - own[:, 0])
    patterned = sample_pattern(tables.textures, look, tables.patterns[look], points, faces)
    color = jnp.where((slot == 0)[:, None], patterned, tables.colors[look, slot])
    environment = tables.environments[picture.number % NUM_ENVIRONMENTS]
    radiance = light_surfaces(
        environment,
        jax.random.fold_in(jax.random.key(0), picture.number),
        Surface(points, normals, directions, color, tables.surfaces[look, slot], is_hit),
        corners,
    )
    return resolve(radiance, is_hit, image_px)


def ray_directions(pose: Float[Array, "4 4"], image_px: int) -> Float[Array, "r 3"]:
    """Compute unit directions of the rays, pixel by pixel, those of one pixel together."""
    steps = (jnp.arange(image_px * SIDE_RAYS) + 0.5) / SIDE_RAYS
    rows, columns = jnp.meshgrid(steps, steps, indexing="ij")
    focal = 0.5 * image_px / np.tan(np.radians(BLENDER_FOV_DEG) / 2)
    across = (columns - image_px / 2) / focal
    down = (rows - image_px / 2) / focal
    ahead = jnp.stack([across, -down, -jnp.ones_like(across)], axis=-1)
    grid = ahead.reshape(image_px, SIDE_RAYS, image_px, SIDE_RAYS, 3).swapaxes(1, 2).reshape(-1, 3)
    directions = jnp.einsum("ri,oi->ro", grid, pose[:3, :3], precision="highest")
    return directions / jnp.linalg.norm(directions, axis=1, keepdims=True)


def sample_pattern(
    textures: Float[Array, "looks e f 3"],
    look: Int[Array, " r"],
    pattern: Int[Array, " r"],
    points: Float[Array, "r 3"],
    faces: Float[Array, "r 3"],
) -> Float[Array, "r 3"]:
    """Look up the colour of bodies: stripes are slabs of space, others lie on the side that a triangle faces."""
    axis = jnp.argmax(jnp.abs(faces), axis=1)
    across = jnp.take_along_axis(points, jnp.where(axis == 0, 1, 0)[:, None], axis=1)[:, 0]
    along = jnp.take_along_axis(points, jnp.where(axis == 2, 1, 2)[:, None], axis=1)[:, 0]
    scale = jnp.where(pattern == FINISHES.index("checkered"), 1 / PERIOD, 1 / (1.35 * PERIOD))
    is_striped = pattern == FINISHES.index("striped")
    height = points @ jnp.asarray(STRIPE_NORMAL, jnp.float32) / (0.8 * PERIOD)
    u = jnp.where(is_striped, 0.0, across * scale)
    v = jnp.where(is_striped, height, along * scale)
    size = surfaces.TEXTURE_PX
    column = jnp.floor(jnp.mod(u, 1.0) * size).astype(jnp.int32) % size
    row = jnp.floor(jnp.mod(v, 1.0) * size).astype(jnp.int32) % size
    return textures[look, row, column]


class Surface(NamedTuple):
    """Holds what rays see.

    Attributes:
        points: Where they hit.
        normals: Of the surface, on the ray's side.
        directions: Of the rays.
        color: Linear.
        kind: See `surfaces.SURFACES`.
        is_hit: Whether there is a surface.
    """

    points: Float[Array, "r 3"]
    normals: Float[Array, "r 3"]
    directions: Float[Array, "r 3"]
    color: Float[Array, "r 3"]
    kind: Int[Array, " r"]
    is_hit: Array


def light_surfaces(
    environment: Float[Array, "m o 3"], key: PRNGKeyArray, surface: Surface, corners: Float[Array, "t 3 3"]
) -> Float[Array, "r 3"]:
    """Compute the radiance that each ray sees; shadows are found once a pixel."""
    uniform = (jnp.arange(NUM_LIGHTS) + jax.random.uniform(key, (NUM_LIGHTS,))) / NUM_LIGHTS
    toward, added = surfaces.sample_lights(environment, uniform)
    num_rays = SIDE_RAYS**2
    per_pixel = surface.is_hit.reshape(-1, num_rays)
    chosen = jnp.arange(per_pixel.shape[0]) * num_rays + jnp.argmax(per_pixel, axis=1)
    blocked = ray_triangles.find_blocked(surface.points[chosen], toward, corners)
    is_lit = jnp.repeat(~blocked, num_rays, axis=0)
    facing = jnp.maximum(jnp.einsum("ri,li->rl", surface.normals, toward, precision="highest"), 0.0)
    irradiance = jnp.einsum("rl,li->ri", facing * is_lit, added, precision="highest")
    open_share = (facing * is_lit).sum(axis=1) / jnp.maximum(facing.sum(axis=1), 1e-6)
    diffuse = surface.color * irradiance / jnp.pi
    cosine = -jnp.sum(surface.normals * surface.directions, axis=1, keepdims=True)
    mirrored = surface.directions + 2 * cosine * surface.normals
    coat = surfaces.COAT + (1 - surfaces.COAT) * (1 - jnp.clip(cosine, 0.0, 1.0)) ** 5
    glossy = diffuse * (1 - coat) + coat * surfaces.look_up_radiance(environment, mirrored)
    metal = surface.color * surfaces.look_up_radiance(surfaces.blur_environment(environment), mirrored)
    metal = metal * (0.35 + 0.65 * open_share)[:, None]
    kind = surface.kind[:, None]
    return jnp.where(kind == 0, diffuse, jnp.where(kind == 1, glossy, metal))


def resolve(radiance: Float[Array, "r 3"], is_hit: Array, image_px: int) -> UInt8[Array, "h w 4"]:
    """Average the rays of each pixel, and convert them to the stored form."""
    num_rays = SIDE_RAYS**2
    seen = jnp.where(is_hit[:, None], radiance, 0.0).reshape(-1, num_rays, 3).sum(axis=1)
    num_hit = is_hit.reshape(-1, num_rays).sum(axis=1)
    color = surfaces.to_srgb(seen / jnp.maximum(num_hit, 1)[:, None])
    color = jnp.where((num_hit > 0)[:, None], color, 0.0)
    straight = jnp.concatenate([color, (num_hit / num_rays)[:, None]], axis=1)
    return jnp.floor(straight * 255 + 0.5).astype(jnp.uint8).reshape(image_px, image_px, 4)
