"""Makes each of several results once, in whichever thread asks first; the others wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, MutableMapping
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

_LOCK = threading.Lock()


def make_once(made: MutableMapping[Any, Future[T]], key: Hashable, make: Callable[[], T]) -> T:
    """Return the result of a key, which the first thread that asks for it makes.

    Args:
        made: Results so far. A key whose result could not be made is taken out: who asks next tries again.
        key: What is asked for.
        make: Makes it. Its error is raised in all threads that waited.

    Example:
        >>> made = {}
        >>> make_once(made, "a", lambda: 1), make_once(made, "a", lambda: 2)
        (1, 1)
    """
    own: Future[T] = Future()
    with _LOCK:
        result = made.setdefault(key, own)
    if result is own:
        try:
            own.set_result(make())
        except BaseException as error:
            del made[key]
            own.set_exception(error)
    return result.result()
