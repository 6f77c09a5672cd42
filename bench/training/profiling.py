"""Measures what training costs here: compiling, steps, memory and arithmetic of a method at one size.

What is trained is made up: photographs of noise, a caption, and random weights where an encoder's are not on this
machine. None of that changes what a step costs, so that every method can be profiled anywhere.
"""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache
from jaxtyping import PyTree

from bench.errors import UsageError
from bench.metrics.task_kinds import all_kinds, kind_of_method
from bench.suites.trial import Trial
from bench.training import device_mesh, devices, flop_count, packing, programs, step_trace
from bench.training.batch import load_batch
from bench.training.device_peaks import DevicePeaks
from bench.training.packing import Pack, training_phases
from models import clip
from models.fields.fused_block.choice import only_plain
from models.method import Frozen, Method
from tasks.budgets import Budget

SCOPES = ("field", "encoder", "augmentation", "rendering", "proposal", "optimizer")
"""Parts of a step that are told apart, as `jax.named_scope` names them in the methods."""

MIN_CHUNKS = 3
"""Chunks of steps that are timed, if they do not take too long; the median counts."""

MIN_TIMED_S = 0.5
"""Short chunks are timed again until they have taken so many seconds together."""

MAX_TIMED_S = 10.0
"""No further chunk is timed after so many seconds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Profile:
    """The cost of one program on the device at hand.

    Attributes:
        variant: Name of the method.
        method_digest: Of all that is static in the method, as `packing.method_digest` makes it.
        budget: Name of the budget.
        device: Kind of the device.
        pack_size: Trials that are trained at once.
        num_devices: Devices that train them.
        shared: What the devices share: "trials" if each trains some of them, "rays" if each trains some rays of all.
        steps_timed: Steps in each timed chunk.
        trace_s: Seconds of tracing and lowering, in Python.
        compile_cold_s: Seconds of compiling with an empty cache, without tracing.
        compile_warm_s: Seconds of reading the program from the cache, without tracing.
        step_ms: Median milliseconds of a step of the whole pack.
        spread_ms: Difference between the slowest and the fastest timed chunk, per step.
        rays_per_step: Rays that one trial renders in a step on average; None if the method does not say.
        points_per_step: Points at which one trial evaluates its field in a step on average.
        flops_per_step: Operations in products of a step of the whole pack, forward and backward, counted from shapes.
        flops_by_scope: The same by part of the step.
        product_types: Types of the field's products, with the operations of a step in each.
        planned_bytes: Memory that the compiler plans for the program; None if it does not say.
        peak_bytes: Most memory that this process has used so far; None if the device does not say.
        peaks: What the device reached in the same call.
        scope_ms: Milliseconds of a step by part, from a trace; None if none was taken.
        random_encoders: Encoders whose weights are not here, and were drawn at random.
    """

    variant: str
    method_digest: str
    budget: str
    device: str
    pack_size: int
    num_devices: int
    shared: Literal["trials", "rays"]
    steps_timed: int
    trace_s: float
    compile_cold_s: float
    compile_warm_s: float
    step_ms: float
    spread_ms: float
    rays_per_step: float | None
    points_per_step: float | None
    flops_per_step: float
    flops_by_scope: dict[str, float]
    product_types: dict[str, float]
    planned_bytes: int | None
    peak_bytes: int | None
    peaks: DevicePeaks
    scope_ms: dict[str, float] | None
    random_encoders: tuple[str, ...]

    @property
    def field_step_ms(self) -> float:
        """Milliseconds of a step of one trial, as its share of the pack's."""
        return self.step_ms / self.pack_size

    @property
    def flops_per_s(self) -> float:
        """Operations a second that the step reaches."""
        return self.flops_per_step / self.step_ms * 1e3

    @property
    def share_of_peak(self) -> float:
        """Share of the fastest product that a device reached in the same call, times the devices."""
        return self.flops_per_s / (self.peaks.fastest_product * self.num_devices)

    def to_json(self) -> dict[str, Any]:
        """Return the profile as plain values, with what follows from them."""
        derived = {name: getattr(self, name) for name in ("field_step_ms", "flops_per_s", "share_of_peak")}
        return dataclasses.asdict(self) | derived | {"peaks": self.peaks._asdict()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProfileOptions:
    """Sizes of a profile.

    Attributes:
        pack_size: Trials that are trained at once.
        num_devices: Local devices that may train them; None for all.
        steps: Steps of a timed chunk.
        traces: Whether to find where the time goes; this compiles once more.
    """

    pack_size: int = 1
    num_devices: int | None = None
    steps: int = 20
    traces: bool = False


def count_plain_products(
    chunk: Callable[..., PyTree], shapes: tuple[PyTree, ...], rare_share: float
) -> list[flop_count.Product]:
    """Count the products of a chunk of steps without fused kernels, inside which nothing can be counted."""
    with only_plain():
        products = flop_count.count_products(chunk, *shapes, scopes=SCOPES, rare_share=rare_share)
    # What was traced without fused kernels must not be compiled.
    jax.clear_caches()
    return products


def profile(variant: str, method: Method, budget: Budget, peaks: DevicePeaks, options: ProfileOptions) -> Profile:
    """Compile and time the first phase of a method.

    Args:
        variant: Name of the method in the result.
        method: Its open sizes are filled from the budget.
        budget: Of the sizes.
        peaks: Of this device.
        options: Sizes of the profile.
    """
    with device_mesh.only_first_devices(options.num_devices):
        return _profile_here(variant, method, budget, peaks, options)


def _profile_here(variant: str, method: Method, budget: Budget, peaks: DevicePeaks, options: ProfileOptions) -> Profile:
    """Profile on the devices that may be used."""
    pack = make_pack(variant, method, budget, options.pack_size)
    phase = training_phases(pack)[0]
    frozen, random_encoders = load_or_make_up_encoders(phase.method)
    static, batch, _ = load_batch(pack, frozen)
    state = programs.init_state(static, batch, len(pack.roots))
    start = jnp.zeros((), jnp.int32)
    end = options.steps * 1_000_000

    def chunk(state: PyTree, batch: PyTree, start: jax.Array) -> PyTree:
        return programs.train_chunk(static, 0, end, options.steps, state, batch, start)

    arguments = (state, batch, start)
    shapes = devices.abstract_arrays(arguments)
    products = count_plain_products(chunk, shapes, 1 / static.rare_every)
    # Rows that only give all devices equally many are no work that anybody needs.
    counted_steps = options.steps * state.alive.shape[0] / options.pack_size
    program, trace_s, cold_s, warm_s = time_compiles(chunk, shapes)
    state, seconds = time_chunks(program, state, batch, start)
    scope_ms = None
    if options.traces:
        scope_ms = step_trace.milliseconds_by_scope(chunk, (state, batch, start), SCOPES, options.steps)
    work = static.work_per_step()
    rays, points = (None, None) if work is None else (float(work.rays), float(work.points))
    mesh = device_mesh.mesh_of(state)
    return Profile(
        variant=variant,
        method_digest=packing.method_digest(pack.trials[0]),
        budget=budget.name,
        device=jax.local_devices()[0].device_kind,
        pack_size=options.pack_size,
        num_devices=1 if mesh is None else mesh.size,
        shared="rays" if device_mesh.num_ray_parts(state) > 1 else "trials",
        steps_timed=options.steps,
        trace_s=trace_s,
        compile_cold_s=cold_s,
        compile_warm_s=warm_s,
        step_ms=statistics.median(seconds) / options.steps * 1e3,
        spread_ms=(max(seconds) - min(seconds)) / options.steps * 1e3,
        rays_per_step=rays,
        points_per_step=points,
        flops_per_step=flop_count.total_flops(products) / counted_steps,
        flops_by_scope=mean_flops(products, counted_steps),
        product_types=types_in_field(products, counted_steps),
        planned_bytes=devices.memory_bytes(program),
        peak_bytes=peak_bytes(),
        peaks=peaks,
        scope_ms=scope_ms,
        random_encoders=random_encoders,
    )


def time_compiles(chunk: Callable[..., PyTree], shapes: tuple[PyTree, ...]) -> tuple[Any, float, float, float]:
    """Compile a chunk of steps; return it, and seconds of tracing, of compiling and of reading it from the cache."""
    with own_cache():
        lowered, trace_s = time_call(lambda: device_mesh.lower(chunk, shapes, (0,)))
        program, cold_s = time_call(lowered.compile)
        jax.clear_caches()
        again = device_mesh.lower(chunk, shapes, (0,))
        _, warm_s = time_call(again.compile)
    return program, trace_s, cold_s, warm_s


def mean_flops(products: list[flop_count.Product], num_steps: float) -> dict[str, float]:
    """Average the operations of each named scope over steps."""
    return {scope: flops / num_steps for scope, flops in flop_count.flops_by_scope(products).items()}


def types_in_field(products: list[flop_count.Product], num_steps: float) -> dict[str, float]:
    """Sum the operations of a step in the field by the types of the product."""
    sums: dict[str, float] = {}
    for product in products:
        if product.scope == "field":
            sums[product.types] = sums.get(product.types, 0.0) + product.flops / num_steps
    return sums


def time_chunks(program: Any, state: PyTree, batch: PyTree, start: jax.Array) -> tuple[PyTree, list[float]]:
    """Time chunks of steps, after one to warm up; return the state and the seconds of each."""
    state, _ = jax.block_until_ready(program(state, batch, start))
    seconds: list[float] = []
    while sum(seconds) <= MAX_TIMED_S and (len(seconds) < MIN_CHUNKS or sum(seconds) < MIN_TIMED_S):
        begin = time.perf_counter()
        state, _ = jax.block_until_ready(program(state, batch, start))
        seconds.append(time.perf_counter() - begin)
    return state, seconds


def peak_bytes() -> int | None:
    """Return the most memory that this process has used on its first device."""
    stats = jax.local_devices()[0].memory_stats()
    return None if not stats else stats.get("peak_bytes_in_use")


def time_call(function: Callable[[], Any]) -> tuple[Any, float]:
    """Call a function; return its result and the seconds that it took."""
    begin = time.perf_counter()
    result = function()
    return result, time.perf_counter() - begin


@contextlib.contextmanager
def own_cache() -> Iterator[None]:
    """Keep compiled programs in an empty folder for a while, so that the first compile is a cold one."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    with tempfile.TemporaryDirectory() as folder:
        try:
            jax.config.update("jax_compilation_cache_dir", folder)
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
            compilation_cache.reset_cache()
            yield
        finally:
            for name, value in before.items():
                jax.config.update(name, value)
            compilation_cache.reset_cache()


def make_pack(variant: str, method: Method, budget: Budget, pack_size: int) -> Pack:
    """Make a pack of trials of a method, each with a seed of its own, on a task that is made up."""
    kind = kind_of_method(method) or all_kinds()[0]
    task = kind.made_up_task(budget.image_px)
    trials = [Trial(task=task, method=method, budget=budget, seed=seed, variant=variant) for seed in range(pack_size)]
    return Pack(trials=tuple(trials), key=f"profile-{variant}")


def load_or_make_up_encoders(method: Method) -> tuple[Frozen, tuple[str, ...]]:
    """Load the encoders of a method, and make up weights of those whose files are not here.

    Returns:
        The encoders, and the names of those with random weights.
    """
    frozen: Frozen = {}
    made_up: list[str] = []
    dtype = jnp.dtype(method.encoder_dtype)
    for name in method.encoders:
        try:
            frozen[name] = clip.load(name, dtype=dtype)
        except UsageError:
            frozen[name] = random_encoder(name, dtype)
            made_up.append(name)
    return frozen, tuple(made_up)


def random_encoder(name: str, dtype: Any) -> Any:
    """Make an encoder of the right shapes with small random weights."""
    encoder = clip.abstract(name, dtype=dtype)
    generator = np.random.default_rng(0)

    def draw(x: Any) -> jax.Array:
        return jnp.asarray(generator.normal(0, 0.02, x.shape), x.dtype)

    return dataclasses.replace(encoder, params=jax.tree.map(draw, encoder.params))
