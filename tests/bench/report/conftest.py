"""The made-up studies, each made once."""

from __future__ import annotations

import pytest

from bench.analysis.paired_comparison import compare
from tests.fixtures.report_studies import HOSTILE, METRICS, caption_study, running_result, shares_result, study


@pytest.fixture(scope="session")
def usual():
    """The study with plain names."""
    return study(arm_notes={"same": "changes nothing"}, notes=("scores of an older protocol",))


@pytest.fixture(scope="session")
def hostile():
    """The study with names that try to break out."""
    return study(arms=HOSTILE, table="t<1> $ & | _", question="is x < y & \\alpha?", notes=("<b>note</b>",))


@pytest.fixture(scope="session")
def make_study():
    """The function, for other shapes."""
    return study


@pytest.fixture(scope="session")
def captioned():
    """The study of captions."""
    return caption_study()


@pytest.fixture(scope="session")
def make_caption_study():
    """The function, for other shapes."""
    return caption_study


@pytest.fixture(scope="session")
def shares():
    """A table of a share near its end, and of a metric without a direction."""
    return shares_result()


@pytest.fixture(scope="session")
def running():
    """The table of a study of which five trials have not run yet."""
    return running_result()


@pytest.fixture(scope="session")
def without_baseline():
    """The study with plain names, of which nobody chose the baseline."""
    made = study()
    cells = [cell for cell in made.cells if cell.arm != "base"]
    made.result = compare(
        made.frame, cells, table="parts", baseline="base", protocol="std-v1", metrics=METRICS, allow_no_baseline=True
    )
    made.cells = cells
    return made
