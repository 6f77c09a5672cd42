"""Runs probes on this install and device, and compares what they give with their golden values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.doctor.check import Check
from bench.doctor.golden_values import Golden
from bench.doctor.probes.encoder_probes import probed_encoder, why_not_here
from bench.doctor.probes.probe import Probe, Rounds
from bench.errors import UsageError
from bench.metrics import lpips

MEANT_AS = {
    Rounds.NOTHING: "exactly equal",
    Rounds.FLOAT32: "float32",
    Rounds.BFLOAT16: "bfloat16",
    Rounds.FLOAT64: "float64",
}


def check_probes(probes: Iterable[Probe], golden: Mapping[str, Golden]) -> list[Check]:
    """Compare every probe that can run here with its golden values; those that cannot are named on one line."""
    checks = []
    absent: dict[str, str] = {}
    for probe in probes:
        reason = why_not_here(probe)
        if reason is not None:
            absent[probed_encoder(probe) or probe.name] = reason
        else:
            checks.append(check_probe(probe, golden.get(probe.name)))
    if absent:
        reasons = "; ".join(dict.fromkeys(absent.values()))
        checks.append(Check("ok", "not here", f"{len(absent)} not looked at", "", f"{', '.join(absent)}: {reasons}"))
    return checks


def check_probe(probe: Probe, golden: Golden | None) -> Check:
    """Compare one probe with its golden values."""
    from bench.doctor.rounding import greatest_difference

    try:
        values = probe.compute()
    except (UsageError, RuntimeError, ValueError, TypeError, ImportError, OSError) as error:
        text = " ".join(str(error).split())[:200]
        return Check("FAIL", probe.name, f"{type(error).__name__}: {text}", "numbers")
    if golden is None:
        advice = "python -m bench.doctor.golden_values --missing adds it"
        return Check("warn", probe.name, "computed", "no golden value is kept of it", advice)
    is_split = "lpips" in probe.name and lpips.usual_precision() == "split"
    bound = golden.bound(is_split=is_split)
    difference = greatest_difference(values, golden.array(probe.rounds))
    meant = "float32, factors in two parts" if is_split else MEANT_AS[probe.rounds]
    expected = MEANT_AS[Rounds.NOTHING] if bound == 0 else f"at most {bound:.1e} ({meant})"
    explained = golden.explain(difference, is_split=is_split)
    measured = "equal" if difference == 0 else f"off by {difference:.1e}"
    return Check("FAIL" if explained else "ok", probe.name, measured, expected, explained)
