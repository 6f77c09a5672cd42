"""The made-up studies, each made once."""

from __future__ import annotations

import pytest

from tests.fixtures.report_studies import HOSTILE, caption_study, study


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
