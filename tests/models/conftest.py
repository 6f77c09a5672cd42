"""The parity table is printed after the tests that fill it."""

import pytest

_ROWS = pytest.StashKey[list]()


def pytest_configure(config):
    config.stash[_ROWS] = []
    config.addinivalue_line("markers", "parity: encoders against their PyTorch originals; `make parity` runs them")


@pytest.fixture(scope="session")
def parity_rows(request):
    """Rows of (architecture, layout, output, largest value, greatest difference)."""
    return request.config.stash[_ROWS]


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash.get(_ROWS, [])
    if not rows:
        return
    terminalreporter.section("parity with the PyTorch originals, float32")
    layout = "{:24} {:12} {:22} {:>13} {:>20} {:>10}"
    terminalreporter.write_line(
        layout.format("architecture", "layout", "output", "largest value", "greatest difference", "relative")
    )
    for architecture, kind, output, largest, difference in rows:
        terminalreporter.write_line(
            layout.format(
                architecture, kind, output, f"{largest:.4g}", f"{difference:.2e}", f"{difference / largest:.1e}"
            )
        )
