"""Keeps an accelerator from waiting for compilers: cheap ones, and on other threads than the one that trains.

Imported by workers before their threads are limited: JAX is imported where it is used.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.training import batch as batch_module
from bench.training import view_rendering

NUM_AHEAD = 3
"""Programs that are compiled while one trains on an accelerator: its host's cores have nothing else to do."""

QUICK_FLAG = "--xla_gpu_enable_triton_gemm=false"
"""Leaves out the search for the best Triton product of each shape. It doubles the time of compiling (42 s against 22 s
for 64 Dream Fields in float32 on an H100), and what it finds saves 6% of a step in float32 and 22% in bfloat16: worth
it for a suite, not for an object or two."""


class BackgroundCompiler:
    """Threads that compile. What goes wrong there goes wrong again, and is told, when the pack is trained."""

    def __init__(self) -> None:
        self.threads = ThreadPoolExecutor(NUM_AHEAD, thread_name_prefix="compile")

    def __enter__(self) -> BackgroundCompiler:
        return self

    def __exit__(self, *raised: object) -> None:
        self.threads.shutdown(wait=False, cancel_futures=True)

    def begin(self, packs: Sequence[Any]) -> None:
        """Compiles the programs of some packs, one after the other where threads are busy."""
        for pack in packs:
            self.threads.submit(compile_ahead, pack)

    def begin_scores(self, pack: Any, protocols: tuple[str, ...]) -> None:
        """Compiles what scores the trials of a pack."""
        self.threads.submit(score_ahead, pack, protocols)


def compile_ahead(pack: Any) -> None:
    """Compiles the programs of a pack's first stage; its arrays are made for their shapes and let go."""
    from bench.training import devices, trainer

    static, batch, _ = batch_module.load(pack)
    carry, batch = devices.shapes((devices.shard_trials(trainer.initial(static, batch)), batch))
    trainer.CompiledPrograms.of(pack, static, 0, carry, batch)


def score_ahead(pack: Any, protocols: tuple[str, ...]) -> None:
    """Scores black views of a pack's first trial, for what is compiled and loaded on the way."""
    import jax.numpy as jnp

    from bench.training import trainer
    from models.method import Views
    from tasks.task import SceneData

    task = pack.trials[0].task
    scene, layout = task.load(), task.layout()
    black = jnp.zeros((len(scene.test.ids), layout.height, layout.width, 3), jnp.float16)
    near = None
    if isinstance(scene, SceneData):
        num = min(batch_module.NUM_NEAR_VIEWS, len(scene.train.poses))
        near = jnp.zeros((num, batch_module.NEAR_PX, batch_module.NEAR_PX), jnp.float16)
    views = Views(color=black, opacity=black[..., 0], distance=black[..., 0])
    trainer.score(scene, view_rendering.Rendered(views, near), protocols, pack.trials[0].method.encoders)


def prefer_quick_compiles() -> None:
    """Sets `QUICK_FLAG` where there is an accelerator, unless the user has; to be called before JAX uses one."""
    flags = os.environ.get("XLA_FLAGS", "")
    if has_accelerator() and QUICK_FLAG.partition("=")[0] not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {QUICK_FLAG}".strip()


def has_accelerator() -> bool:
    """Whether this process trains on one."""
    from bench.training import devices

    return devices.num_accelerators() > 0
