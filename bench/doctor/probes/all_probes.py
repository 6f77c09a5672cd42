"""Lists all probes."""

from __future__ import annotations

from bench.doctor.probes.encoder_probes import all_encoder_probes
from bench.doctor.probes.metric_probes import all_metric_probes
from bench.doctor.probes.probe import Probe
from bench.doctor.probes.sampler_probes import all_sampler_probes


def list_probes() -> list[Probe]:
    """List the probes of every metric, sampler, tokenizer and encoder; one that shares values comes behind them."""
    return [*all_metric_probes(), *all_sampler_probes(), *all_encoder_probes()]
