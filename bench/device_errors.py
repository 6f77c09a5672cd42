"""Says in one line what is wrong with this machine's devices, where JAX says it in many. Imports nothing heavy."""

from __future__ import annotations

import os
import pathlib
import re
import traceback
from typing import Literal

NO_START = "Unable to initialize backend"
"""How JAX begins where it cannot start a device."""

NO_MEMORY = re.compile(
    "CUDA_ERROR_(OUT_OF_MEMORY|DEVICE_UNAVAILABLE)|cudaErrorMemoryAllocation|DNN library initialization failed"
    "|(CUBLAS|CUDNN|CUSOLVER|CUSPARSE)_STATUS_(NOT_INITIALIZED|ALLOC_FAILED)|without (BLAS|DNN) support"
    r"|(create|initialize) (cu|gpu)\w+ handle|gpu\w+Create\(|cuSolver internal error",
    re.IGNORECASE,
)
"""What the driver, and the libraries beside JAX, say where other programs have left them no memory.

JAX sets three quarters of a GPU's memory aside when it starts; cuBLAS, cuDNN and cuSOLVER take theirs from the rest.
"""

NO_ROOM = "RESOURCE_EXHAUSTED"
"""What JAX says where its own part of the memory is too small for what is computed."""

REMEDY = (
    "end that program (nvidia-smi lists it), choose another device with CUDA_VISIBLE_DEVICES, or let each program take "
    "less: XLA_PYTHON_CLIENT_MEM_FRACTION=0.4, or XLA_PYTHON_CLIENT_PREALLOCATE=false"
)

LINES = {
    "missing": (
        "devices: expected JAX to find them, got {said}; another program may hold them, or JAX_PLATFORMS names others: "
        "end that program, or set JAX_PLATFORMS=cpu"
    ),
    "taken": "devices: expected free memory, got {said}; another program may have taken it: " + REMEDY,
    "full": "devices: expected enough memory, got {said}; compute less at once; or if another program has taken it, "
    + REMEDY,
}
"""What is said of each kind of error."""

MAX_LETTERS = 200
"""Of what JAX said, the letters that are repeated."""


def explain_device_error(error: BaseException) -> str | None:
    """Say in a line why JAX could not use its devices; None if the error is of another kind.

    Example:
        >>> explain_device_error(RuntimeError("Unable to initialize backend 'cuda': no supported devices (and more)"))
        "devices: expected JAX to find them, got Unable to initialize backend 'cuda': no supported devices; ..."
        >>> explain_device_error(RuntimeError("INTERNAL: Failed to create cuBLAS handle"))
        'devices: expected free memory, got INTERNAL: Failed to create cuBLAS handle; another program may ...'
    """
    kind = classify_device_error(error)
    if kind is None:
        return None
    said = str(error).strip() or f"none for JAX_PLATFORMS={os.environ['JAX_PLATFORMS']}"
    return LINES[kind].format(said=said.splitlines()[0].split(" (")[0].rstrip(".")[:MAX_LETTERS])


def classify_device_error(error: BaseException) -> Literal["missing", "taken", "full"] | None:
    """Tell what is wrong with the devices; None if the error is of another kind.

    Returns:
        missing: JAX finds none. taken: other programs have left no memory, whatever is computed. full: what is
        computed does not fit into JAX's part of the memory.
    """
    said = str(error).strip()
    if isinstance(error, AssertionError):  # JAX itself says nothing then
        return "missing" if not said and "JAX_PLATFORMS" in os.environ and is_raised_by_jax(error) else None
    if not isinstance(error, RuntimeError):
        return None
    is_start = said.startswith(NO_START)
    if NO_ROOM in said and not is_start:
        return "full"
    if NO_MEMORY.search(said) or NO_ROOM in said:
        return "taken"
    return "missing" if is_start or "no supported devices found" in said else None


def is_device_fault(error: BaseException) -> bool:
    """Tell whether a device cannot be used at all, which is no fault of what is computed."""
    return classify_device_error(error) in ("missing", "taken")


def is_raised_by_jax(error: BaseException) -> bool:
    """Tell whether the innermost line of an error's traceback is JAX's own."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and "jax" in pathlib.Path(frames[-1].filename).parts
