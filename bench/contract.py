"""What every method must keep, as named steps: the contract test of our own methods and `bench check` of a user's.

Each step takes a method on a tiny task and raises `Broken` with what to do. Nothing here knows a method's insides.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from bench import trainer
from bench.plan import Pack, program_key
from bench.suite import Trial, described, digest
from models.method import Frozen, Method, Numbers, num_parameters, split_numbers
from tasks.budgets import BUDGETS
from tasks.cameras import Rays
from tasks.photos import Task


class Broken(Exception):
    """A step of the contract that a method does not keep; the message says what to do."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """A method on a task, made small."""

    method: Method
    variant: str
    task: Task

    def trial(self, seed: int) -> Trial:
        """A trial of it at budget `smoke`."""
        return Trial(task=self.task, method=self.method, budget=BUDGETS["smoke"], seed=seed, variant=self.variant)

    def pack(self, *seeds: int) -> Pack:
        """A pack of such trials."""
        trials = tuple(self.trial(seed) for seed in seeds)
        return Pack(trials=trials, key=program_key(trials[0]))


def frozen_and_hashable(subject: Subject) -> str:
    """The method is a frozen dataclass, hashable, equal to a copy, and described by plain values."""
    method = subject.trial(0).method
    try:
        hash(method)
    except TypeError as error:
        raise Broken(
            f"it cannot be hashed ({error}); declare it with @dataclasses.dataclass(frozen=True, kw_only=True) and use "
            "tuples instead of lists"
        ) from error
    if dataclasses.replace(method) != method:
        raise Broken("a copy is not equal to it; keep arrays out of its fields: they belong in `prepare` or `init`")
    open_sizes = [
        f.name for f in dataclasses.fields(method) if f.name == "num_steps" and getattr(method, f.name) is None
    ]
    if open_sizes:
        raise Broken(f"{open_sizes} is open; leave it None in the class so that the budget fills it")
    return f"{len(described(method)) - 1} fields, identity {digest(described(method))}"


def shapes(subject: Subject) -> str:
    """`init`, `loss`, `render` and `field_at` give the shapes that the trainer relies on, by `jax.eval_shape`."""
    trial = subject.trial(0)
    method, frozen, data, numbers, key = parts(trial)
    params, state = jax.eval_shape(method.init, key, data)
    loss, (new_state, metrics) = jax.eval_shape(
        method.loss, params, state, frozen, data, numbers, key, jnp.zeros((), jnp.int32)
    )
    if loss.shape != () or loss.dtype != jnp.float32:
        raise Broken(f"loss: expected a float32 scalar, got {loss.dtype}{list(loss.shape)}; take the mean")
    same(state, new_state, "loss returns a state that differs in shape or type from the one it was given")
    if any(m.shape != () for m in metrics.values()):
        raise Broken("loss: expected scalar metrics; take their mean")
    rays = some_rays(7)
    views = jax.eval_shape(lambda p, s, r: method.render(p, s, data, r), params, state, rays)
    wanted = {"color": (7, 3), "opacity": (7,), "distance": (7,)}
    for name in wanted:
        if getattr(views, name).shape != wanted[name]:
            raise Broken(
                f"render: expected {name} of shape {wanted[name]} for 7 rays, got {getattr(views, name).shape}"
            )
    density, color = jax.eval_shape(
        lambda p, s, x: method.field_at(p, s, data, x), params, state, jnp.zeros((5, 3), jnp.float32)
    )
    if density.shape != (5,) or color.shape != (5, 3):
        raise Broken(f"field_at: expected shapes (5,) and (5, 3) for 5 points, got {density.shape} and {color.shape}")
    return f"{num_parameters(params)} parameters"


def gradients(subject: Subject) -> str:
    """The first gradient is finite and moves at least half of the parameters' arrays."""
    method, frozen, data, numbers, key = parts(subject.trial(0))
    params, state = method.init(key, data)
    grads = jax.jit(jax.grad(lambda p: method.loss(p, state, frozen, data, numbers, key, jnp.zeros((), jnp.int32))[0]))(
        params
    )
    leaves = jax.tree_util.tree_leaves_with_path(grads)
    for path, leaf in leaves:
        if not bool(jnp.isfinite(leaf).all()):
            raise Broken(
                f"the gradient of {jax.tree_util.keystr(path)} is not finite at the first step; look for 0/0 or sqrt(0)"
            )
    moved = sum(bool(jnp.any(leaf != 0)) for _, leaf in leaves)
    if moved * 2 < len(leaves):
        raise Broken(
            f"only {moved} of {len(leaves)} parameter arrays have a gradient; is the field dead at initialisation?"
        )
    return f"{moved} of {len(leaves)} arrays have a gradient"


def trains(subject: Subject) -> str:
    """A short training runs, scores and leaves a whole record."""
    outcome = trainer.train(subject.pack(0), ("std-v1",), lambda progress: None)[0]
    if outcome.record.status != "finished":
        raise Broken(f"training ended early: {outcome.record.reason}")
    losses = [x for x in outcome.record.curves["loss"] if x is not None]
    if not losses or not all(math.isfinite(x) for x in losses):
        raise Broken("the training curve is empty or not finite")
    return f"loss {losses[0]:.4f} to {losses[-1]:.4f} in {outcome.record.num_steps} steps"


def alone_or_packed(subject: Subject) -> str:
    """A trial takes the same gradient steps alone and in a pack."""
    alone = trainer.train(subject.pack(1), (), lambda progress: None)[0]
    packed = trainer.train(subject.pack(0, 1), (), lambda progress: None)[1]
    worst = 0.0
    for name, value in alone.parameters.items():
        worst = max(worst, float(np.max(np.abs(value - packed.parameters[name]), initial=0.0)))
    if worst > 2e-3:
        raise Broken(
            f"parameters differ by {worst:.1e} between a trial alone and in a pack; "
            "`loss` must depend on its arguments only"
        )
    return f"greatest difference {worst:.1e}"


def one_program(subject: Subject) -> str:
    """Packs that differ in seeds and numbers share one compiled program."""
    numbers = split_numbers(subject.trial(0).method)[1]
    other = dataclasses.replace(subject, method=shifted(subject.trial(0).method))
    if program_key(subject.trial(0)) != program_key(other.trial(1)):
        raise Broken("a change of numbers changes its program; declare rates and weights with `number(...)`")
    return f"{len(numbers)} numbers may differ within a pack"


STEPS: tuple[tuple[str, Callable[[Subject], str]], ...] = (
    ("frozen and hashable", frozen_and_hashable),
    ("shapes", shapes),
    ("gradients finite", gradients),
    ("trains", trains),
    ("same alone and packed", alone_or_packed),
    ("one program for a pack", one_program),
)


def check(subject: Subject) -> Iterator[tuple[str, str | None, str]]:
    """Runs the steps; stops after the first that is broken.

    Yields:
        Name of the step, what was found (None if broken), and what to do (empty if kept).
    """
    for name, step in STEPS:
        try:
            yield name, step(subject), ""
        except Exception as error:  # a user's code may raise anything; it is reported, with the step it broke
            yield name, None, str(error) if isinstance(error, Broken) else f"{type(error).__name__}: {error}"
            return


def parts(trial: Trial) -> tuple[Method, Frozen, PyTree, Numbers, jax.Array]:
    """A trial's static method, encoders, data, numbers and key."""
    static, numbers = split_numbers(trial.method)
    frozen = trainer.encoders_of(static)
    data = trial.method.prepare(frozen, trial.task)
    return static, frozen, data, trainer.numbers_of(trial.method), jax.random.key(trial.seed)


def shifted(method: Method) -> Method:
    """The method with its numbers changed, each as far as it takes another; choices stay."""
    for field in dataclasses.fields(method):
        if not field.metadata.get("number") or field.metadata.get("options"):
            continue
        for factor in (1.5, 0.5):
            try:
                method = dataclasses.replace(method, **{field.name: getattr(method, field.name) * factor})
                break
            except Exception:  # out of its range: a user's code may raise anything
                continue
    return method


def some_rays(num_rays: int) -> Rays:
    """Rays from (0, -4, 0) toward the origin."""
    return Rays(
        origins=jnp.tile(jnp.asarray([0.0, -4.0, 0.0]), (num_rays, 1)),
        directions=jnp.tile(jnp.asarray([0.0, 1.0, 0.0]), (num_rays, 1)),
        near=jnp.full((num_rays,), 2.0),
        far=jnp.full((num_rays,), 6.0),
        radius=jnp.full((num_rays,), 0.01),
    )


def same(old: PyTree, new: PyTree, message: str) -> None:
    """Raises unless two trees have equal structure, shapes and types."""
    described_old, described_new = (jax.tree.map(lambda x: (x.shape, str(x.dtype)), tree) for tree in (old, new))
    if described_old != described_new:
        raise Broken(f"{message}: {described_new} instead of {described_old}")
