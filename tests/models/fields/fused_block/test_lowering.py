"""Lowers the fused kernels for a Hopper GPU, which needs none: what Mosaic refuses in Python is refused here."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from models.fields.fused_block.operation import BlockParameters, fused_block, settings_for


def lowered(width, num_fields, settings=None, shares_weights=False):
    """Lower the gradients of a block of many fields for CUDA, and return the program's text."""
    hidden = 2 * width
    fields = () if shares_weights else (num_fields,)
    shapes = ((width,), (width,), (width, hidden), (hidden,), (hidden, width), (width,))
    parameters = BlockParameters(*(jax.ShapeDtypeStruct((*fields, *shape), jnp.float32) for shape in shapes))
    rows = jax.ShapeDtypeStruct((num_fields, 300, width), jnp.bfloat16)

    def total(rows, parameters):
        result = fused_block(rows, parameters, settings or settings_for(width))
        return jnp.sum(jnp.sin(result.astype(jnp.float32)))

    mapped = jax.vmap(jax.grad(total, (0, 1)), (0, None if shares_weights else 0))
    return jax.jit(mapped).trace(rows, parameters).lower(lowering_platforms=("cuda",)).as_text()


@pytest.mark.parametrize(
    ("width", "num_fields"),
    [(64, 1), (128, 2), pytest.param(64, 2, marks=pytest.mark.slow), pytest.param(128, 1, marks=pytest.mark.slow)],
)
def test_kernels_lower_for_one_field_and_for_many(width, num_fields):
    assert lowered(width, num_fields).count("@mosaic_gpu_v2(") == 3


def test_kernels_lower_for_fields_that_share_weights():
    assert lowered(128, 3, shares_weights=True).count("@mosaic_gpu_v2(") == 3


@pytest.mark.parametrize("hidden_chunk", [64, 128])
def test_kernels_lower_with_both_chunks(hidden_chunk):
    chosen = settings_for(128)
    settings = dataclasses.replace(
        chosen,
        forward=dataclasses.replace(chosen.forward, hidden_chunk=hidden_chunk),
        input_gradient=dataclasses.replace(chosen.input_gradient, hidden_chunk=hidden_chunk),
    )
    assert lowered(128, 2, settings).count("@mosaic_gpu_v2(") == 3


@pytest.mark.slow
def test_a_program_is_the_same_whatever_was_lowered_before():
    """Otherwise JAX's compilation cache does not find it again; JAX 0.11 numbers kernels that have no name."""
    first = lowered(64, 2)
    assert lowered(128, 2) != first
    jax.clear_caches()
    assert lowered(64, 2) == first
