"""Counts the arithmetic of a program from its shapes.

XLA's own count takes the body of a loop once, so that a step which renders in seven blocks is counted as one. Here a
loop counts as often as it runs, and each product is told with the types that it is computed in and the scope
(`jax.named_scope`) that it belongs to.

Counted are matrix products and convolutions: two operations for each multiplication with an addition. All else
(activations, normalisation, sums) is left out; in these programs it is bound by memory, not by arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
from jax.extend import core

OTHER = "other"
"""The scope of products that stand in none of the named ones."""


class Product(NamedTuple):
    """The matrix products or convolutions of one place in a program.

    Attributes:
        scope: Name of the innermost scope asked for that it stands in, or `OTHER`.
        types: Types of both operands and of the result, such as `bfloat16 x bfloat16 -> float32`.
        flops: Operations in all runs of the loops around it.
        is_exact: False where it stands in a loop whose number of runs is known only when it runs: counted once.
    """

    scope: str
    types: str
    flops: float
    is_exact: bool = True


def count_products(
    function: Callable[..., Any], *args: Any, scopes: Iterable[str] = (), rare_share: float = 1.0
) -> list[Product]:
    """Count the products of a function without running or compiling it.

    Args:
        function: What is traced.
        args: Arrays, or `jax.ShapeDtypeStruct` in their place.
        scopes: Names of scopes to tell apart.
        rare_share: How often the branch of a `lax.cond` with the most operations is taken, from 0 to 1; otherwise it
            is the one with the fewest.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jax.ShapeDtypeStruct((4, 8), jnp.float32)
        >>> count_products(lambda x: jax.lax.scan(lambda c, _: (c @ x.T @ x, None), x, length=3)[0], x)
        [Product(scope='other', types='float32 x float32 -> float32', flops=1536.0, is_exact=True)]
    """
    traced = jax.make_jaxpr(function)(*args)
    return _merged(_products(traced.jaxpr, 1.0, True, "", tuple(scopes), rare_share))


def total_flops(products: Iterable[Product]) -> float:
    """Sum operations over products.

    Example:
        >>> total_flops([Product("a", "f", 2.0), Product("b", "f", 3.0)])
        5.0
    """
    return sum((product.flops for product in products), 0.0)


def flops_by_scope(products: Iterable[Product]) -> dict[str, float]:
    """Sum operations by scope, the largest first.

    Example:
        >>> flops_by_scope([Product("a", "f", 2.0), Product("b", "f", 3.0)])
        {'b': 3.0, 'a': 2.0}
    """
    sums: dict[str, float] = {}
    for product in products:
        sums[product.scope] = sums.get(product.scope, 0.0) + product.flops
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def _merged(products: Iterable[Product]) -> list[Product]:
    """Products of one scope and one kind of types as one, the largest first."""
    sums: dict[tuple[str, str, bool], float] = {}
    for product in products:
        key = (product.scope, product.types, product.is_exact)
        sums[key] = sums.get(key, 0.0) + product.flops
    merged = [Product(scope, types, flops, is_exact) for (scope, types, is_exact), flops in sums.items()]
    return sorted(merged, key=lambda product: -product.flops)


def _products(
    jaxpr: Any, times: float, is_exact: bool, stack: str, scopes: tuple[str, ...], rare_share: float
) -> Iterator[Product]:
    """Products of a traced program that runs a number of times, with those of the programs inside it."""
    for equation in jaxpr.eqns:
        place = f"{stack}/{equation.source_info.name_stack}"
        flops = _flops(equation)
        if flops is not None:
            yield Product(innermost_scope(place, scopes), _types(equation), times * flops, is_exact)
            continue
        runs, is_known = _runs(equation)
        inner = [
            list(_products(program, times * runs, is_exact and is_known, place, scopes, rare_share))
            for program in _inner_programs(equation)
        ]
        if equation.primitive.name == "cond":
            most = [product._replace(flops=product.flops * rare_share) for product in max(inner, key=total_flops)]
            least = [
                product._replace(flops=product.flops * (1 - rare_share)) for product in min(inner, key=total_flops)
            ]
            inner = [most, least if rare_share < 1 else []]
        for found in inner:
            yield from found


def _flops(equation: Any) -> float | None:
    """Operations of one product; None for anything that is none."""
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        left = equation.invars[0].aval.shape
        return 2.0 * math.prod(equation.outvars[0].aval.shape) * math.prod(left[axis] for axis in contracted)
    if equation.primitive.name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        output_features = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
        return 2.0 * math.prod(equation.outvars[0].aval.shape) * math.prod(kernel) / output_features
    return None


def _runs(equation: Any) -> tuple[float, bool]:
    """Return the number of times that the programs inside an equation run, and whether it is known."""
    if equation.primitive.name == "scan":
        return float(equation.params["length"]), True
    return 1.0, equation.primitive.name != "while"


def _inner_programs(equation: Any) -> Iterator[Any]:
    """Yield the programs among an equation's parameters."""
    is_loop = equation.primitive.name == "while"
    for name, value in equation.params.items():
        if is_loop and name == "cond_jaxpr":
            continue
        for part in value if isinstance(value, tuple | list) else (value,):
            if isinstance(part, core.ClosedJaxpr):
                yield part.jaxpr
            elif isinstance(part, core.Jaxpr):
                yield part


def innermost_scope(place: str, scopes: tuple[str, ...]) -> str:
    """Find the innermost of some scopes in a stack of names; `OTHER` if it is in none of them.

    Example:
        >>> innermost_scope("transpose(jvp(rendering))/transpose(jvp(field))/first", ("rendering", "field"))
        'field'
    """
    words = place.replace("(", "/").replace(")", "/").split("/")
    named = [word for word in words if word in scopes]
    return named[-1] if named else OTHER


def _types(equation: Any) -> str:
    """Describe the types of an equation's operands and of its result."""
    left, right = (str(variable.aval.dtype) for variable in equation.invars[:2])
    return f"{left} x {right} -> {equation.outvars[0].aval.dtype}"
