"""Decides what probes should give, and how far a result may be off; both stand in `golden_values.json`.

    python -m bench.doctor.golden_values            # writes the file anew, on a CPU; read the diff
    python -m bench.doctor.golden_values --missing  # adds what is missing, such as an encoder that is here only now

No bound is a guess: the file says by how much rounding moves each result (`bench.doctor.rounding`), and a result may be
`ALLOWANCE` times as far off.
"""

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from bench.doctor.probes.probe import Probe, Rounds, keep_some
from tasks.data_dir.atomic_files import write_file

FILE = pathlib.Path(__file__).with_name("golden_values.json")

ALLOWANCE = 4.0
"""Times the largest move of a few random ones. Golden value and result are both rounded, which makes 2; and among the
numbers of all probes some move further than the largest of eight draws, which makes 2 again."""

TF32_BITS = 11

BFLOAT16_BITS = 8

SPLIT_BITS = 22
"""Of factors that LPIPS takes as sums of two on a GPU: see `bench.metrics.lpips.Precision`."""

FLOAT64_MOVE = 64 * 2.0**-53
"""Share by which inputs of a probe in NumPy are moved: what sums of 64 terms may be off by, in whatever order."""

DIGITS = 9
"""Significant ones that are written: they tell every float32 from its neighbours."""


class Golden(NamedTuple):
    """Holds the numbers that a probe should give, and how far rounding may move them.

    Attributes:
        values: Numbers of its result.
        rounding: By how much rounding moves them.
        split: By how much products of factors with 22 bits move them.
        tf32: By how much products in TF32 would.
        bfloat16: By how much products in bfloat16 would.
    """

    values: tuple[float, ...]
    rounding: float
    split: float = 0.0
    tf32: float = 0.0
    bfloat16: float = 0.0

    def array(self, rounds: Rounds) -> Float[np.ndarray, " n"]:
        """Return the values exactly as they were computed."""
        is_short = rounds in (Rounds.FLOAT32, Rounds.BFLOAT16)
        return np.asarray(self.values, np.float32 if is_short else np.float64).astype(np.float64)

    def bound(self, *, is_split: bool = False) -> float:
        """Return how far a result may be off.

        Example:
            >>> Golden((1.0,), rounding=1e-7, split=1e-6).bound(), Golden((1.0,), 1e-7, 1e-6).bound(is_split=True)
            (4e-07, 4.4e-06)
        """
        return ALLOWANCE * (self.rounding + (self.split if is_split else 0.0))

    def explain(self, difference: float, *, is_split: bool = False) -> str:
        """Name what makes a difference of that size; empty where it is within the bound.

        Example:
            >>> golden = Golden((1.0,), rounding=1e-7, tf32=1e-3, bfloat16=1e-2)
            >>> golden.explain(2e-7), golden.explain(8e-4)
            ('', 'as far as products in TF32 move it (0.001)')
            >>> golden.explain(0.5)
            'farther than TF32 or bfloat16 move it: something else is wrong'
        """
        if difference <= self.bound(is_split=is_split):
            return ""
        for name, move in (("TF32", self.tf32), ("bfloat16", self.bfloat16)):
            if difference <= 2 * move:
                return f"as far as products in {name} move it ({move:.2g})"
        return "farther than TF32 or bfloat16 move it: something else is wrong"


def read_golden() -> dict[str, Golden]:
    """Read the golden values of all probes by name."""
    found = json.loads(FILE.read_text(encoding="utf-8"))
    return {name: Golden(tuple(each.pop("values")), **each) for name, each in found.items()}


def make_golden(probe: Probe, of_float32: Mapping[str, Golden]) -> Golden:
    """Compute a probe's golden values here, and how far rounding moves them.

    Args:
        probe: What it needs is here.
        of_float32: Golden values of other probes, for one that shares them.
    """
    from bench.doctor import rounding

    function, arguments = probe.prepare()
    if probe.rounds is Rounds.BFLOAT16:
        values = of_float32[probe.same_as].values
        draws = [rounding.evaluate(function, arguments, rounding.Arithmetic(noise=noise)) for noise in _noises()]
        moved = max(rounding.greatest_difference(keep_some(draw), np.asarray(values)) for draw in draws)
        return Golden(values, _two_digits(moved))
    if probe.rounds is Rounds.FLOAT64:
        return Golden(tuple(map(float, probe.compute())), _two_digits(_move_in_numpy(function, arguments)))
    values = tuple(float(f"{x:.{DIGITS}g}") for x in probe.compute())
    if probe.rounds is Rounds.NOTHING:
        return Golden(values, 0.0)
    by_bits = [
        rounding.move_by_short_factors(function, arguments, bits) for bits in (SPLIT_BITS, TF32_BITS, BFLOAT16_BITS)
    ]
    moved = rounding.random_moves(function, arguments)
    return Golden(values, *map(_two_digits, (moved, *by_bits)))


def _move_in_numpy(function: Callable[..., Any], arguments: Sequence[Any]) -> float:
    """Compute by how much a result in float64 moves when its inputs do, as other libraries' sums move it."""
    from bench.doctor import rounding

    exact = keep_some(function(*arguments))
    found = []
    for noise in _noises():
        moved = [_move_input(x, noise) for x in arguments]
        found.append(rounding.greatest_difference(keep_some(function(*moved)), exact))
    return max(found)


def _move_input(x: Any, noise: np.random.RandomState) -> Any:
    if np.asarray(x).dtype != np.float64:
        return x
    return x * (1 + FLOAT64_MOVE * noise.uniform(-1, 1, np.shape(x)))


def _noises() -> list[np.random.RandomState]:
    from bench.doctor import rounding

    return [np.random.RandomState(seed) for seed in range(rounding.NUM_DRAWS)]


def _two_digits(number: float) -> float:
    return float(f"{number:.2g}")


def format_golden(golden: Mapping[str, Golden]) -> str:
    """Write golden values as JSON, a line for each probe."""
    lines = [f"{json.dumps(name)}: {json.dumps(each._asdict())}" for name, each in sorted(golden.items())]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main(words: Sequence[str]) -> int:
    """Write the file, and say which probes it lacks."""
    import jax

    from bench.doctor.probes import all_probes
    from bench.doctor.probes.encoder_probes import why_not_here

    jax.config.update("jax_platforms", "cpu")
    golden = read_golden() if FILE.is_file() else {}
    known = dict(golden) if "--missing" in words else {}
    names = {probe.name for probe in all_probes.list_probes()}
    made: dict[str, Golden] = {}
    for probe in all_probes.list_probes():
        reason = why_not_here(probe)
        if probe.name in known or (reason and probe.name in golden):
            made[probe.name] = golden[probe.name]
        elif reason:
            print(f"left out: {probe.name}: {reason}", file=sys.stderr)
        elif not probe.same_as or probe.same_as in made:
            made[probe.name] = make_golden(probe, made)
            print(f"{probe.name}: moves by {made[probe.name].rounding:g}", flush=True)
    assert set(made) <= names
    write_file(FILE, format_golden(made))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
