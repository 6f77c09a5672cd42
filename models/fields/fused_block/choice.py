"""Decides whether a residual block is computed by Flax's layers or in the fused kernels.

The fused kernels need a Hopper GPU, bfloat16, and sizes that fit on the chip. Before they are used in a process, they
are compiled for a few rows and compared with the layers; if that fails, the layers compute all blocks, and one line on
standard error says why.

*b: any leading axes of rows, w: width, h: hidden units.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bench.errors import UsageError
from models.fields import kernel_probe

if TYPE_CHECKING:  # Mosaic is imported only where it is used: it takes time, and not every platform has it.
    from models.fields.fused_block.operation import Settings

Kernel = Literal["auto", "plain", "fused"]
"""Flax's layers ("plain"), the fused kernels, or the fused kernels where they can run ("auto")."""

WIDTHS = (64, 128)
"""Widths whose weights fit into a multiprocessor's shared memory, with 2 w hidden units."""

_only_plain = contextvars.ContextVar("only_plain", default=False)


def residual_block(
    rows: Float[Array, "*b w"], norm: nn.LayerNorm, expand: nn.Dense, reduce: nn.Dense, *, kernel: Kernel
) -> Float[Array, "*b w"]:
    """Compute rows + reduce(swish(expand(norm(rows)))), in the way that a kernel's name asks for.

    Its result has no name by which a policy of `jax.checkpoint` could keep it. Kept for all blocks of rays, results
    took 1.7 times the memory and saved layers no time; and XLA runs a fused kernel twice if its result is kept, once
    for the next block and once to write into the array of all that is kept.

    Args:
        rows: Of the type that the layers compute in.
        norm: Bound layer; both ways to compute use its parameters.
        expand: As `norm`.
        reduce: As `norm`.
        kernel: How to compute it.

    Raises:
        UsageError: The kernel is "fused", which cannot run here.
    """
    width = rows.shape[-1]
    settings = None
    if not norm.is_initializing():
        settings = fused_settings(kernel, rows.dtype, width, expand.features)
    if settings is None:
        return rows + reduce(nn.swish(expand(norm(rows))))
    from models.fields.fused_block.operation import BlockParameters, fused_block

    parameters = [layer.variables["params"] for layer in (norm, expand, reduce)]
    values = [parameters[0]["scale"], parameters[0]["bias"]]
    for layer in parameters[1:]:
        values += [layer["kernel"], layer["bias"]]
    return fused_block(rows, BlockParameters(*values), settings)


@contextlib.contextmanager
def only_plain() -> Iterator[None]:
    """Let layers compute what is traced inside, for example to count its products."""
    token = _only_plain.set(True)
    try:
        yield
    finally:
        _only_plain.reset(token)


def is_only_plain() -> bool:
    """Tell whether layers compute what is traced now."""
    return _only_plain.get()


def fused_settings(kernel: Kernel, dtype: jnp.dtype, width: int, hidden: int) -> Settings | None:
    """Return the settings of the fused kernels; None if the layers compute the block.

    Raises:
        UsageError: The kernel is "fused", which cannot run here.
    """
    if kernel == "plain" or is_only_plain():
        return None
    reason = _unfit(jnp.dtype(dtype), width, hidden)
    if reason is None:
        reason = probe_failure(width, hidden)
    if reason is None:
        from models.fields.fused_block.operation import settings_for

        return settings_for(width)
    if kernel == "fused":
        raise UsageError(f'kernel: expected "fused" to be able to run, got {reason}; write kernel="auto"')
    return None


def _unfit(dtype: jnp.dtype, width: int, hidden: int) -> str | None:
    """Say what the fused kernels are not made for; None if they are made for all of this."""
    if dtype != jnp.bfloat16:
        return f"{dtype} instead of bfloat16"
    if width not in WIDTHS or hidden != 2 * width:
        return f"width {width} and {hidden} hidden units instead of 64 and 128, or 128 and 256"
    return unfit_device()


def unfit_device() -> str | None:
    """Say why fused kernels cannot run on this process's devices; None if they can."""
    device = jax.local_devices()[0]
    if getattr(device, "compute_capability", None) != "9.0":
        return f"{device.device_kind} instead of a Hopper GPU"
    return None


@functools.cache
def probe_failure(width: int, hidden: int) -> str | None:
    """Compile the fused kernels and compare them with the layers; say what is wrong with them, once."""

    def measure() -> str | None:
        from models.fields.fused_block.operation import settings_for

        return kernel_probe.compare_with_layers(probe_error(settings_for(width), width, hidden))

    failure = kernel_probe.find_failure(measure)
    if failure is not None:
        print(f"fused residual block of width {width}: {failure}; layers compute it instead", file=sys.stderr)
    return failure


def probe_error(settings: Settings, width: int, hidden: int) -> float:
    """Return the largest difference of gradients between the fused kernels and the layers, relative to its norm."""
    from models.fields.fused_block.operation import BlockParameters, fused_block, plain_block

    generator = np.random.default_rng(0)
    shapes = ((width,), (width,), (width, hidden), (hidden,), (hidden, width), (width,))
    drawn = [generator.normal(size=(2, *shape)).astype(np.float32) / shape[0] ** 0.5 for shape in shapes]
    parameters = BlockParameters(1 + drawn[0], *drawn[1:])
    rows = generator.normal(size=(2, 300, width)).astype(jnp.bfloat16)

    def gradients(is_fused: bool) -> list[np.ndarray]:
        def total(rows: Array, parameters: BlockParameters) -> Array:
            result = fused_block(rows, parameters, settings) if is_fused else plain_block(rows, parameters)
            return jnp.sum(jnp.sin(result.astype(jnp.float32)))

        return kernel_probe.call_compiled(jax.vmap(jax.grad(total, (0, 1))), (rows, parameters))

    return kernel_probe.largest_difference(gradients(True), gradients(False))
