"""Finds where the time of a step goes: traces a compiled program, and sums its operations by named scope.

An operation of the compiled program has the names of the scopes that it stands in (`jax.named_scope`). The trace says
how long each operation took; operations without a scope are summed as "other".
"""

from __future__ import annotations

import glob
import re
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

import jax
from jaxtyping import PyTree

from bench.training import device_mesh
from bench.training.flop_count import OTHER, innermost_scope

_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?([\w.\-]+) = .*?op_name=\"([^\"]*)\"", re.MULTILINE)

NO_GRAPHS: dict[str, str | bool] = {"xla_gpu_enable_command_buffer": ""}
"""Launches every kernel by itself: kernels inside a CUDA graph are not told apart in a trace."""


def milliseconds_by_scope(
    function: Callable[..., PyTree], arguments: tuple[Any, ...], scopes: Iterable[str], num_steps: int
) -> dict[str, float]:
    """Run a function once under the profiler; return milliseconds a step by scope, the largest first.

    Args:
        function: Takes `num_steps` steps.
        arguments: Of the function. They are not donated.
        scopes: Names of scopes to tell apart.
        num_steps: What the times are divided by.
    """
    options = NO_GRAPHS if jax.default_backend() == "gpu" else None
    program = device_mesh.lower(function, arguments).compile(compiler_options=options)
    jax.block_until_ready(program(*arguments))
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            jax.block_until_ready(program(*arguments))
        files = glob.glob(f"{folder}/**/*.xplane.pb", recursive=True)
        names = scope_of_instructions(program.as_text() or "", tuple(scopes))
        nanoseconds = sum_by_scope(jax.profiler.ProfileData.from_file(files[0]), names)
    return {scope: ns / 1e6 / num_steps for scope, ns in sorted(nanoseconds.items(), key=lambda item: -item[1])}


def scope_of_instructions(text: str, scopes: tuple[str, ...]) -> dict[str, str]:
    """Map the instructions of a compiled program to the innermost of some scopes.

    Args:
        text: The program, as `Compiled.as_text` writes it.
        scopes: Names of scopes.

    Example:
        >>> scope_of_instructions('  %dot.1 = f32[2] dot(), metadata={op_name="jit(f)/jvp(field)/dot"}', ("field",))
        {'dot.1': 'field'}
    """
    return {name: innermost_scope(place, scopes) for name, place in _INSTRUCTION.findall(text)}


def sum_by_scope(trace: Any, scope_of: dict[str, str]) -> dict[str, float]:
    """Sum the nanoseconds of a trace's operations by scope; the mean over devices.

    On an accelerator the lines of its own plane count; on a CPU the threads that run operations. An operation that
    holds others (a loop, a call) is left out, as those are in the trace too.
    """
    sums: dict[str, float] = {}
    planes = list(trace.planes)
    device_planes = [plane for plane in planes if plane.name.startswith("/device:")]
    for plane in device_planes or planes:
        for line in plane.lines:
            for event in line.events:
                name = operation_of(event, is_device=bool(device_planes))
                if name not in scope_of or _HOLDS_OTHERS.match(name):
                    continue
                scope = scope_of[name]
                sums[scope] = sums.get(scope, 0.0) + event.duration_ns
    num_devices = max(1, len(device_planes))
    return {scope: ns / num_devices for scope, ns in sums.items()} or {OTHER: 0.0}


_HOLDS_OTHERS = re.compile(r"^(while|conditional|call|tuple|get-tuple-element|parameter)\b")


def operation_of(event: Any, *, is_device: bool) -> str:
    """Return the name of the compiled operation that an event of a trace belongs to.

    On a device the event is a kernel, and its operation one of its statistics. On a CPU the event is the operation;
    reading the statistics of others there ends the process in JAX 0.12.
    """
    if is_device:
        for key, value in event.stats:
            if key == "hlo_op":
                return str(value)
    return str(event.name).lstrip("%")
