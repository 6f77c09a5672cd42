"""What a method is: pure functions of a frozen dataclass, all that a user writes to enter the benchmark.

The trainer maps these functions over a leading trial axis and shards that axis over devices; a method never sees
it. What trials of one pack share is static: the method with its numbers taken out. What they may differ in are the
fields declared with `number`: they reach the functions as `numbers`, an array a field, one value a trial.

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
Numbers = dict[str, Float[Array, "..."]]
Metrics = dict[str, Float[Array, ""]]


class Views(NamedTuple):
    """What a field looks like from given rays.

    Attributes:
        color: In [0, 1], on the task's background.
        opacity: In [0, 1]: how much of the ray the field stops.
        distance: Expected `t` of what is seen, `far` where nothing is.
    """

    color: Float[Array, "*b 3"]
    opacity: Float[Array, "*b"]
    distance: Float[Array, "*b"]


def number(default: float) -> Any:
    """Declares a field of a method that may differ between the trials of one pack (a weight, a rate, a target).

    In the method's functions read it from `numbers`, not from `self`.
    """
    return dataclasses.field(default=default, metadata={"number": True})


def choice(default: Any, options: tuple[Any, ...]) -> Any:
    """Declares a field that is one of a few words, or a switch, and may differ between the trials of one pack.

    Arms that differ in it alone share a compiled program. `numbers` has the place of the value among its options, as a
    float: all options are computed, and one is taken.

    Args:
        default: One of the options.
        options: Words, or False and True.
    """
    return dataclasses.field(default=default, metadata={"number": True, "options": options})


def subset(default: tuple[str, ...], options: tuple[str, ...]) -> Any:
    """Declares a field that is some of a few words, and may differ between the trials of one pack.

    `numbers` has a vector over the options: 1 where the word is among the field's, 0 elsewhere.

    Args:
        default: Some of the options.
        options: Words.
    """
    return dataclasses.field(default=default, metadata={"number": True, "options": options, "several": True})


def in_data(default: Any) -> Any:
    """Declares a field that `prepare` alone reads: trials that differ in it share a compiled program."""
    return dataclasses.field(default=default, metadata={"in_data": True})


def sized_by(name: str, default: Any = None) -> Any:
    """Declares a size that is filled from the budget's field of another name, if it is left open, as None."""
    return dataclasses.field(default=default, metadata={"budget": name})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method(abc.ABC):
    """A recipe. Subclass it as `@dataclasses.dataclass(frozen=True, kw_only=True)`; check fields in `__post_init__`.

    A size left as None is filled from the budget's field of that name (`tasks.budgets.sized`).

    Attributes:
        num_steps: Gradient steps; what rates and targets are scheduled by.
    """

    num_steps: int | None = None

    @property
    def encoders(self) -> tuple[str, ...]:
        """Names of the encoders that training looks through: loaded once a pack into `frozen`, never trained."""
        return ()

    @property
    def encoder_dtype(self) -> str:
        """The type that they compute in; a method that wants a choice declares a field of this name."""
        return "float32"

    @property
    def skips_bad_steps(self) -> bool:
        """Whether a step whose loss or gradient is not finite is left out, instead of ending the trial."""
        return False

    @property
    def continues(self) -> Method | None:
        """The method whose finished training this one goes on from; None if it starts afresh.

        That method has the same `prepare`, `init`, optimiser and `num_steps`; steps go on counting. Where both are in
        a plan, what they share is trained once.
        """
        return None

    @property
    def total_steps(self) -> int:
        """Steps of its whole training, those of the method that it continues included."""
        return self.num_steps or 0

    @abc.abstractmethod
    def prepare(self, frozen: Frozen, task: Any) -> Data:
        """A trial's arrays: rays, colours, embeddings. Called once, before training, outside of `jit`."""

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray, data: Data) -> tuple[Params, State]:
        """Parameters, and state that moves without gradients (a tracked origin, an occupancy grid)."""

    @abc.abstractmethod
    def loss(
        self,
        params: Params,
        state: State,
        frozen: Frozen,
        data: Data,
        numbers: Numbers,
        key: PRNGKeyArray,
        step: Int[Array, ""],
    ) -> tuple[Float[Array, ""], tuple[State, Metrics]]:
        """The loss of one step, the next state, and scalars for the curves.

        `step` is never mapped: `jax.lax.cond` on it runs one branch only, in a pack too.
        """

    @abc.abstractmethod
    def optimizer(self, num_steps: int, numbers: Numbers) -> optax.GradientTransformation:
        """Built inside the compiled step, so that rates may be numbers of a trial."""

    @abc.abstractmethod
    def render(self, params: Params, state: State, data: Data, rays: Rays, num_samples: int | None = None) -> Views:
        """What is seen along rays, without any randomness. The trainer calls it on chunks of rays."""

    @abc.abstractmethod
    def field_at(
        self, params: Params, state: State, data: Data, points: Float[Array, "*b 3"]
    ) -> tuple[Float[Array, "*b"], Float[Array, "*b 3"]]:
        """Density (an inverse length) and colour at points, for meshes and to find empty and solid volumes."""


def number_names(method: Method) -> tuple[str, ...]:
    """Names of the fields declared with `number`, `choice` or `subset`, in order."""
    return tuple(f.name for f in dataclasses.fields(method) if f.metadata.get("number"))


def split_numbers(method: Method) -> tuple[Method, dict[str, Any]]:
    """Takes the numbers out of a method.

    Returns:
        The method with every number at its default, which is the same for all trials that may share a pack, and
        the numbers: a float each, or as many as a `subset` has options.
    """
    fields = [f for f in dataclasses.fields(method) if f.metadata.get("number")]
    numbers = {f.name: _as_number(method, f) for f in fields}
    defaults = {f.name: f.default for f in dataclasses.fields(method) if f.name in numbers or f.metadata.get("in_data")}
    return (dataclasses.replace(method, **defaults) if defaults else method), numbers  # type: ignore[arg-type]


def check_options(method: Method) -> None:
    """Refuses a `choice` or `subset` that is none of its options; for `__post_init__`.

    Raises:
        UsageError: With the nearest option.
    """
    where = type(method).__name__
    for field in dataclasses.fields(method):
        options = field.metadata.get("options")
        value = getattr(method, field.name)
        for one in value if options and field.metadata.get("several") else (value,):
            if options and one not in options:
                known = [str(option) for option in options]
                raise UsageError(
                    f"{where}: expected {field.name} among its options, got {one!r}; {nearest(str(one), known)}"
                )
        if options and field.metadata.get("several") and not value:
            raise UsageError(f"{where}: expected one or more of {', '.join(options)} in {field.name}, got none")


def _as_number(method: Method, field: dataclasses.Field[Any]) -> Any:
    """A field's value as the numbers that programs get."""
    value, options = getattr(method, field.name), field.metadata.get("options")
    if field.metadata.get("several"):
        return tuple(float(option in value) for option in options or ())
    return float(options.index(value)) if options else float(value)


def num_parameters(params: Params) -> int:
    """How many trained numbers there are."""
    return sum(int(leaf.size) for leaf in jax.tree.leaves(params))
