"""One line for each way in which JAX says that it cannot use its devices."""

import jax
import pytest

from bench.device_errors import classify_device_error, explain_device_error, is_device_fault

START = "Unable to initialize backend 'cuda': "

SAID = {
    START + "INTERNAL: no supported devices found for platform CUDA (you may need to uninstall": "missing",
    START + "FAILED_PRECONDITION: No visible GPU devices. (set JAX_PLATFORMS=cpu)": "missing",
    START + "INTERNAL: failed call to cuDevicePrimaryCtxRetain: CUDA_ERROR_OUT_OF_MEMORY: out of memory": "taken",
    START + "RESOURCE_EXHAUSTED: Out of memory while trying to allocate": "taken",
    "INTERNAL: no supported devices found for platform CUDA": "missing",
    "INTERNAL: jaxlib/gpu/solver_handle_pool.cc:37: operation gpusolverDnCreate(&handle) failed: cuSolver": "taken",
    "jaxlib/gpu/blas_handle_pool.cc:37: operation gpublasCreate(&handle) failed": "taken",
    "INTERNAL: cuSolver internal error": "taken",
    "INTERNAL: Failed to create cuBLAS handle": "taken",
    "INTERNAL: failed to create cublas handle: the library was not initialized": "taken",
    "Could not create cudnn handle: CUDNN_STATUS_INTERNAL_ERROR": "taken",
    "INTERNAL: Attempting to perform BLAS operation using StreamExecutor without BLAS support": "taken",
    "FAILED_PRECONDITION: DNN library initialization failed. Look at the errors above for more details.": "taken",
    "INTERNAL: Failed to load in-memory CUBIN: CUDA_ERROR_OUT_OF_MEMORY: out of memory": "taken",
    "UNKNOWN: CUDA_ERROR_DEVICE_UNAVAILABLE: CUDA-capable device(s) is/are busy or unavailable": "taken",
    "RESOURCE_EXHAUSTED: Out of memory allocating 140737488355328 bytes.": "full",
    "RESOURCE_EXHAUSTED: CUDA_ERROR_OUT_OF_MEMORY: out of memory": "full",
}

OTHERS = [
    jax.errors.JaxRuntimeError("INTERNAL: CUDA_ERROR_LAUNCH_FAILED"),
    jax.errors.JaxRuntimeError("INVALID_ARGUMENT: shapes"),
    RuntimeError("a mistake of ours"),
    ValueError("RESOURCE_EXHAUSTED"),
    AssertionError(),
    AssertionError("CUDA_ERROR_OUT_OF_MEMORY"),
]


@pytest.mark.parametrize(("said", "kind"), SAID.items())
def test_what_jax_says_is_one_line_with_what_to_do(said, kind):
    error = (RuntimeError if said.startswith(START) else jax.errors.JaxRuntimeError)(said + "\n  and much more")
    assert classify_device_error(error) == kind and is_device_fault(error) == (kind != "full")
    line = explain_device_error(error)
    assert "\n" not in line and said.split(" (")[0].rstrip(".") in line
    assert ("JAX_PLATFORMS=cpu" if kind == "missing" else "XLA_PYTHON_CLIENT_MEM_FRACTION=0.4") in line


@pytest.mark.parametrize("error", OTHERS, ids=repr)
def test_other_errors_are_not_explained(error):
    assert explain_device_error(error) is None and not is_device_fault(error)


def test_a_failed_start_without_a_word_is_explained(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    try:
        exec(compile("assert False", "/x/jax/_src/xla_bridge.py", "exec"))
    except AssertionError as error:
        assert "got none for JAX_PLATFORMS=cuda;" in explain_device_error(error)
