"""Settings of Dream Fields that are refused."""

import numpy as np
import pytest

from bench.errors import UsageError
from models.dream_fields import (
    DreamFields,
)
from tests.fixtures.toy_dreams import (
    Blob,
    made,
    prepared,
)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backgrounds": ("wite",)}, r"DreamFields: expected backgrounds among its options, got 'wite'; .*'white'"),
        ({"backgrounds": ()}, r"DreamFields: expected one or more of .*white.* in backgrounds, got none"),
        ({"crop_share": 1.5}, r"dream_fields: expected crop_share from 0.05 to 1, got 1.5; try 1$"),
        ({"crop_share": 0.0}, r"dream_fields: expected crop_share from 0.05 to 1, got 0; try 0.05$"),
        ({"half_width": 3.0}, r"expected half_width from 0.001 to 2, got 3; try 2"),
        ({"radius": 1.0}, r"expected radius from 3.5 to 100, got 1; try 3.5"),
        ({"last_opacity": float("nan")}, r"expected last_opacity from 0.001 to 1, got nan"),
        ({"low_deg": 40.0}, r"expected low_deg up to high_deg, got 40 and 30; swap them"),
        ({"prompt": "a photo"}, r"expected one \{\} for the caption in prompt, got 'a photo'; try 'a photo of \{\}'"),
        ({"prompt": "{} and {}"}, r"expected one \{\} for the caption in prompt, got '\{\} and \{\}'"),
        ({"distortion_weight": -1.0}, r"expected distortion_weight from 0 to 1000, got -1; try 0"),
        ({"last_sharpness": 4.0, "field": Blob()}, r"expected a field that takes `sharpness` .* got Blob; give its"),
        ({"encoder": "embedded-judge-rn"}, r"expected one that may guide, got 'embedded-judge-rn'"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(UsageError, match=message):
        DreamFields(**changes)


def test_unknown_transmittance():
    method = DreamFields()
    object.__setattr__(method, "transmittance", "clipped aditive")  # the constructor's annotation is checked in tests
    with pytest.raises(UsageError, match=r"transmittance among its options, got 'clipped ad.*'"):
        method.__post_init__()


def test_a_prompt_may_hold_other_braces():
    data = prepared(made(prompt="a photo of {} {x"))[2]
    np.testing.assert_allclose(np.linalg.norm(data.texts[0].caption), 1, rtol=1e-5)
