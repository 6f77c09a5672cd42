"""Measures the fused residual block on a Hopper GPU: does each kernel compile, is it right, how fast is it.

    python -m models.fields.fused_block.measure

It tries several tunings of each kernel, then compares the whole operation with plain bfloat16 under XLA. All is
printed as it is found, and written as JSON into the folder $OUT, if that is set. `--interpret` tries the script itself
on a CPU, with a few rows.

f: fields, n: rows, w: width, h: hidden units.
"""

from __future__ import annotations

import argparse
import dataclasses
import faulthandler
import functools
import json
import os
import pathlib
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from models.fields.fused_block.forward_kernel import forward
from models.fields.fused_block.input_gradient_kernel import input_gradient
from models.fields.fused_block.kernel_parts import Tuning
from models.fields.fused_block.machine import Hopper, interpreted
from models.fields.fused_block.operation import BlockParameters, Settings, fused_block, plain_block
from models.fields.fused_block.weight_gradient_kernel import weight_gradient

MAX_SECONDS = 400
"""After this the script ends itself, wherever it is: a kernel that never returns cannot be stopped otherwise."""

REPEATS = 20

PRODUCTS = {"forward": 2, "input_gradient": 3, "weight_gradient": 4}
"""Matrix products that each kernel computes for a row, of 2 w h operations each."""


@dataclasses.dataclass(frozen=True)
class Size:
    """Says how much is computed at once."""

    fields: int
    rows: int
    width: int

    @property
    def flops(self) -> float:
        """Operations of one product of all rows with one layer's weights."""
        return 2.0 * self.fields * self.rows * self.width * 2 * self.width

    def __str__(self) -> str:
        return f"{self.fields}x{self.rows}x{self.width}"


class Report:
    """Prints what is found, and keeps it in a file that is whole after every line."""

    def __init__(self) -> None:
        folder = os.environ.get("OUT")
        self._path = pathlib.Path(folder) / "fused_block.json" if folder else None
        self._found: list[dict[str, Any]] = []

    def add(self, **found: Any) -> None:
        """Print one line of results and write them all."""
        rounded = {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in found.items()}
        print("  ".join(f"{key}={value}" for key, value in rounded.items()), flush=True)
        self._found.append(found)
        if self._path:
            self._path.write_text(json.dumps(self._found, indent=1))


def tunings(kernel: str, width: int) -> Iterator[Tuning]:
    """List the tunings that are tried: those that spill few registers."""
    yield Tuning(hidden_chunk=64)
    if kernel != "weight_gradient":
        yield Tuning(hidden_chunk=128)
    if width == 64 and kernel == "forward":
        yield Tuning(hidden_chunk=64, warpgroups=3)
        yield Tuning(hidden_chunk=64, warpgroups=4)
        yield Tuning(hidden_chunk=128, warpgroups=4)
        yield Tuning(hidden_chunk=64, programs_per_multiprocessor=2)
    elif kernel == "forward" or width == 64 and kernel == "input_gradient":
        yield Tuning(hidden_chunk=64, warpgroups=3)
    if width == 128:
        yield Tuning(hidden_chunk=64, semantics="warpgroup")


def kernel_call(kernel: str, tuning: Tuning, machine: Hopper) -> Callable[..., Any]:
    """Return a function of rows, gradient and folded weights that runs one kernel alone."""

    def call(rows: Any, gradient: Any, up: Any, up_bias: Any, down: Any, down_bias: Any) -> Any:
        if kernel == "forward":
            return forward(rows, up, up_bias, down, down_bias, tuning=tuning, machine=machine)
        if kernel == "input_gradient":
            return input_gradient(rows, gradient, up, up_bias, down, tuning=tuning, machine=machine)
        transposed = jnp.swapaxes(up, 1, 2)
        found = weight_gradient(rows, gradient, transposed, up_bias, down, tuning=tuning, machine=machine)
        of_up, of_up_bias, of_down = (jnp.sum(part, axis=1) for part in found)
        return jnp.swapaxes(of_up, 1, 2), of_up_bias, of_down

    return call


def folded_arrays(size: Size) -> tuple[Any, ...]:
    """Draw rows, a gradient and folded weights."""
    keys = jax.random.split(jax.random.key(0), 6)
    hidden = 2 * size.width

    def draw(key: Any, shape: tuple[int, ...], scale: float, dtype: Any) -> Any:
        return (scale * jax.random.normal(key, shape)).astype(dtype)

    rows = (size.fields, size.rows, size.width)
    return (
        draw(keys[0], rows, 1.0, jnp.bfloat16),
        draw(keys[1], rows, 1.0, jnp.bfloat16),
        draw(keys[2], (size.fields, size.width, hidden), 0.5 * size.width**-0.5, jnp.bfloat16),
        draw(keys[3], (size.fields, hidden), 0.2, jnp.float32),
        draw(keys[4], (size.fields, hidden, size.width), hidden**-0.5, jnp.bfloat16),
        draw(keys[5], (size.fields, size.width), 0.2, jnp.float32),
    )


def true_results(arrays: tuple[Any, ...]) -> dict[str, Any]:
    """Compute what all kernels should return, in float64 on the host."""
    rows, gradient, up, up_bias, down, down_bias = (np.asarray(array, np.float64) for array in arrays)
    centered = rows - rows.mean(axis=2, keepdims=True)
    factor = 1 / np.sqrt((centered**2).mean(axis=2, keepdims=True) + 1e-6)
    normal = centered * factor
    half = normal @ up + up_bias[:, None]
    tanh = np.tanh(half)
    active = half * (1 + tanh)
    half_gradient = (gradient @ down.swapaxes(1, 2)) * (1 + tanh) * (1 + half * (1 - tanh))
    inner = half_gradient @ up.swapaxes(1, 2)
    along = (inner * normal).mean(axis=2, keepdims=True)
    of_rows = gradient + factor * (inner - inner.mean(axis=2, keepdims=True) - normal * along)
    of_weights = (
        normal.swapaxes(1, 2) @ half_gradient,
        half_gradient.sum(axis=1),
        active.swapaxes(1, 2) @ gradient,
    )
    return {
        "forward": rows + active @ down + down_bias[:, None],
        "input_gradient": of_rows,
        "weight_gradient": of_weights,
    }


def relative_error(found: Any, expected: Any) -> float:
    """Return the largest error of several arrays, each relative to its norm."""
    errors = [
        np.linalg.norm(np.asarray(value, np.float64) - truth) / np.linalg.norm(truth)
        for value, truth in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    ]
    return float(max(errors))


def seconds(function: Callable[..., Any], arrays: tuple[Any, ...], repeats: int) -> float:
    """Time one call, the mean of several that are queued together; the best of three rounds."""
    jax.block_until_ready(function(*arrays))
    best = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        results = [function(*arrays) for _ in range(repeats)]
        jax.block_until_ready(results[-1])
        best = min(best, (time.perf_counter() - begin) / repeats)
        del results
    return best


def same_bits(left: Any, right: Any) -> bool:
    """Tell whether two results are equal bit for bit."""
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return all(bool(jnp.array_equal(a, b)) for a, b in pairs)


def matmul_rate(side: int) -> float:
    """Measure the rate of a large product of bfloat16 matrices, in TFLOP/s."""
    left = jax.random.normal(jax.random.key(1), (side, side), jnp.bfloat16)
    right = jax.random.normal(jax.random.key(2), (side, side), jnp.bfloat16)
    return 2.0 * side**3 / seconds(jax.jit(jnp.matmul), (left, right), 10) / 1e12


def try_kernels(report: Report, size: Size, peak: float, machine: Hopper, repeats: int) -> dict[str, Tuning]:
    """Compile, check and time each kernel in each tuning; return the fastest tunings that are right."""
    small = folded_arrays(Size(2, min(1024, size.rows), size.width))
    expected = true_results(small)
    arrays = folded_arrays(size)
    best: dict[str, tuple[float, Tuning]] = {}
    for kernel, num_products in PRODUCTS.items():
        for tuning in tunings(kernel, size.width):
            found: dict[str, Any] = {"kernel": kernel, "size": str(size), **dataclasses.asdict(tuning)}
            try:
                begin = time.perf_counter()
                call = jax.jit(kernel_call(kernel, tuning, machine))
                found["error"] = relative_error(call(*small), expected[kernel])
                found["same_bits"] = same_bits(call(*arrays), call(*arrays))
                found["compile_and_check_s"] = time.perf_counter() - begin
                took = seconds(call, arrays, repeats)
                found["us"] = took * 1e6
                found["tflops"] = num_products * size.flops / took / 1e12
                found["share"] = found["tflops"] / peak
                if found["error"] < 0.01 and found["same_bits"] and took < best.get(kernel, (float("inf"),))[0]:
                    best[kernel] = (took, tuning)
            except Exception as error:  # noqa: BLE001
                found["failed"] = f"{type(error).__name__}: {error}"[-2000:]
                traceback.print_exc(limit=-2)
            report.add(**found)
    return {kernel: tuning for kernel, (_, tuning) in best.items()}


def draw_parameters(size: Size, num_blocks: int) -> list[BlockParameters]:
    """Draw the parameters of several blocks for each of several fields."""
    hidden = 2 * size.width
    made = []
    for key in jax.random.split(jax.random.key(7), num_blocks):
        keys = jax.random.split(key, 6)
        shapes = ((size.width,), (size.width,), (size.width, hidden), (hidden,), (hidden, size.width), (size.width,))
        scales = (0.2, 0.2, size.width**-0.5, 0.2, hidden**-0.5, 0.2)
        drawn = [
            scale * jax.random.normal(each, (size.fields, *shape))
            for each, shape, scale in zip(keys, shapes, scales, strict=True)
        ]
        made.append(BlockParameters(1 + drawn[0], *drawn[1:]))
    return made


def compare_operation(report: Report, size: Size, settings: Settings, num_blocks: int, repeats: int) -> None:
    """Time a chain of blocks, forward and with gradients, plain and fused."""
    rows, target, *_ = folded_arrays(size)
    parameters = draw_parameters(size, num_blocks)
    fused = functools.partial(fused_block, settings=settings)

    def chain(block: Callable[..., Any], rows: Any, parameters: list[BlockParameters]) -> Any:
        for each in parameters:
            rows = block(rows, each)
        return rows

    def loss(block: Callable[..., Any], rows: Any, parameters: list[BlockParameters], target: Any) -> Any:
        return jnp.sum(chain(block, rows, parameters) * target, dtype=jnp.float32)

    for label, block in (("plain", plain_block), ("fused", fused)):
        for direction, function in (
            ("forward", lambda r, p, t, block=block: jax.vmap(functools.partial(chain, block))(r, p)),
            ("both", lambda r, p, t, block=block: jax.vmap(jax.grad(functools.partial(loss, block), (0, 1)))(r, p, t)),
        ):
            found: dict[str, Any] = {"operation": label, "blocks": num_blocks, "direction": direction}
            found["size"] = str(size)
            try:
                begin = time.perf_counter()
                call = jax.jit(function).lower(rows, parameters, target).compile()
                found["compile_s"] = time.perf_counter() - begin
                took = seconds(call, (rows, parameters, target), repeats)
                needed = num_blocks * (2 if direction == "forward" else 6) * size.flops
                memory = call.memory_analysis()
                found |= {"us": took * 1e6, "needed_tflops": needed / took / 1e12}
                found["temporary_mib"] = memory.temp_size_in_bytes / 2**20 if memory else None
            except Exception as error:  # noqa: BLE001
                found["failed"] = f"{type(error).__name__}: {error}"[-2000:]
                traceback.print_exc(limit=-2)
            report.add(**found)


def check_operation(report: Report, size: Size, settings: Settings) -> None:
    """Compare errors of the fused and of the plain operation, both in bfloat16, against plain float32."""
    rows, target, *_ = folded_arrays(size)
    [parameters] = draw_parameters(size, 1)

    def loss(block: Callable[..., Any], rows: Any, parameters: BlockParameters) -> Any:
        return jnp.sum(block(rows, parameters).astype(jnp.float32) * target.astype(jnp.float32)[0])

    def gradients(block: Callable[..., Any], rows: Any) -> Any:
        with jax.default_matmul_precision("highest"):
            return jax.jit(jax.vmap(jax.grad(functools.partial(loss, block), (0, 1))))(rows, parameters)

    truth = gradients(plain_block, rows.astype(jnp.float32))
    for label, block in (("plain", plain_block), ("fused", functools.partial(fused_block, settings=settings))):
        try:
            found = gradients(block, rows)
            errors = [relative_error(*pair) for pair in zip(found[1], truth[1], strict=True)]
            report.add(
                check=label,
                size=str(size),
                rows_error=relative_error(found[0], truth[0]),
                **{f"{name}_error": error for name, error in zip(BlockParameters._fields, errors, strict=True)},
            )
        except Exception as error:  # noqa: BLE001
            report.add(check=label, size=str(size), failed=f"{type(error).__name__}: {error}"[-2000:])


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--interpret", action="store_true", help="try the script on a CPU, with a few rows")
    is_trial = parser.parse_args().interpret
    faulthandler.dump_traceback_later(MAX_SECONDS, exit=True)
    report = Report()
    device = jax.devices()[0]
    report.add(device=device.device_kind, jax=jax.__version__, capability=getattr(device, "compute_capability", None))
    machine = interpreted() if is_trial else Hopper()
    repeats = 1 if is_trial else REPEATS
    peak = matmul_rate(256 if is_trial else 8192)
    report.add(matmul_tflops=peak)
    sizes = (Size(1, 262_144, 128), Size(64, 36_864, 64))
    if is_trial:
        sizes = (Size(1, 256, 128), Size(2, 128, 64))
    for size in sizes:
        best = try_kernels(report, size, peak, machine, repeats)
        report.add(best=str(size), **{kernel: str(tuning) for kernel, tuning in best.items()})
        settings = Settings(machine=machine, **best)
        check_operation(report, Size(2, min(size.rows, 4000), size.width), settings)
        for num_blocks in (1, 4):
            compare_operation(report, size, settings, num_blocks, repeats)
    report.add(matmul_tflops_at_the_end=matmul_rate(256 if is_trial else 8192))


if __name__ == "__main__":
    main()
