"""Defines the distortion of camera lenses in OpenCV's formulas, undoes it for points, and refuses lenses that fold.

A point at (X, Y, Z) before a camera, with Y down and Z ahead, has the ideal position x = X / Z, y = Y / Z. The lens
moves it to a distorted position; focal lengths and principal point turn that into pixels. Rays need the way back, which
has no formula: `undistort` finds it by Newton's method. Photographs are never resampled.

Radial-tangential lenses (COLMAP's SIMPLE_RADIAL, RADIAL, OPENCV, FULL_OPENCV), with r^2 = x^2 + y^2:
    x (1 + k1 r^2 + k2 r^4 + k3 r^6) / (1 + k4 r^2 + k5 r^4 + k6 r^6) + 2 p1 x y + p2 (r^2 + 2 x^2), and y likewise.
Fisheye lenses (COLMAP's OPENCV_FISHEYE, SIMPLE_RADIAL_FISHEYE, RADIAL_FISHEYE), with a = atan(r):
    (x, y) / r times a (1 + k1 a^2 + k2 a^4 + k3 a^6 + k4 a^8).

*b: any leading axes, n: cameras.

References:
    OpenCV's documentation of calib3d and of calib3d_fisheye.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bench.errors import UsageError, nearest

NUM_ITERATIONS = 10
"""Of Newton's method. Lenses of phones and cameras need three or four; a strong fisheye six."""

MOST_DEG = 85.0
"""Largest angle from the viewing axis that a pixel may have: `t` is depth along that axis, and a ray at 90 degrees has
none. Pixels beyond it get rays at this angle."""

MOST_ERROR_PX = 1e-2
"""Largest distance between a pixel and its own undistorted point, distorted again, in a lens that is accepted."""


class Distortion(NamedTuple):
    """Coefficients of lenses, with the leading axes of the intrinsics that they belong to. A pytree.

    Attributes:
        radial: k1 to k6; of a fisheye lens k1 to k4, then two zeros.
        tangential: p1 and p2; zeros for a fisheye lens.
        is_fisheye: 1 for a fisheye lens, 0 for a radial-tangential one. A number, so that trials on photographs of
            both kinds share a program.
    """

    radial: Float[Array | np.ndarray, "*n 6"]
    tangential: Float[Array | np.ndarray, "*n 2"]
    is_fisheye: Float[Array | np.ndarray, "*n"]


class IdealPoints(NamedTuple):
    """Positions on an ideal image at distance 1.

    Attributes:
        x: Across.
        y: Down.
        stretch: How far the position moves for a unit step of the distorted position across.
    """

    x: Float[Array | np.ndarray, "*b"]
    y: Float[Array | np.ndarray, "*b"]
    stretch: Float[Array | np.ndarray, "*b"]


COEFFICIENTS: dict[str, tuple[str, ...]] = {
    "PINHOLE": (),
    "SIMPLE_RADIAL": ("k1",),
    "RADIAL": ("k1", "k2"),
    "OPENCV": ("k1", "k2", "k3", "p1", "p2"),
    "FULL_OPENCV": ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2"),
    "SIMPLE_RADIAL_FISHEYE": ("k1",),
    "RADIAL_FISHEYE": ("k1", "k2"),
    "OPENCV_FISHEYE": ("k1", "k2", "k3", "k4"),
}
"""Camera models, by COLMAP's names, and the coefficients that each has in this file's formulas."""


def lens_distortion(where: str, model: str, coefficients: Mapping[str, float]) -> Distortion | None:
    """Make the distortion of one lens; None if it has none.

    Args:
        where: File and camera, for messages.
        model: One of `COEFFICIENTS`.
        coefficients: By name. Those that are left out are 0.

    Raises:
        UsageError: The model is unknown, or has no such coefficient.

    Example:
        >>> lens = lens_distortion("fox", "OPENCV", {"k1": 0.06, "p2": 0.001})
        >>> lens.radial.tolist(), lens.tangential.tolist(), float(lens.is_fisheye)
        ([0.06, 0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.001], 0.0)
        >>> lens_distortion("fox", "OPENCV", {"k1": 0.0}) is None
        True
    """
    if model not in COEFFICIENTS:
        raise UsageError(
            f"{where}: expected a camera model among {', '.join(COEFFICIENTS)}, got {model!r}; "
            + nearest(model, COEFFICIENTS)
        )
    unknown = [name for name, value in coefficients.items() if value and name not in COEFFICIENTS[model]]
    if unknown:
        raise UsageError(
            f"{where}: expected coefficients of {model} ({', '.join(COEFFICIENTS[model]) or 'it has none'}), got "
            f"{unknown[0]}={coefficients[unknown[0]]:g}; correct the camera model"
        )
    is_fisheye = model.endswith("FISHEYE")
    if not is_fisheye and not any(coefficients.values()):
        return None
    radial = np.array([coefficients.get(f"k{i}", 0.0) for i in range(1, 7)])
    tangential = np.array([coefficients.get(f"p{i}", 0.0) for i in (1, 2)])
    return Distortion(radial, tangential, np.asarray(float(is_fisheye)))


def stack_distortions(lenses: list[Distortion | None]) -> Distortion | None:
    """Stack the lenses of some photographs, as float32; a photograph without distortion gets zeros. None if all are."""
    if all(lens is None for lens in lenses):
        return None
    none = Distortion(np.zeros(6), np.zeros(2), np.zeros(()))
    return jax.tree.map(lambda *each: np.stack(each).astype(np.float32), *(lens or none for lens in lenses))


def undistort(
    distortion: Distortion, x: Float[Array | np.ndarray, "*b"], y: Float[Array | np.ndarray, "*b"]
) -> IdealPoints:
    """Find the ideal positions that a lens moves to given distorted ones.

    Arrays of NumPy are computed on the host, those of JAX in JAX.

    Args:
        distortion: One lens, or one for each position.
        x: Distorted positions across: (column - center_x) / focal_x.
        y: Distorted positions down: (row - center_y) / focal_y.
    """
    xp = _namespace(x)
    radial_tangential = _undistort_radial_tangential(xp, distortion, x, y)
    fisheye = _undistort_fisheye(xp, distortion, x, y)
    is_fisheye = xp.broadcast_to(distortion.is_fisheye > 0.5, x.shape)
    chosen = [xp.where(is_fisheye, *each) for each in zip(fisheye, radial_tangential, strict=True)]
    return IdealPoints(*chosen)


def distort(
    distortion: Distortion, x: Float[Array | np.ndarray, "*b"], y: Float[Array | np.ndarray, "*b"]
) -> tuple[Float[Array | np.ndarray, "*b"], Float[Array | np.ndarray, "*b"]]:
    """Move ideal positions as a lens does; the formulas at the head of the file."""
    xp = _namespace(x)
    distorted_x, distorted_y, *_ = _radial_tangential(distortion, x, y)
    radius = xp.sqrt(x * x + y * y)
    angle = xp.arctan(radius)
    ratio = xp.where(radius > 1e-8, _fisheye(distortion, angle)[0] / xp.maximum(radius, 1e-8), 1)
    is_fisheye = xp.broadcast_to(distortion.is_fisheye > 0.5, x.shape)
    return xp.where(is_fisheye, x * ratio, distorted_x), xp.where(is_fisheye, y * ratio, distorted_y)


def _namespace(x: Any) -> ModuleType:
    """Compute in NumPy where the arrays are NumPy's, on the host, and in JAX where they are JAX's."""
    return np if isinstance(x, np.ndarray | np.generic) else jnp


def _radial_tangential(distortion: Distortion, x: Any, y: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Return the distorted position, and its derivatives: dx/dx, dx/dy (equal to dy/dx), dy/dy."""
    k1, k2, k3, k4, k5, k6 = (distortion.radial[..., i] for i in range(6))
    p1 = distortion.tangential[..., 0]
    p2 = distortion.tangential[..., 1]
    r2 = x * x + y * y
    over = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    under = 1 + r2 * (k4 + r2 * (k5 + r2 * k6))
    ratio = over / under
    over_slope = k1 + r2 * (2 * k2 + r2 * 3 * k3)
    under_slope = k4 + r2 * (2 * k5 + r2 * 3 * k6)
    slope = 2 * (over_slope - ratio * under_slope) / under  # d ratio / d x = slope * x
    distorted_x = x * ratio + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    distorted_y = y * ratio + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    x_by_x = ratio + slope * x * x + 2 * p1 * y + 6 * p2 * x
    x_by_y = slope * x * y + 2 * p1 * x + 2 * p2 * y
    y_by_y = ratio + slope * y * y + 6 * p1 * y + 2 * p2 * x
    return distorted_x, distorted_y, x_by_x, x_by_y, y_by_y


def _fisheye(distortion: Distortion, angle: Any) -> tuple[Any, Any]:
    """Return the distorted distance from the principal point of a ray at an angle, and its derivative."""
    k1, k2, k3, k4 = (distortion.radial[..., i] for i in range(4))
    a2 = angle * angle
    distance = angle * (1 + a2 * (k1 + a2 * (k2 + a2 * (k3 + a2 * k4))))
    slope = 1 + a2 * (3 * k1 + a2 * (5 * k2 + a2 * (7 * k3 + a2 * 9 * k4)))
    return distance, slope


def _away_from_zero(xp: ModuleType, value: Any) -> Any:
    """Keep a divisor from vanishing; it does only for lenses that fold, which are refused."""
    return xp.where(xp.abs(value) > 1e-6, value, 1e-6)


def _undistort_radial_tangential(xp: ModuleType, distortion: Distortion, x: Any, y: Any) -> tuple[Any, Any, Any]:
    ideal_x = x
    ideal_y = y
    for _ in range(NUM_ITERATIONS):
        distorted_x, distorted_y, x_by_x, x_by_y, y_by_y = _radial_tangential(distortion, ideal_x, ideal_y)
        error_x = distorted_x - x
        error_y = distorted_y - y
        determinant = _away_from_zero(xp, x_by_x * y_by_y - x_by_y * x_by_y)
        ideal_x = ideal_x - (y_by_y * error_x - x_by_y * error_y) / determinant
        ideal_y = ideal_y - (x_by_x * error_y - x_by_y * error_x) / determinant
    _, _, x_by_x, x_by_y, y_by_y = _radial_tangential(distortion, ideal_x, ideal_y)
    determinant = _away_from_zero(xp, x_by_x * y_by_y - x_by_y * x_by_y)
    return ideal_x, ideal_y, xp.sqrt(y_by_y * y_by_y + x_by_y * x_by_y) / xp.abs(determinant)


def _undistort_fisheye(xp: ModuleType, distortion: Distortion, x: Any, y: Any) -> tuple[Any, Any, Any]:
    distance = xp.sqrt(x * x + y * y)
    most = np.float32(np.radians(MOST_DEG))
    angle = xp.minimum(distance, most)
    for _ in range(NUM_ITERATIONS):
        found, slope = _fisheye(distortion, angle)
        angle = xp.clip(angle - (found - distance) / _away_from_zero(xp, slope), 0, most)
    _, slope = _fisheye(distortion, angle)
    is_off_axis = distance > 1e-6
    divisor = xp.where(is_off_axis, distance, 1)
    ratio = xp.where(is_off_axis, xp.tan(angle) / divisor, 1)
    # A step across is in part away from the axis, where the angle grows, and in part around it.
    outward = 1 / (xp.cos(angle) ** 2 * _away_from_zero(xp, slope))
    share = xp.where(is_off_axis, x / divisor, 1)
    stretch = xp.sqrt(share * share * outward * outward + (1 - share * share) * ratio * ratio)
    return x * ratio, y * ratio, stretch


def check_lens(
    where: str,
    distortion: Distortion,
    focal: tuple[float, float],
    center: tuple[float, float],
    shape: tuple[int, int],
    mask: Float[np.ndarray, "h w"] | None = None,
) -> None:
    """Refuse a lens that does not map rays to the pixels of a photograph one to one; computed on the host.

    Args:
        where: File and camera, for the message.
        distortion: Of one lens.
        focal: Focal lengths across and down, in pixels.
        center: Principal point, column and row.
        shape: Height and width of the photograph.
        mask: Pixels that count; None if all do. Where it is 0 anything is accepted.

    Raises:
        UsageError: Two rays share a pixel, no ray has it, or it is too far from the viewing axis.
    """
    height, width = shape
    # Every corner, and the edges: there lenses fold first.
    grid = np.meshgrid(np.linspace(0, width, 65), np.linspace(0, height, 65))
    columns, rows = (axis.ravel().astype(np.float32) for axis in grid)
    if mask is not None:
        counts = mask[np.minimum(rows, height - 1).astype(int), np.minimum(columns, width - 1).astype(int)] > 0
        columns = columns[counts]
        rows = rows[counts]
    lens = jax.tree.map(lambda x: np.asarray(x, np.float32), distortion)
    x = ((columns - np.float32(center[0])) / np.float32(focal[0])).astype(np.float32)
    y = ((rows - np.float32(center[1])) / np.float32(focal[1])).astype(np.float32)
    with np.errstate(all="ignore"):  # a lens that folds may give anything; it is refused below
        ideal = undistort(lens, x, y)
        again_x, again_y = distort(lens, ideal.x, ideal.y)
        error_px = np.hypot((again_x - x) * focal[0], (again_y - y) * focal[1])
        folds = ~(_is_one_to_one(lens, ideal) & (error_px < MOST_ERROR_PX))
    if not folds.any():
        return
    column, row = (int(axis[folds][0]) for axis in (columns, rows))
    least = f"{MOST_DEG:g} degrees from the axis" if lens.is_fisheye > 0.5 else "the picture's corners"
    raise UsageError(
        f"{where}: expected a lens that gives every pixel one ray, up to {least}, got none for {folds.mean():.0%} of "
        f"them, as at column {column}, row {row}; check its coefficients, or mask these pixels out"
    )


def _is_one_to_one(lens: Distortion, ideal: IdealPoints) -> Any:
    """Tell of each position whether the lens keeps its sense of direction all the way from the axis to there."""
    is_good = np.isfinite(ideal.x) & np.isfinite(ideal.y)
    for share in np.linspace(0, 1, 33, dtype=np.float32):
        x = share * ideal.x
        y = share * ideal.y
        if lens.is_fisheye > 0.5:
            is_good &= _fisheye(lens, np.arctan(np.hypot(x, y)))[1] > 1e-3
            continue
        _, _, x_by_x, x_by_y, y_by_y = _radial_tangential(lens, x, y)
        is_good &= (x_by_x * y_by_y - x_by_y * x_by_y > 1e-3) & (x_by_x + y_by_y > 0)
    return is_good
