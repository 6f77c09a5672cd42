"""Compiles programs in background threads before the trainer needs them, so that an accelerator does not wait.

Imported by workers before their threads are limited: JAX is imported where it is used.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bench.training.queue import NUM_AHEAD, QueuedPack

if TYPE_CHECKING:
    import jax

QUICK_FLAG = "--xla_gpu_enable_triton_gemm=false"
"""Leaves out the search for the best Triton product of each shape. It doubles the time of compiling (42 s against 22 s
for 64 Dream Fields in float32 on an H100), and what it finds saves 6% of a step in float32 and 22% in bfloat16: worth
it for a suite, not for an object or two."""


SWITCH_S = 0.0005
"""Seconds for which a thread keeps the interpreter while others wait for it."""

FIRST_BYTES = 1 << 22
"""Size of the array that a device is started with."""

LATER_IMPORTS = (
    "jaxlib.mlir.dialects.llvm",
    "jaxlib.mlir.dialects.nvvm",
    "jax.experimental.mosaic.gpu",
)
"""What is imported while a device starts: what says where kernels lie.

Each takes less than half a second, so that a device that has started does not wait for long.
"""


class BackgroundCompiler:
    """Compiles programs in background threads; a context manager.

    Errors are dropped here: the same error is raised and reported when the pack is trained.

    Args:
        num_threads: Programs that are compiled at once.
    """

    def __init__(self, num_threads: int = NUM_AHEAD) -> None:
        self.threads = ThreadPoolExecutor(num_threads, thread_name_prefix="compile")

    def __enter__(self) -> BackgroundCompiler:
        return self

    def __exit__(self, *raised: object) -> None:
        self.threads.shutdown(wait=False, cancel_futures=True)

    def begin(self, packs: Sequence[QueuedPack]) -> None:
        """Compile the programs of some packs, one after the other where all threads are busy."""
        for pack in packs:
            self.threads.submit(compile_ahead, pack)

    def begin_scores(self, pack: QueuedPack, protocols: tuple[str, ...]) -> None:
        """Compile the programs that score the trials of a pack."""
        self.threads.submit(score_ahead, pack, protocols)


def compile_ahead(pack: QueuedPack) -> None:
    """Compile the programs of a pack's first phase; its arrays are made for their shapes and let go."""
    from bench.training import batch as batches
    from bench.training import devices, packing, programs

    assert isinstance(pack, packing.Pack), "only the trainer's own packs are compiled ahead"
    first = packing.training_phases(pack)[0]
    if pack.first_step >= first.end and not first.trials:  # its checkpoints are of a later phase
        return
    static, batch, _ = batches.load_batch(pack)
    state = programs.init_state(static, batch, len(pack.roots))
    state, batch = devices.abstract_arrays((state, batch))
    programs.CompiledPrograms.compile(pack, first, state, batch)


def score_ahead(pack: QueuedPack, protocols: tuple[str, ...]) -> None:
    """Score black views of a pack's first trial, so that the judges are loaded and their programs compiled."""
    import jax.numpy as jnp

    from bench.metrics.task_kinds import kind_of
    from bench.training import batch as batches
    from bench.training import devices, scoring, view_rendering
    from bench.training.packing import Pack
    from models.method import Views

    assert isinstance(pack, Pack), "only the trainer's own packs are compiled ahead"
    devices.use_compilation_cache()  # before the first program: what is compiled without it is not kept
    first = pack.trials[0]
    scene = first.task.load()
    layout = first.task.layout()
    black = jnp.zeros((len(scene.test.ids), layout.height, layout.width, 3), jnp.float16)
    near = None
    photographs = kind_of(scene).photographs(scene)
    if photographs is not None:
        num = min(batches.NUM_NEAR_VIEWS, len(photographs.poses))
        near = jnp.zeros((num, batches.NEAR_PX, batches.NEAR_PX), jnp.float16)
    views = Views(color=black, opacity=black[..., 0], distance=black[..., 0])
    arrays = view_rendering.to_stored_views(scene, view_rendering.Rendered(views, near))
    scoring.score_views(scene, arrays, protocols, first.method.encoders)


def prefer_quick_compiles() -> None:
    """Set `QUICK_FLAG` where there is an accelerator, unless the user has; to be called before JAX uses one."""
    flags = os.environ.get("XLA_FLAGS", "")
    if has_accelerator() and QUICK_FLAG.partition("=")[0] not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {QUICK_FLAG}".strip()


def start_device() -> threading.Thread:
    """Begin to start the device, which takes seconds on a GPU; meanwhile the rest is imported.

    When the thread that is returned has ended, programs can be loaded. Another one then sends an array: the first that
    a GPU gets waits for a second, in which programs are loaded.
    """
    import jax

    def start() -> None:
        with contextlib.suppress(Exception):  # whoever needs the device asks again, and says what is wrong
            device = jax.local_devices()[0]
            threading.Thread(target=send_first_array, args=(device,), daemon=True, name="send an array").start()

    starting = threading.Thread(target=start, daemon=True, name="start the device")
    starting.start()
    return starting


def send_first_array(device: jax.Device) -> None:
    """Send an array to a device, and wait until it is there."""
    import jax
    import numpy as np

    with contextlib.suppress(Exception):
        jax.block_until_ready(jax.device_put(np.zeros(FIRST_BYTES, np.uint8), device))


def import_while_starting(starting: threading.Thread) -> None:
    """Import what is needed later, for as long as an accelerator is being started: this thread would only wait.

    Args:
        starting: As `start_device` returned it.
    """
    for name in LATER_IMPORTS:
        if not starting.is_alive() or not has_accelerator():
            return
        with contextlib.suppress(Exception):  # the code that needs it says what is wrong
            importlib.import_module(name)


@contextlib.contextmanager
def switch_threads_often() -> Iterator[None]:
    """Let threads wait for the interpreter for `SWITCH_S` instead of Python's 5 ms, where there is an accelerator.

    A thread that talks to a device wants the interpreter back after each call. Beside three threads that compute, ten
    numbers were fetched in 44 ms, and so in 8 ms (two idle cores). Where programs run on the cores themselves, a thread
    that is to go on has no core yet: there the interval stays.
    """
    before = sys.getswitchinterval()
    if has_accelerator():
        sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def has_accelerator() -> bool:
    """Tell whether this process trains on an accelerator."""
    from bench.training import accelerators

    return accelerators.num_accelerators() > 0
