"""Finds the kind of a task: what it starts from, how it is scored, and how reports speak of it.

There are two kinds: photographs (`bench.metrics.task_kinds.photos`) and captions (`bench.metrics.task_kinds.captions`).

To add a kind of task, write

1. a frozen dataclass with what `tasks.task.Task` has, and its data, with what `tasks.task.TaskData` has;
2. a base class of the methods that start from it (`models.method.Method`);
3. in a new file of this folder a subclass of `bench.metrics.task_kinds.interface.TaskKind`, and a value of it;
4. protocols that score it (`bench.metrics.protocols.Protocol`);

and name it in `KINDS` below, the types in `bench/suites/registered_types.py`, new protocols in
`bench/metrics/protocol_names.py`, its tables in a suite of `bench/suites/builtin/`, and a key of `--only` in
`bench/suites/option_syntax.py`. Training, scoring, `compare`, `check`, `profile`, `import`, tables and pages ask
`kind_of(task)`, and take the new kind as it is.
"""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError, nearest

if TYPE_CHECKING:  # both take long to import, and the command line asks for nouns alone
    from bench.metrics.protocols import Protocol
    from bench.metrics.task_kinds.interface import TaskKind

KINDS: dict[str, str] = {
    "scene": "bench.metrics.task_kinds.photos:PHOTOS",
    "caption": "bench.metrics.task_kinds.captions:CAPTIONS",
}
"""By the noun of a task's cluster, where the kind is: `module:value`. The first one is what most methods start from."""


@functools.cache
def _load(path: str) -> TaskKind:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def kind_named(noun: str) -> TaskKind:
    """Give the kind whose clusters are called so, as a table's `cluster_noun` says.

    Raises:
        UsageError: There is no such kind.

    Example:
        >>> kind_named("caption").start
        'captions'
    """
    if noun not in KINDS:
        raise UsageError(f"kind of task: expected one of {', '.join(KINDS)}, got {noun!r}; {nearest(noun, KINDS)}")
    return _load(KINDS[noun])


def all_kinds() -> tuple[TaskKind, ...]:
    """Give every kind, in the order of `KINDS`."""
    return tuple(kind_named(noun) for noun in KINDS)


def kind_of(value: Any) -> TaskKind:
    """Give the kind of a task, or of the arrays that a task loads.

    Raises:
        UsageError: No kind knows it.

    Example:
        >>> from tasks.captions.caption_task import held_out_tasks
        >>> kind_of(held_out_tasks(1)[0]).noun
        'caption'
    """
    for kind in all_kinds():
        if isinstance(value, kind.types):
            return kind
    starts = " or ".join(kind.start for kind in all_kinds())
    raise UsageError(
        f"task: expected one that starts from {starts}, got {type(value).__name__}; give it what "
        "tasks.task.SceneTask has, or add a kind: bench/metrics/task_kinds/__init__.py"
    )


def kind_of_method(method: Any) -> TaskKind | None:
    """Give the kind that a method starts from; None of a method that derives from none of ours.

    Example:
        >>> from models.nerf import NeRF
        >>> kind_of_method(NeRF()).noun
        'scene'
    """
    return next((kind for kind in all_kinds() if isinstance(method, kind.method_type)), None)


def protocols_named(name: str) -> tuple[Protocol, ...]:
    """Give the protocols of a name, one of each kind that has it.

    Raises:
        UsageError: There is none.

    Example:
        >>> [type(protocol).__name__ for protocol in protocols_named("std-v1")]
        ['PhotoProtocol', 'CaptionProtocol']
    """
    found = tuple(kind.protocols[name] for kind in all_kinds() if name in kind.protocols)
    if not found:
        known = dict.fromkeys(known for kind in all_kinds() for known in kind.protocols)
        raise UsageError(f"protocol: expected a known name, got {name!r}; {nearest(name, known)}")
    return found


def crash_score(protocol_name: str, metric: str) -> tuple[tuple[int, ...], float] | None:
    """Give what tables put for a trial that crashed: ids of views and their number; None for a gap.

    Example:
        >>> crash_score("dreamfields-2022", "rprec1@openai-vit-b-32"), crash_score("std-v1", "psnr")
        (((16,), 0.0), None)
    """
    of_kinds = (kind.protocols.get(protocol_name) for kind in all_kinds())
    found = (protocol.crash_score(metric) for protocol in of_kinds if protocol is not None)
    return next((score for score in found if score is not None), None)
