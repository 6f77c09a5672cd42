"""Asks every host of a cluster, before anything is trained, whether workers there can train this run's packs.

What a host lacks is said in one line, with the host and what to do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench import import_paths
from bench.counted_nouns import format_count
from bench.errors import UsageError
from bench.training import node_facts
from bench.training.node_facts import Needs, NodeFacts
from bench.training.queue import QueuedPack
from bench.training.ray_connection import describe_cause
from bench.training.worker_environment import DATA_VARIABLES, whole_path, worker_variables

ANSWER_S = 120.0
"""Seconds that a host has for its answer: it unpacks our code and imports the plug-ins."""

MAX_TOLD = 3
"""Problems that one message names."""

CACHES = ("BENCH_DATA_DIR", "XDG_CACHE_HOME", "HF_HOME")
"""Variables of folders that workers write into."""


def check_hosts(packs: Iterable[QueuedPack], resource: str) -> list[str]:
    """Ask the hosts on which workers may run; return a line for each thing that is odd but does no harm.

    Args:
        packs: To be trained.
        resource: What a worker takes, as Ray names it: `GPU`, `TPU` or `CPU`.

    Raises:
        UsageError: No host has that, or workers on one of them could not train the packs.
    """
    hosts = [host for host in ray.nodes() if host["Alive"] and host["Resources"].get(resource)]
    needs = find_needs(packs, "" if resource == "CPU" else resource)
    answers = ask_hosts(hosts, needs)
    problems = []
    for host, answer in zip(hosts, answers, strict=True):
        where = f"{host['NodeManagerAddress']} (Ray node {host['NodeID'][:8]})"
        lines = [answer] if isinstance(answer, str) else find_problems(answer)
        problems += [f"{where}: {line}" for line in lines]
    if problems:
        more = f"; and {len(problems) - MAX_TOLD} more" if len(problems) > MAX_TOLD else ""
        raise UsageError(
            f"--address: expected hosts on which workers can train this, got {'; '.join(problems[:MAX_TOLD])}{more}; "
            "put it where every host sees it under the same path, or give the run hosts that have it"
        )
    return describe_oddities(hosts, answers, resource)


def find_needs(packs: Iterable[QueuedPack], accelerator: str) -> Needs:
    """List what workers on other hosts need for packs."""
    sent = worker_variables(os.environ)
    paths = {name: sent[name] for name in DATA_VARIABLES if name in sent}
    for trial in (trial for pack in packs for trial in pack.trials):
        folder = getattr(getattr(trial, "task", None), "folder", None)
        if isinstance(folder, str):
            paths[f"scenes of {trial.task.scene}"] = os.path.join(whole_path(folder), trial.task.scene)  # type: ignore[attr-defined]
        for name in getattr(getattr(trial, "method", None), "encoders", ()):
            place = name.partition(":")[2]
            if os.path.exists(place):
                paths[f"encoder {name}"] = place
    return Needs(
        paths=paths,
        writable={name: sent[name] for name in CACHES if name in sent},
        modules=import_paths.plugin_modules(),
        accelerator=accelerator,
    )


def ask_hosts(hosts: Sequence[Mapping[str, Any]], needs: Needs) -> list[NodeFacts | str]:
    """Ask hosts what they have; in place of an answer a line on why there is none."""
    look = ray.remote(max_calls=1)(node_facts.look_around)  # its process ends: a worker must find no JAX in its own
    asked = []
    for host in hosts:
        place = NodeAffinitySchedulingStrategy(host["NodeID"], soft=False)
        asked.append(
            look.options(num_cpus=0, scheduling_strategy=place, max_retries=2, retry_exceptions=True).remote(needs)
        )
    ray.wait(asked, num_returns=len(asked), timeout=ANSWER_S)
    answers: list[NodeFacts | str] = []
    for reference in asked:
        try:
            answers.append(ray.get(reference, timeout=0.1))
        except ray.exceptions.GetTimeoutError:
            answers.append(f"no answer within {ANSWER_S:.0f} s")
        except Exception as error:
            answers.append(f"workers do not start ({describe_cause(error)})")
    return answers


def find_problems(facts: NodeFacts) -> list[str]:
    """List what keeps a host's workers from training: other versions than the driver's, and what it lacks."""
    here = node_facts.find_versions()
    problems = [
        f"{name} {facts.versions.get(name)}, the driver has {version}; install the same"
        for name, version in here.items()
        if facts.versions.get(name) != version
    ]
    return [*facts.problems, *problems]


def describe_oddities(
    hosts: Sequence[Mapping[str, Any]], answers: Sequence[NodeFacts | str], resource: str
) -> list[str]:
    """Say where Ray counts accelerators that JAX does not see."""
    lines = []
    for host, facts in zip(hosts, answers, strict=True):
        if resource != "CPU" and isinstance(facts, NodeFacts) and not facts.num_accelerators:
            lines.append(
                f"warning: {host['NodeManagerAddress']}: Ray counts {host['Resources'][resource]:g} {resource} there, "
                f"its JAX sees none: its workers train on cores; install jax for {resource} there"
            )
    return lines


def announce_cluster(packs: Iterable[QueuedPack], resource: str, num_workers: int) -> None:
    """Check the hosts, and say on how many workers and hosts the run goes."""
    for line in check_hosts(packs, resource):
        print(line, file=sys.stderr)
    num_hosts = sum(bool(host["Alive"] and host["Resources"].get(resource)) for host in ray.nodes())
    workers = format_count(num_workers, "worker")
    print(f"ray: {workers} on the {resource}s of {format_count(num_hosts, 'host')}", file=sys.stderr)
