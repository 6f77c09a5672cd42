"""Measures in how many bits this device multiplies, and names it: float32, TF32 or bfloat16."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.doctor.check import Check, Status

SIZE = 256

BITS = {"float32": 24, "TF32": 11, "bfloat16": 8}
"""Bits of a factor, with the first."""


def rounding_of_products(bits: int) -> float:
    """Compute the root mean square error of a product of random matrices, as a share of its results' size.

    A factor with mantissa m in [1, 2) is off by a share of at most 2^-bits / m, evenly distributed: on average over all
    m a root mean square share of 2^-bits / sqrt(6). There are two factors. Sums in float32 add little.

    Example:
        >>> f"{rounding_of_products(11):.1e} {rounding_of_products(8):.1e}"
        '2.8e-04 2.3e-03'
    """
    return 2.0**-bits / math.sqrt(3)


def check_products() -> list[Check]:
    """Measure products of matrices in each precision, and say what they are computed in."""
    random = np.random.RandomState(0)
    a = random.standard_normal((SIZE, SIZE)).astype(np.float32)
    b = random.standard_normal((SIZE, SIZE)).astype(np.float32)
    truth = a.astype(np.float64) @ b.astype(np.float64)
    size = math.sqrt(np.mean(truth**2))

    def error_of(product: Any) -> float:
        return math.sqrt(np.mean((np.asarray(product, np.float64) - truth) ** 2)) / size

    highest = error_of(jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST))
    usual = error_of(jnp.dot(a, b, precision=jax.lax.Precision.DEFAULT))
    short = jnp.dot(jnp.asarray(a, jnp.bfloat16), jnp.asarray(b, jnp.bfloat16), preferred_element_type=jnp.float32)
    # One sum after the other of n terms is off by about sqrt(n / 2) times what one product is; other orders by less.
    bound = math.sqrt(SIZE) * rounding_of_products(BITS["float32"])
    found: Status = "FAIL" if highest > bound else "ok"
    advice = f"it is {name_precision(highest)}: scores would differ" if found == "FAIL" else ""
    name = name_precision(usual)
    usually = name if name == "float32" else f"{name}: about {rounding_of_products(BITS[name]):.1e}"
    return [
        Check(found, "products that ask for float32", f"off by {highest:.1e}", f"at most {bound:.1e}", advice),
        Check(
            "ok",
            "products that ask for nothing",
            f"off by {usual:.1e}",
            usually,
            "" if name == "float32" else "scores and float32 encoders ask for float32",
        ),
        _check_short(error_of(short)),
    ]


def _check_short(error: float) -> Check:
    expected = rounding_of_products(BITS["bfloat16"])
    is_right = error < 2 * expected
    advice = "" if is_right else "sums are not kept in float32"
    return Check(
        "ok" if is_right else "FAIL", "products in bfloat16", f"off by {error:.1e}", f"about {expected:.1e}", advice
    )


def name_precision(error: float) -> str:
    """Name the precision whose rounding is nearest to a measured error, by its size.

    Example:
        >>> [name_precision(error) for error in (2e-7, 2.9e-4, 2e-3)]
        ['float32', 'TF32', 'bfloat16']
    """
    distance = {name: abs(math.log(max(error, 1e-12) / rounding_of_products(bits))) for name, bits in BITS.items()}
    return min(distance, key=lambda name: distance[name])
