"""Flags of the compiler are added only where they are wanted and known."""

import pytest

from tests.fixtures.quick_compiler import NO_OPTIMISATION, OLDER_EMITTERS, quicker_flags


@pytest.mark.parametrize(
    ("flags", "version", "added"),
    [
        (NO_OPTIMISATION, "0.10.2", f" {OLDER_EMITTERS}=false"),
        (f"--xla_dump_to=/tmp/a {NO_OPTIMISATION}", "0.10.0", f" {OLDER_EMITTERS}=false"),
        (NO_OPTIMISATION, "0.11.2", ""),  # does not know it
        (f"{NO_OPTIMISATION} {OLDER_EMITTERS}=true", "0.10.2", ""),  # chosen by hand
        ("", "0.10.2", ""),  # programs as users have them
        ("--xla_backend_optimization_level=01", "0.10.2", ""),
    ],
)
def test_what_is_added(flags, version, added):
    assert quicker_flags(flags, version) == flags + added
