"""Defines the interface of a training method: pure functions of a frozen dataclass.

A user who writes these functions can enter the benchmark. The trainer maps them over a leading trial axis and shards
that axis over devices; a method never sees the axis. Trials of one pack share everything static: the method with its
hyperparameters taken out. Trials may differ in the fields declared with `hyperparameter`, `choice` or `subset`. These
reach the functions in the argument `hyperparameters`: one array for each field, with one value for each trial.

*b: any leading axes, s: samples along a ray.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, NamedTuple, TypeAlias

import jax
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from bench.errors import UsageError, nearest
from tasks.cameras import Rays

Params: TypeAlias = Any
State: TypeAlias = Any
Data: TypeAlias = Any
Frozen = dict[str, Any]
Hyperparameters = dict[str, Float[Array, "..."]]
Metrics = dict[str, Float[Array, ""]]


class Views(NamedTuple):
    """Holds the rendered values of rays.

    Attributes:
        color: In [0, 1], composited on the task's background.
        opacity: In [0, 1]: the share of light that the field stops along the ray.
        distance: Expected `t` at which the ray is stopped; `far` where the field is empty.
    """

    color: Float[Array, "*b 3"]
    opacity: Float[Array, "*b"]
    distance: Float[Array, "*b"]


class StepWork(NamedTuple):
    """Counts what a step of one trial evaluates, on average over steps.

    Attributes:
        rays: Rays that are rendered.
        points: Points at which the field is evaluated; a point on two levels counts twice.
    """

    rays: float
    points: float


def hyperparameter(default: float) -> Any:
    """Declare a number that may differ between the trials of one pack: a weight, a rate, a target.

    It is traced: the method's functions read it from `hyperparameters`, not from `self`.
    """
    return dataclasses.field(default=default, metadata={"hyperparameter": True})


def choice(default: Any, options: tuple[Any, ...]) -> Any:
    """Declare a hyperparameter that is one of a few words, or a switch.

    Arms that differ in it alone share a compiled program. `hyperparameters` holds the index of the value among the
    options, as a float: the program computes all options and selects one.

    Args:
        default: One of the options.
        options: Words, or False and True.
    """
    return dataclasses.field(default=default, metadata={"hyperparameter": True, "options": options})


def subset(default: tuple[str, ...], options: tuple[str, ...]) -> Any:
    """Declare a hyperparameter that is a subset of a few words.

    `hyperparameters` holds a vector over the options: 1 for each word in the subset, 0 for the others.

    Args:
        default: One or more of the options.
        options: Words.
    """
    return dataclasses.field(default=default, metadata={"hyperparameter": True, "options": options, "several": True})


def in_data(default: Any) -> Any:
    """Declare a field that only `prepare` reads, so that trials that differ in it share a compiled program."""
    return dataclasses.field(default=default, metadata={"in_data": True})


def added_later(default: Any) -> Any:
    """Declare a field that was added to a method whose trials are stored: with its default they stay the same trials.

    Args:
        default: Must compute what the method computed before it had the field.
    """
    return dataclasses.field(default=default, metadata={"identity": "unless default"})


def sized_by(name: str, default: Any = None) -> Any:
    """Declare a size that, where it is None, is filled from the budget's field of the given name."""
    return dataclasses.field(default=default, metadata={"budget": name})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method(abc.ABC):
    """Describes how a field is trained and rendered.

    Subclass it as `@dataclasses.dataclass(frozen=True, kw_only=True)` and check the fields in `__post_init__`. A size
    left as None is filled from the budget's field of the same name (`tasks.budgets.sized`).

    Attributes:
        num_steps: Gradient steps. Schedules of rates and targets refer to it.
    """

    num_steps: int | None = None

    @property
    def encoders(self) -> tuple[str, ...]:
        """Names of the encoders in the loss. They are loaded once for a pack, into `frozen`, and never trained."""
        return ()

    @property
    def encoder_dtype(self) -> str:
        """Compute type of the encoders. A method that offers a choice declares a field of this name."""
        return "float32"

    @property
    def skips_bad_steps(self) -> bool:
        """Whether a step whose loss or gradient is not finite is skipped, instead of ending the trial."""
        return False

    @property
    def continues(self) -> Method | None:
        """Method whose finished training this one continues; None if it starts from scratch.

        The other method must have the same `prepare`, `init`, optimiser and `num_steps`. The step count goes on. If a
        plan holds both, their shared part is trained once.
        """
        return None

    @property
    def total_steps(self) -> int:
        """Steps of the whole training, including those of the method that it continues."""
        return self.num_steps or 0

    @property
    def rare_every(self) -> int:
        """Steps from one of the expensive ones to the next; 1 where all steps cost the same. For counts of work."""
        return 1

    def work_per_step(self) -> StepWork | None:
        """Count the rays and points of a step, for profiles; None if a method does not say."""
        return None

    @abc.abstractmethod
    def prepare(self, frozen: Frozen, task: Any) -> Data:
        """Make a trial's arrays: rays, colours, embeddings. Called once, before training, outside of `jit`."""

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray, data: Data) -> tuple[Params, State]:
        """Make the initial parameters, and the state that is updated without gradients (such as a tracked origin)."""

    @abc.abstractmethod
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
        """Compute the loss of one step, the next state, and scalars for the training curves.

        `step` is never mapped over trials, so that `jax.lax.cond` on it runs only one branch, also in a pack.
        """

    @abc.abstractmethod
    def optimizer(self, num_steps: int, hyperparameters: Hyperparameters) -> optax.GradientTransformation:
        """Build the optimiser. This happens inside the compiled step, so that rates may be hyperparameters."""

    @abc.abstractmethod
    def render(self, params: Params, state: State, data: Data, rays: Rays, num_samples: int | None = None) -> Views:
        """Render rays without any randomness. The trainer calls it on chunks of rays."""

    @abc.abstractmethod
    def field_at(
        self, params: Params, state: State, data: Data, points: Float[Array, "*b 3"]
    ) -> tuple[Float[Array, "*b"], Float[Array, "*b 3"]]:
        """Return density (an inverse length) and colour at points, for meshes and to find empty and solid volumes."""


def split_hyperparameters(method: Method) -> tuple[Method, dict[str, Any]]:
    """Take the hyperparameters out of a method.

    Returns:
        The method with every hyperparameter at its default, which is equal for all trials that may share a pack; and
        the values of the hyperparameters: one float each, or for a `subset` one float for each option.
    """
    fields = [f for f in dataclasses.fields(method) if f.metadata.get("hyperparameter")]
    values = {f.name: _as_floats(method, f) for f in fields}
    defaults = {f.name: f.default for f in dataclasses.fields(method) if f.name in values or f.metadata.get("in_data")}
    if not defaults:
        return method, values
    return dataclasses.replace(method, **defaults), values  # type: ignore[arg-type]


def check_options(method: Method) -> None:
    """Refuses a `choice` or `subset` whose value is not among its options. Call it in `__post_init__`.

    Raises:
        UsageError: With the nearest option.
    """
    where = type(method).__name__
    for field in dataclasses.fields(method):
        options = field.metadata.get("options")
        if not options:
            continue
        value = getattr(method, field.name)
        several = field.metadata.get("several")
        for word in value if several else (value,):
            if word not in options:
                known = [str(option) for option in options]
                raise UsageError(
                    f"{where}: expected {field.name} among its options, got {word!r}; {nearest(str(word), known)}"
                )
        if several and not value:
            raise UsageError(f"{where}: expected one or more of {', '.join(options)} in {field.name}, got none")


def _as_floats(method: Method, field: dataclasses.Field[Any]) -> Any:
    """Encode a hyperparameter's value as one float or, for a `subset`, as several."""
    value = getattr(method, field.name)
    options = field.metadata.get("options")
    if field.metadata.get("several"):
        return tuple(float(option in value) for option in options or ())
    if options:
        return float(options.index(value))
    return float(value)


def num_parameters(params: Params) -> int:
    """Count the trained numbers."""
    return sum(int(leaf.size) for leaf in jax.tree.leaves(params))
