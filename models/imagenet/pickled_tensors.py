"""Reads tensors from pickles of PyTorch (before its zip format) and of NumPy; nothing in a file is ever run.

A pickle may call any function that it names. The unpickler here knows the few names that stand for a tensor, each
answered by a plain class of this file, and refuses all others. All sizes are checked before they are used.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np

from bench.errors import UsageError

TORCH_MAGIC = 0x1950A86A20F9469CFC6C
TORCH_PROTOCOL = 1001
"""The first two values of a file that `torch.save` wrote before its zip format."""

MOST_DIMENSIONS = 8


def read_torch_tensors(content: bytes, where: str) -> dict[str, np.ndarray]:
    """Read the tensors of a state dict that `torch.save` wrote before its zip format.

    Args:
        content: Of the file.
        where: Name of the encoder that is loaded, for messages.

    Raises:
        UsageError: It is another kind of file, or truncated, or holds anything but tensors.
    """
    try:
        return _read_torch(content)
    except Exception as error:  # a broken pickle raises anything
        raise _refusal(where, "a state dict of PyTorch", error) from error


def read_numpy_tree(content: bytes, where: str) -> dict[str, Any]:
    """Read a nested dict of arrays that Python pickled.

    Args:
        content: Of the file.
        where: Name of the encoder that is loaded, for messages.

    Raises:
        UsageError: It is another kind of file, or truncated, or holds anything but arrays.
    """
    try:
        return _arrays_of(_Unpickler(io.BytesIO(content), _NUMPY).load())
    except Exception as error:  # a broken pickle raises anything
        raise _refusal(where, "a pickled dict of NumPy arrays", error) from error


def _refusal(where: str, expected: str, error: Exception) -> UsageError:
    return UsageError(
        f"{where}: expected {expected} and nothing else, got {str(error) or type(error).__name__:.160}; "
        "install its package again"
    )


class _Unpickler(pickle.Unpickler):
    """Knows a few names, and refuses all others."""

    def __init__(self, stream: io.BytesIO, known: Mapping[tuple[str, str], Any]) -> None:
        super().__init__(stream)
        self.known = known

    def find_class(self, module: str, name: str) -> Any:
        """Answer a name with a plain class of this file."""
        if (module, name) not in self.known:
            raise ValueError(f"the name {module}.{name}")
        return self.known[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        """Note where a tensor's numbers lie; they follow after the pickle."""
        kind, dtype, key, _, num, view = pid
        if kind != "storage" or not isinstance(dtype, np.dtype) or view is not None:
            raise ValueError(f"a storage of kind {kind!r}")
        return _Storage(_text(key), dtype, _count(num))


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError(f"{type(value).__name__} for a name")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r:.40} for a size")
    return value


def _shape(value: Any) -> tuple[int, ...]:
    if type(value) is not tuple or len(value) > MOST_DIMENSIONS:
        raise ValueError(f"{value!r:.40} for a shape")
    return tuple(map(_count, value))


# ---- PyTorch ---------------------------------------------------------------------------------------------------------


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype
    num: int


class _Tensor:
    """Stands for a tensor in the pickle: a part of a storage."""

    def __init__(self, storage: Any, start: Any, shape: Any, strides: Any, *_: Any) -> None:
        if type(storage) is not _Storage:
            raise ValueError("a tensor without a storage")
        self.storage = storage
        self.start = _count(start)
        self.shape = _shape(shape)
        self.strides = _shape(strides)
        if len(self.shape) != len(self.strides):
            raise ValueError(f"a tensor of shape {self.shape} and strides {self.strides}")
        size = math.prod(self.shape)
        last = sum((num - 1) * step for num, step in zip(self.shape, self.strides, strict=True))
        # Strides of 0 would make a large array of few numbers.
        if size > storage.num or (size and self.start + last >= storage.num):
            raise ValueError(f"a tensor of shape {self.shape} in a storage of {storage.num}")

    def __setstate__(self, _: Any) -> NoReturn:
        raise ValueError("a tensor with a state")


class _Names(dict):
    """Stands for an `OrderedDict`; its attributes (versions of layers) are dropped."""

    def __setstate__(self, _: Any) -> None:
        return None


_TORCH: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _Names,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
}


def _read_torch(content: bytes) -> dict[str, np.ndarray]:
    stream = io.BytesIO(content)

    def load(known: Mapping[tuple[str, str], Any]) -> Any:
        return _Unpickler(stream, known).load()

    head = (load({}), load({}), load({}))
    if head[:2] != (TORCH_MAGIC, TORCH_PROTOCOL) or head[2].get("little_endian") is not True:
        raise ValueError("another kind of file")
    tensors = load(_TORCH)
    keys = load({})
    if type(tensors) is not _Names or type(keys) is not list:
        raise ValueError(f"{type(tensors).__name__} and {type(keys).__name__}")
    for name, tensor in tensors.items():
        if type(tensor) is not _Tensor:
            raise ValueError(f"{type(tensor).__name__} under {_text(name)!r:.80}")
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    numbers = {_text(key): _read_storage(stream, content, storages[key]) for key in keys}
    if stream.tell() != len(content):
        raise ValueError(f"{len(content) - stream.tell()} bytes after the last tensor")
    return {_text(name): _part(numbers[tensor.storage.key], tensor) for name, tensor in tensors.items()}


def _read_storage(stream: io.BytesIO, content: bytes, storage: _Storage) -> np.ndarray:
    """Read the numbers of one storage, after their count."""
    num = int.from_bytes(stream.read(8), "little")
    start = stream.tell()
    end = start + storage.num * storage.dtype.itemsize
    if num != storage.num or end > len(content):
        raise ValueError(f"a storage of {num} instead of {storage.num} numbers, or a truncated file")
    stream.seek(end)
    return np.frombuffer(content, storage.dtype, storage.num, start)


def _part(numbers: np.ndarray, tensor: _Tensor) -> np.ndarray:
    if not math.prod(tensor.shape):
        return np.zeros(tensor.shape, numbers.dtype)
    strides = [step * numbers.itemsize for step in tensor.strides]
    return np.lib.stride_tricks.as_strided(numbers[tensor.start :], tensor.shape, strides).copy(order="C")


# ---- NumPy -----------------------------------------------------------------------------------------------------------


class _DType:
    """Stands for an array's type; only float32 is known."""

    def __init__(self, code: Any, *_: Any) -> None:
        if code != "f4":
            raise ValueError(f"an array of type {code!r:.20}")

    def __setstate__(self, state: Any) -> None:
        if state[1] != "<":
            raise ValueError(f"an array of byte order {state[1]!r:.20}")


class _Array:
    """Stands for an array; its content is its state."""

    array: np.ndarray | None = None

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, is_fortran, content = state
        if type(dtype) is not _DType or type(content) is not bytes:
            raise ValueError("an array without numbers")
        numbers = np.frombuffer(content, "<f4")
        self.array = numbers.reshape(_shape(shape), order="F" if is_fortran else "C").copy()


_NUMPY: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): None,
    ("numpy", "dtype"): _DType,
}


def _arrays_of(tree: Any) -> dict[str, Any]:
    if type(tree) is not dict:
        raise ValueError(f"{type(tree).__name__} for a dict")
    found: dict[str, Any] = {}
    for name, leaf in tree.items():
        if type(leaf) is _Array and leaf.array is not None:
            found[_text(name)] = leaf.array
        else:
            found[_text(name)] = _arrays_of(leaf)
    return found
