"""Derives how far rounding may move the result of a computation: Monte Carlo arithmetic on its operations.

The function is traced by JAX, and its operations are run one by one. After each the result is moved at random by as
much as rounding may move it on another device or with another order of sums. What comes out differs from the
undisturbed result by about what another install may differ. The same with the factors of all products rounded to fewer
bits shows what TF32 or bfloat16 would do.

It runs when golden values are made (`python -m bench.doctor.golden_values`), not when they are checked.

References:
    Parker, Monte Carlo arithmetic: exploiting randomness in floating-point arithmetic, 1997.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from jax.extend import core
from jaxtyping import Float, PyTree, Shaped

NUM_DRAWS = 8

FUNCTION_ULPS = 4.0
"""Half units in the last place by which compilers' functions and quotients may be off; sums and products: one."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


EXACT = _words("""
    reshape transpose slice dynamic_slice dynamic_update_slice concatenate broadcast_in_dim gather select_n max min abs
    neg convert_element_type floor ceil round iota copy copy_p stop_gradient pad squeeze rev reduce_max reduce_min
    reduce_window_max reduce_window_min argmax argmin sort clamp sign is_finite expand_dims split real imag complex
    bitcast_convert_type optimization_barrier cummax cummin nextafter scatter random_bits random_wrap random_unwrap
    random_split random_seed random_fold_in threefry2x32 conj device_put reduce_precision select_and_gather_add
""")
"""Operations that round nothing."""

SUMS = _words("reduce_sum cumsum reduce_window_sum fft scatter-add scatter_add add_any reduce_window")

PRODUCTS = _words("dot_general conv_general_dilated")

FUNCTIONS = _words("""
    exp exp2 log log1p expm1 sin cos tan tanh asin acos atan atan2 logistic erf erf_inv pow rsqrt sqrt cbrt div
    integer_pow square
""")
"""Operations that compilers compute by formulas of their own."""


class Arithmetic(NamedTuple):
    """Says how each operation is rounded.

    Attributes:
        noise: Source of random moves; None moves nothing.
        factor_bits: Bits, with the first, to which the factors of products are rounded; None for float32's.
    """

    noise: np.random.RandomState | None = None
    factor_bits: int | None = None


def random_moves(function: Callable[..., PyTree], arguments: Sequence[Any]) -> float:
    """Compute by how much rounding may move any number of a function's result: the largest move of `NUM_DRAWS`."""
    exact = evaluate(function, arguments, Arithmetic())
    draws = (evaluate(function, arguments, Arithmetic(noise=np.random.RandomState(seed))) for seed in range(NUM_DRAWS))
    return max(greatest_difference(draw, exact) for draw in draws)


def move_by_short_factors(function: Callable[..., PyTree], arguments: Sequence[Any], factor_bits: int) -> float:
    """Compute by how much a result moves if the factors of all products keep only so many bits."""
    exact = evaluate(function, arguments, Arithmetic())
    return greatest_difference(evaluate(function, arguments, Arithmetic(factor_bits=factor_bits)), exact)


def greatest_difference(a: Shaped[np.ndarray, "..."], b: Shaped[np.ndarray, "..."]) -> float:
    """Return the largest difference of two arrays' numbers; infinite where one is not finite or their shapes differ.

    Example:
        >>> greatest_difference(np.array([1.0, 2.0]), np.array([1.0, 2.5])), greatest_difference(np.ones(2), np.ones(3))
        (0.5, inf)
    """
    if np.shape(a) != np.shape(b):
        return math.inf
    moved = np.abs(np.subtract(a, b, dtype=np.float64))
    return float(moved.max(initial=0.0)) if np.isfinite(moved).all() else math.inf


def evaluate(
    function: Callable[..., PyTree], arguments: Sequence[Any], arithmetic: Arithmetic
) -> Float[np.ndarray, " n"]:
    """Run a function's operations one by one; return all numbers of its result in one row."""
    flat, structure = jax.tree.flatten(tuple(arguments))
    closed = jax.make_jaxpr(lambda *leaves: function(*jax.tree.unflatten(structure, leaves)))(*flat)
    found = list(_run(closed.jaxpr, closed.consts, flat, arithmetic))
    return np.concatenate([np.ravel(np.asarray(x, np.float64)) for x in found])


def _run(jaxpr: Any, constants: Sequence[Any], arguments: Sequence[Any], arithmetic: Arithmetic) -> Iterator[Any]:
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, constants, strict=True))
    values |= zip(jaxpr.invars, arguments, strict=True)

    def read(variable: Any) -> Any:
        return variable.val if isinstance(variable, core.Literal) else values[variable]

    for equation in jaxpr.eqns:
        results = _apply(equation, [read(variable) for variable in equation.invars], arithmetic)
        values |= zip(equation.outvars, results, strict=True)
    return (read(variable) for variable in jaxpr.outvars)


def _apply(equation: Any, operands: list[Any], arithmetic: Arithmetic) -> list[Any]:
    """Run one operation: a call's operations one by one, anything else with its rounding."""
    name = equation.primitive.name
    parameters = equation.params
    if name == "scan":
        return _scan(parameters, operands, arithmetic)
    if name == "cond":
        index = int(np.clip(operands[0], 0, len(parameters["branches"]) - 1))
        return _call(parameters["branches"][index], operands[1:], arithmetic)
    if name == "while":
        return _while(parameters, operands, arithmetic)
    for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        if key in parameters:
            return _call(parameters[key], operands, arithmetic)
    if name in PRODUCTS and arithmetic.factor_bits is not None:
        operands = [_shorten(x, arithmetic.factor_bits) for x in operands]
    found = equation.primitive.bind(*operands, **parameters)
    results = list(found) if equation.primitive.multiple_results else [found]
    if arithmetic.noise is None or name in EXACT:
        return results
    return [_move(name, x, operands, equation, arithmetic.noise) for x in results]


def _call(called: Any, operands: Sequence[Any], arithmetic: Arithmetic) -> list[Any]:
    is_closed = hasattr(called, "consts")
    jaxpr = called.jaxpr if is_closed else called
    return list(_run(jaxpr, called.consts if is_closed else [], operands, arithmetic))


def _scan(parameters: Any, operands: list[Any], arithmetic: Arithmetic) -> list[Any]:
    num_constants = parameters["num_consts"]
    num_carried = parameters["num_carry"]
    constants = operands[:num_constants]
    carried = operands[num_constants : num_constants + num_carried]
    rows = operands[num_constants + num_carried :]
    steps = range(parameters["length"])
    collected: list[list[Any]] = []
    for step in reversed(steps) if parameters["reverse"] else steps:
        found = _call(parameters["jaxpr"], [*constants, *carried, *(x[step] for x in rows)], arithmetic)
        carried = found[:num_carried]
        collected.append(found[num_carried:])
    if parameters["reverse"]:
        collected.reverse()
    return [*carried, *(jnp.stack(column) for column in zip(*collected, strict=True))]


def _while(parameters: Any, operands: list[Any], arithmetic: Arithmetic) -> list[Any]:
    num_of_condition = parameters["cond_nconsts"]
    num_of_body = parameters["body_nconsts"]
    for_condition = operands[:num_of_condition]
    for_body = operands[num_of_condition : num_of_condition + num_of_body]
    carried = operands[num_of_condition + num_of_body :]
    while bool(_call(parameters["cond_jaxpr"], [*for_condition, *carried], arithmetic)[0]):
        carried = _call(parameters["body_jaxpr"], [*for_body, *carried], arithmetic)
    return carried


def _move(name: str, result: Any, operands: list[Any], equation: Any, noise: np.random.RandomState) -> Any:
    """Move a result at random, by as much as rounding may."""
    if not jnp.issubdtype(result.dtype, jnp.inexact):
        return result
    real = jnp.finfo(result.dtype)
    half_unit = float(real.eps) / 2
    size = np.nan_to_num(np.abs(_rounded_size(name, result, operands, equation)), nan=0.0, posinf=0.0)  # masks hold inf
    draws = noise.uniform(-1, 1, np.shape(result))
    moved = jnp.asarray(half_unit * draws * size, real.dtype)
    return (result + moved.astype(result.dtype)).astype(result.dtype)


def _rounded_size(name: str, result: Any, operands: list[Any], equation: Any) -> Any:
    """Return the size, for each number of a result, of what its rounding errors are a share of.

    A sum of n terms is off by about the root of the sum of its squared terms, times the root of log2(n) + 1 for sums
    in pairs; whatever the order of terms, that is what a change of it changes.
    """
    if name in PRODUCTS:
        squares = [jnp.square(x) for x in operands]
        terms = equation.primitive.bind(*squares, **equation.params)
        num = max(2, np.size(operands[1]) // max(1, np.shape(operands[1])[-1]))
        return np.sqrt(np.abs(np.asarray(terms, np.float64)) * (1 + math.log2(num)))
    if name in SUMS and np.size(operands[0]) > np.size(result):
        num = max(2, np.size(operands[0]) // max(1, np.size(result)))
        largest = float(np.abs(np.asarray(operands[0])).max())
        return np.maximum(np.abs(np.asarray(result)), largest) * math.sqrt(1 + math.log2(num))
    if name in SUMS:
        return np.abs(np.asarray(result)).max() * math.sqrt(1 + math.log2(max(2, np.size(result))))
    return np.abs(np.asarray(result, np.complex128)) * (FUNCTION_ULPS if name in FUNCTIONS else 1.0)


def _shorten(x: Any, bits: int) -> Any:
    """Round numbers to so many bits, with the first."""
    values = np.asarray(x)
    if values.dtype == ml_dtypes.bfloat16 or not np.issubdtype(values.dtype, np.floating):
        return x
    mantissa, exponent = np.frexp(values)
    return jnp.asarray(np.ldexp(np.round(mantissa * 2.0**bits) / 2.0**bits, exponent).astype(values.dtype))
