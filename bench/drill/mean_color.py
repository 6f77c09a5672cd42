"""The method that the drill trains: the mean colour of the photographs, which any pack computes to the same bits.

A step is a few multiplications of single numbers, so that neither the size of a pack nor the place in it moves a digit.
What two runs left can be compared byte by byte, however often packs were taken apart.

It is also where two faults come from that cannot be made from outside: a loss that is NaN, and a pack that does not fit
in memory. `prepare` looks into the folder of faults, if the drill names one, and takes at most one fault from it.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from models.method import Data, Frozen, Hyperparameters, Method, Metrics, Params, State, Views, hyperparameter
from tasks.cameras import Rays
from tasks.sparse_views.embedded import SparseViews

FOLDER_VARIABLE = "BENCH_DRILL_FAULTS"
"""Variable with the folder of faults; workers get it, also on other hosts. Without it there are none."""

NAN = "nan"
"""File in that folder: one trial's loss is NaN at a step."""

MEMORY = "memory"
"""File in that folder: one pack asks for more memory than there is."""

IMPOSSIBLE_SIZE = 2**46
"""Numbers of four bytes that no device has room for."""

NEVER = -1


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeanColor(Method):
    """Learns one colour, and renders it everywhere.

    Attributes:
        learning_rate: Share of the way to the mean that a step takes.
        encoder: Loaded, and used for nothing: so its weights can be damaged. None for none.
    """

    learning_rate: float = hyperparameter(1e-4)
    encoder: str | None = None

    @property
    def encoders(self) -> tuple[str, ...]:
        """Name the encoder, if there is one."""
        return () if self.encoder is None else (self.encoder,)

    def prepare(self, frozen: Frozen, task: SparseViews) -> Data:
        """Take the mean of the photographs, and the step at which the loss is to be NaN."""
        colors = np.asarray(task.load().train.colors, np.float64)
        bad_step = NEVER
        if take_fault(NAN):
            bad_step = (self.num_steps or 0) // 2
        if take_fault(MEMORY):
            jnp.zeros(IMPOSSIBLE_SIZE, jnp.float32).block_until_ready()  # raises what a device raises that is full
        return {"mean": jnp.asarray(colors.mean((0, 1, 2)), jnp.float32), "bad_step": jnp.asarray(bad_step, jnp.int32)}

    def init(self, key: PRNGKeyArray, data: Data) -> tuple[Params, State]:
        """Begin with a random colour."""
        return {"color": jax.random.uniform(key, (3,))}, {}

    def loss(
        self,
        params: Params,
        state: State,
        frozen: Frozen,
        data: Data,
        hyperparameters: Hyperparameters,
        key: PRNGKeyArray,
        step: Int[Array, ""],
    ) -> tuple[Float[Array, ""], tuple[State, Metrics]]:
        """Compute the squared distance to the mean."""
        red, green, blue = (params["color"][i] - data["mean"][i] for i in range(3))
        loss = red * red + green * green + blue * blue
        return jnp.where(step == data["bad_step"], jnp.nan, loss), (state, {})

    def optimizer(self, num_steps: int, hyperparameters: Hyperparameters) -> optax.GradientTransformation:
        """Go down the gradient."""
        return optax.sgd(hyperparameters["learning_rate"])

    def render(self, params: Params, state: State, data: Data, rays: Rays, num_samples: int | None = None) -> Views:
        """Render the colour everywhere."""
        color = jnp.clip(jnp.broadcast_to(params["color"], rays.directions.shape), 0, 1)
        return Views(color=color, opacity=jnp.ones_like(rays.near), distance=rays.near)

    def field_at(
        self, params: Params, state: State, data: Data, points: Float[Array, "*b 3"]
    ) -> tuple[Float[Array, "*b"], Float[Array, "*b 3"]]:
        """Return the colour at every point, in fog."""
        return jnp.ones(points.shape[:-1]), jnp.broadcast_to(params["color"], points.shape)


def take_fault(name: str) -> bool:
    """Take a fault out of the folder of faults; tell whether it was there. Only one process gets it."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return False
    try:
        pathlib.Path(folder, name).unlink()
    except OSError:
        return False
    return True
