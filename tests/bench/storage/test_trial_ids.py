"""An id is found by its start before any part of it, and only if no other has it."""

from __future__ import annotations

import pytest

from bench.errors import UsageError
from bench.storage import trial_ids

IDS = ["nerf__chair__8v__s0__3f9c1a2b", "nerf__chair__8v__s1__082d35a3", "chair__mine__8v__s0__11111111"]


@pytest.mark.parametrize(
    ("part", "places"),
    [
        ("082d35a3", [1]),
        ("nerf__chair__8v__s0__3f9c1a2b", [0]),
        ("nerf", [0, 1]),
        ("chair", [2]),  # it starts so; the others only hold it
        ("s0", [0, 2]),
        ("", [0, 1, 2]),
        ("boat", []),
    ],
)
def test_match(part, places):
    assert trial_ids.match_trial_ids(part, iter(IDS)) == [IDS[place] for place in places]


def test_several_are_refused():
    trial_ids.refuse_several("show", "x", IDS[:1])
    with pytest.raises(
        UsageError, match="show: expected the start or a part of one id, got 's', which 5 share; .* and 2 "
    ):
        trial_ids.refuse_several("show", "s", IDS + IDS[:2])
