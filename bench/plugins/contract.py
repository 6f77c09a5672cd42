"""Checks the contract that every method must keep, in named steps.

The same steps test our own methods and, in `bench check`, a user's. Each step takes a method on a tiny task and raises
`ContractError`, whose message says what to do. No step depends on how a method works inside.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from bench.device_errors import is_device_fault
from bench.errors import UsageError
from bench.plugins.contract_fixture import ContractError, ContractFixture, one_line_error
from bench.storage.trial_folder import DTYPES
from bench.suites.identity import describe, digest
from bench.suites.trial import Trial
from bench.training import devices, programs, trainer, view_rendering
from bench.training.batch import hyperparameters_of, index_trial, load_batch, load_encoders
from bench.training.packing import Pack, program_of
from models.method import Frozen, Hyperparameters, Method, num_parameters, split_hyperparameters
from tasks.cameras import Rays

IMPORTS = "imports"
"""The step that comes before there is a method: `bench.plugins.contract_fixture.import_method`."""

OWN_CURVES = ("step", "loss", "skipped")
"""Names of curves that the trainer writes itself."""

CLOSE = 2e-3
"""Parameters of a trial alone and in a pack differ by so much at most: products are summed in another order."""


def check_method_fields(subject: ContractFixture) -> str:
    """Check that the method is a frozen dataclass, hashable, equal to a copy, and described by plain values."""
    method = subject.trial(0).method
    known = {field.name for field in dataclasses.fields(method)}
    for kind in type(method).__mro__[: type(method).__mro__.index(Method)]:
        stray = [name for name, hint in inspect.get_annotations(kind).items() if "ClassVar" not in str(hint)]
        if lost := [name for name in stray if name not in known]:
            raise ContractError(
                f"{kind.__name__}.{lost[0]} is no field of it, so that it would not tell two methods apart; put "
                "@dataclasses.dataclass(frozen=True, kw_only=True) over the class"
            )
    try:
        hash(method)
    except TypeError as error:
        raise ContractError(
            f"it cannot be hashed ({error}); declare it with @dataclasses.dataclass(frozen=True, kw_only=True) and use "
            "tuples instead of lists"
        ) from error
    if dataclasses.replace(method) != method:
        raise ContractError(
            "a copy is not equal to it; keep arrays out of its fields: they belong in `prepare` or `init`"
        )
    try:
        found = describe(method, "method")
    except UsageError as error:
        raise ContractError(
            f"a field cannot be written down ({error}); keep finite numbers, words, tuples and linen modules in fields "
            "and arrays in `prepare` or `init`"
        ) from error
    num_fields = sum(not name.startswith("@") for name in found) - 1
    return f"{num_fields} fields, identity {digest(found)}"


def check_shapes(subject: ContractFixture) -> str:
    """Check by `jax.eval_shape` the shapes that `init`, `loss`, `render` and `field_at` return."""
    method, frozen, data, hyperparameters, key = unpack_trial(subject.trial(0))
    params, state = jax.eval_shape(method.init, key, data)
    check_can_be_stored({"params": params, "state": state})
    loss, (new_state, metrics) = jax.eval_shape(
        method.loss, params, state, frozen, data, hyperparameters, key, jnp.zeros((), jnp.int32)
    )
    if loss.shape != () or loss.dtype != jnp.float32:
        raise ContractError(f"loss: expected a float32 scalar, got {loss.dtype}{list(loss.shape)}; take the mean")
    check_same_structure(
        state, new_state, "loss returns a state that differs in shape or type from the one it was given"
    )
    check_metrics(metrics)
    rays = some_rays(7)
    views = jax.eval_shape(lambda p, s, r: method.render(p, s, data, r), params, state, rays)
    wanted = {"color": (7, 3), "opacity": (7,), "distance": (7,)}
    for name in wanted:
        if getattr(views, name).shape != wanted[name]:
            raise ContractError(
                f"render: expected {name} of shape {wanted[name]} for 7 rays, got {getattr(views, name).shape}; give a "
                "value for every ray"
            )
    density, color = jax.eval_shape(
        lambda p, s, x: method.field_at(p, s, data, x), params, state, jnp.zeros((5, 3), jnp.float32)
    )
    if density.shape != (5,) or color.shape != (5, 3):
        raise ContractError(
            f"field_at: expected shapes (5,) and (5, 3) for 5 points, got {density.shape} and {color.shape}; a density "
            "has no last axis: take [..., 0]"
        )
    return f"{num_parameters(params)} parameters"


def check_gradients(subject: ContractFixture) -> str:
    """Check that the first gradient is finite and moves at least half of the parameters' arrays."""
    method, frozen, data, hyperparameters, key = unpack_trial(subject.trial(0))

    @jax.jit
    def first(key: jax.Array, data: PyTree) -> PyTree:
        params, state = method.init(key, data)
        step = jnp.zeros((), jnp.int32)
        return jax.grad(lambda p: method.loss(p, state, frozen, data, hyperparameters, key, step)[0])(params)

    grads = first(key, data)
    leaves = jax.tree_util.tree_leaves_with_path(grads)
    for path, leaf in leaves:
        if not bool(jnp.isfinite(leaf).all()):
            raise ContractError(
                f"the gradient of {jax.tree_util.keystr(path)} is not finite at the first step; look for 0/0 or sqrt(0)"
            )
    moved = sum(bool(jnp.any(leaf != 0)) for _, leaf in leaves)
    if moved * 2 < len(leaves):
        raise ContractError(
            f"only {moved} of {len(leaves)} parameter arrays have a gradient; is the field dead at initialisation? "
            "A density of softplus(x - 1) always has one"
        )
    return f"{moved} of {len(leaves)} arrays have a gradient"


def check_two_steps(subject: ContractFixture) -> str:
    """Check that a training of two steps runs, renders and is scored."""
    outcome = subject.outcome
    if outcome.record.status != "finished":
        raise ContractError(
            f"training ended early: {outcome.record.reason}; lower the learning rate, or look for 0/0 in loss"
        )
    losses = outcome.record.curves["loss"]
    if any(outcome.record.curves.get("skipped", ())) or not all(math.isfinite(x) for x in losses):
        raise ContractError("a step was not finite and was left out; lower the learning rate, or look for 0/0 in loss")
    for name in ("color", "opacity"):
        values = outcome.views[name]
        low, high = (float(x) for x in (values.min(), values.max()))
        if not (low >= -0.01 and high <= 1.01):  # also where it is no number
            raise ContractError(
                f"render: expected {name} from 0 to 1, got {low:.3g} to {high:.3g}; end the network in a sigmoid, and "
                "density in a softplus"
            )
    shown = ", then ".join(f"{x:.4f}" for x in losses)
    return f"loss {shown}; {len(outcome.views['ids'])} views rendered"


def check_one_program(subject: ContractFixture) -> str:
    """Check that packs which differ in seeds and hyperparameters share one compiled program."""
    hyperparameters = split_hyperparameters(subject.trial(0).method)[1]
    other = dataclasses.replace(subject, method=perturb_hyperparameters(subject.trial(0).method))
    if program_of(subject.trial(0)) != program_of(other.trial(1)):
        raise ContractError(
            "a change of hyperparameters changes its program; set no other field from them: compute what follows from "
            "them in its functions"
        )
    assert subject.outcome  # of the first pack
    before = devices.num_compiled()
    trainer.train(other.pack(1), (), lambda progress: None)
    if more := devices.num_compiled() - before:
        raise ContractError(
            f"a second pack, of another seed and other hyperparameters, compiled {more} more programs; shapes that "
            "`prepare` and `init` give must not depend on hyperparameters: declare a size as a plain field"
        )
    return f"nothing compiled for a second pack; {len(hyperparameters)} hyperparameters may differ within one"


def check_packing(subject: ContractFixture) -> str:
    """Check that a trial takes the same gradient steps alone and in a pack."""
    assert subject.outcome  # its program for a trial alone is there then
    alone = index_trial(train_parameters(subject.pack(0)), 0)
    packed = index_trial(train_parameters(subject.pack(1, 0)), 1)
    apart = jax.tree.map(lambda x, y: float(np.max(np.abs(x - y), initial=0.0)), alone, packed)
    worst = max(jax.tree.leaves(apart), default=0.0)
    if not worst <= CLOSE:
        raise ContractError(
            f"parameters differ by {worst:.1e} between a trial alone and in a pack; "
            "`loss` must depend on its arguments only: draw with `key`, not with NumPy, and count in the state"
        )
    return f"greatest difference {worst:.1e}"


def train_parameters(pack: Pack) -> PyTree:
    """Train a pack without rendering; return its parameters."""
    static, batch, _ = load_batch(pack)
    carry = programs.init_state(static, batch, len(pack.roots))
    start = jnp.zeros((), jnp.int32)
    static_arguments = (static, 0, static.total_steps, 1)
    advance = devices.compile_once(programs.train_chunk, static_arguments, (carry, batch, start), donate=(0,))
    for step in range(static.total_steps):
        carry, _ = advance(carry, batch, jnp.asarray(step, jnp.int32))
    return jax.device_get(carry.params)


def check_record(subject: ContractFixture) -> str:
    """Check that a record is read as it was written, and that training does not change the trial's id."""
    wanted = subject.outcome
    got = subject.reloaded
    if subject.trial(0).id != wanted.record.trial_id:
        raise ContractError(
            f"the trial is {wanted.record.trial_id} after training and was {subject.trial(0).id} before, so that it "
            "would never be found again; its functions must not change its fields: what changes belongs in the state"
        )
    before = wanted.record.to_json()
    after = got.record.to_json()
    added_by_store = {field.name for field in dataclasses.fields(wanted.record) if not field.compare}
    changed = [name for name in before if before[name] != after[name] and name not in added_by_store]
    if changed or wanted.scores != got.scores:
        raise ContractError(
            f"its {', '.join(changed) or 'scores'} come back from the store otherwise than they were; keep plain "
            "numbers and words in fields and metrics"
        )
    return f"{wanted.record.trial_id}, {', '.join(got.scores)}"


def check_reloaded_renders(subject: ContractFixture) -> str:
    """Check that parameters which were written and read again render the same float16 views."""
    again = render_again(subject.trial(0), subject)
    for name in again:
        stored = subject.reloaded.views[name]
        apart = np.abs(stored.astype(np.float64) - again[name].astype(np.float64))
        allowed = 0 if devices.is_cpu() else 2 * np.spacing(np.abs(stored).max())  # an accelerator sums as it likes
        if not apart.max() <= allowed:
            raise ContractError(
                f"{name} differs by {apart.max():.1e} when parameters are read from the store and rendered again; "
                "`render` must depend on its arguments only: what it needs belongs in parameters or state"
            )
    return f"{len(subject.reloaded.parameters)} arrays, {len(subject.reloaded.views['ids'])} views, the same bits"


class ContractCheck(NamedTuple):
    """A step of the contract.

    Attributes:
        name: Its name, in print and in JSON.
        run: Runs it; returns a line about what was found, or raises.
        advice: Advice for errors other than `ContractError`.
    """

    name: str
    run: Callable[[ContractFixture], str]
    advice: str


SIGNATURES = (
    "a network is `__call__(self, samples, *, key=None)` and gives density and colour, see models/fields/networks.py; "
    "the functions of a method are in models/method.py"
)

STEPS = (
    ContractCheck("frozen and hashable", check_method_fields, "keep plain values in its fields"),
    ContractCheck("shapes", check_shapes, SIGNATURES),
    ContractCheck(
        "gradients finite",
        check_gradients,
        "loss must be differentiable in its parameters: no NumPy, no float(...) in it",
    ),
    ContractCheck(
        "two steps", check_two_steps, "what passes by `jax.eval_shape` must also run: no values of arrays in `if`"
    ),
    ContractCheck("one compile for two packs", check_one_program, "make no method of another kind in its functions"),
    ContractCheck(
        "same alone and packed", check_packing, "functions are mapped over trials: no values of arrays in `if`"
    ),
    ContractCheck("record round trip", check_record, "keep plain numbers and words in fields and metrics"),
    ContractCheck(
        "renders reload identically", check_reloaded_renders, "keep all that was trained in parameters and state"
    ),
)


def run_checks(subject: ContractFixture) -> Iterator[tuple[str, str | None, str]]:
    """Run the steps; stop after the first that the method does not keep.

    Yields:
        Name of the step, what was found (None if the step is not kept), and what to do (empty if it is).
    """
    for step in STEPS:
        try:
            yield step.name, step.run(subject), ""
        except ContractError as error:
            yield step.name, None, str(error)
            return
        except Exception as error:  # a user's code may raise anything; it is reported, with the step it broke
            if is_device_fault(error):
                raise
            yield step.name, None, f"{one_line_error(error)}; {step.advice}"
            return


def unpack_trial(trial: Trial) -> tuple[Method, Frozen, PyTree, Hyperparameters, jax.Array]:
    """Return a trial's static method, encoders, data, hyperparameters and key."""
    static, hyperparameters = split_hyperparameters(trial.method)
    frozen = load_encoders(static)
    data = trial.method.prepare(frozen, trial.task)
    return static, frozen, data, hyperparameters_of(trial.method), jax.random.key(trial.seed)


def perturb_hyperparameters(method: Method) -> Method:
    """Return a copy with every hyperparameter set to another valid value; a `choice` or `subset` is unchanged."""
    for field in dataclasses.fields(method):
        if not field.metadata.get("hyperparameter") or field.metadata.get("options"):
            continue
        for factor in (1.5, 0.5):
            try:
                method = dataclasses.replace(method, **{field.name: getattr(method, field.name) * factor})
                break
            except Exception:  # out of its range: a user's code may raise anything
                continue
    return method


def some_rays(num_rays: int) -> Rays:
    """Make rays from (0, -4, 0) toward the origin."""
    return Rays(
        origins=jnp.tile(jnp.asarray([0.0, -4.0, 0.0]), (num_rays, 1)),
        directions=jnp.tile(jnp.asarray([0.0, 1.0, 0.0]), (num_rays, 1)),
        near=jnp.full((num_rays,), 2.0),
        far=jnp.full((num_rays,), 6.0),
        radius=jnp.full((num_rays,), 0.01),
    )


def check_same_structure(old: PyTree, new: PyTree, message: str) -> None:
    """Check that two trees have equal structure, shapes and types."""
    described_old, described_new = (jax.tree.map(lambda x: (x.shape, str(x.dtype)), tree) for tree in (old, new))
    if described_old != described_new:
        raise ContractError(
            f"{message}: {described_new} instead of {described_old}; give back what it was given, updated"
        )


def check_can_be_stored(tree: Any, place: str = "init") -> None:
    """Check that parameters or a state are nested dicts of arrays that a store takes."""
    if isinstance(tree, Mapping):
        for name, inner in tree.items():
            if not isinstance(name, str) or "/" in name:
                raise ContractError(f"{place}: expected names without a slash, got {name!r}; name it otherwise")
            check_can_be_stored(inner, f"{place}, {name}")
    elif not hasattr(tree, "dtype"):
        raise ContractError(f"{place}: expected nested dicts of arrays, got a {type(tree).__name__}; make it a dict")
    elif str(tree.dtype) not in DTYPES:
        raise ContractError(
            f"{place}: expected arrays of {', '.join(DTYPES)}, got {tree.dtype}; keep it as one of these"
        )


def check_metrics(metrics: Any) -> None:
    """Check that metrics are scalars, with names that no other curve has."""
    for name, value in dict(metrics).items():
        if not isinstance(name, str) or name in OWN_CURVES:
            raise ContractError(
                f"loss: expected metrics named by words other than {', '.join(OWN_CURVES)}, got {name!r}; rename it"
            )
        if value.shape != ():
            raise ContractError(f"loss: expected scalar metrics, got {name} of shape {value.shape}; take its mean")


def render_again(trial: Trial, subject: ContractFixture) -> dict[str, Any]:
    """Render views from stored parameters, by a program of their own."""
    static, _ = split_hyperparameters(trial.method)
    layout = trial.task.layout()
    _, batch, scenes = load_batch(subject.pack(0))
    flat = {tuple(name.split("/")): jnp.asarray(value)[None] for name, value in subject.reloaded.parameters.items()}
    tree = flax.traverse_util.unflatten_dict(flat)
    params, state = jax.eval_shape(static.init, jax.random.key(0), index_trial(batch.data, 0))
    found = tree.get("params", {}), tree.get("state", state)
    if str(jax.tree.structure(found)) != str(jax.tree.structure((params, state))):
        raise ContractError(
            "parameters come back from the store with other names; give plain dicts from `init`, none empty"
        )
    num_at_once = devices.choose_for_device(programs.RAYS_AT_ONCE)
    sizes = (static, layout.height, layout.width, num_at_once)
    views = jax.jit(functools.partial(view_rendering.render_views, *sizes))(*found, batch)
    return view_rendering.to_stored_views(scenes[0], index_trial(jax.device_get(views), 0))
