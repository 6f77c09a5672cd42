"""Rules for every test: shapes are checked, ranks are never promoted silently, warnings are errors."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Threads of XLA. Interpreted kernels of a GPU block one for each of their own threads, and would wait forever with two.
os.environ.setdefault("NPROC", str(max(4, os.cpu_count() or 1)))

from tests.fixtures.quick_compiler import quicker_flags  # noqa: E402
from tests.fixtures.session_bytecode import keep_bytecode, remove_bytecode  # noqa: E402

BYTECODE = keep_bytecode()

from tests.fixtures.type_checking import check_types  # noqa: E402

if "XLA_FLAGS" in os.environ:
    os.environ["XLA_FLAGS"] = quicker_flags(os.environ["XLA_FLAGS"])

check_types(["tasks", "models", "bench"])

import jax  # noqa: E402
import pytest  # noqa: E402

from tests.fixtures import own_process  # noqa: E402
from tests.fixtures.quick_selection import QuickSelection  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")

collect_ignore = ["fixtures/clip_originals.py"]  # no tests: imports PyTorch, which only `make parity` installs


def pytest_addoption(parser):
    """Adds a flag to write golden files anew."""
    parser.addoption("--make-golden", action="store_true", help="write golden files anew, to be read as a diff")


def pytest_configure(config):
    """Registers what marks the quick tests; not as a file's hooks, which would not see examples in docstrings."""
    config.pluginmanager.register(QuickSelection(config))
    config.pluginmanager.register(own_process)


def pytest_unconfigure():
    """Removes what was kept for the time of the tests."""
    remove_bytecode(BYTECODE)


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Rendered data and compiled programs of the tests live in a folder of their own, which all workers share."""
    from bench.training.devices import use_compilation_cache

    with pytest.MonkeyPatch.context() as patch:
        folder = os.environ.get("BENCH_TEST_DATA_DIR")
        if folder is None:
            base = tmp_path_factory.getbasetemp()
            shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
            folder = str(shared / "cache")
        patch.setenv("BENCH_DATA_DIR", folder)
        patch.setenv("BENCH_KEEP_PROGRAMS", "0")  # tests put functions of their own in the place of ours
        use_compilation_cache()
        yield
