"""Numbers that are not finite, and values that do not have the types that are asked for."""

import dataclasses
import json
import math
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.storage import json_values

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_what_is_written_is_read(value):
    content = json_values.to_bytes(value, "here")
    assert content.endswith(b"\n") and content.count(b"\n") == 1
    assert json_values.from_bytes(content, "here") == value == json.loads(content)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused_unless_it_is_made_null(number):
    with pytest.raises(ValueError, match="here: .*finite"):
        json_values.to_bytes({"a": [number]}, "here")
    plain = json_values.nan_to_none({"a": (number, 1), "b": {"c": number}, "d": "nan"})
    assert plain == {"a": [None, 1], "b": {"c": None}, "d": "nan"}
    assert math.isnan(json_values.none_to_nan(plain)["b"]["c"])


@pytest.mark.parametrize("content", [b"", b"{", b"[1,]", b"NaN", b"[Infinity]", b"\xff", b"{} {}"])
def test_what_is_no_json_is_told_in_one_line(content):
    with pytest.raises(ValueError, match="^here: expected JSON") as caught:
        json_values.from_bytes(content, "here")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b'{"a": 1, "a": 2}', b'[{"b": {"a" : 1,\n"a":1}}]', b'{"\\u0061": 1, "a": 2}', b'{"a": "\\":", "a" : 2, "c" : 1}'],
)
def test_a_key_that_stands_twice_is_refused(content):
    with pytest.raises(ValueError, match="^here: expected each key once, got 'a' twice") as caught:
        json_values.from_bytes(content, "here")
    assert type(caught.value) is ValueError  # as of all that does not parse: a store sets it aside


def test_what_only_looks_like_a_key_is_read():
    value = {"a": '":', 'b":': [{"a": 'x" :'}, {"a": ['": "'], "b": {}}]}
    assert json_values.from_bytes(json.dumps(value).encode(), "here") == value
    assert json_values.from_bytes(json.dumps(value, separators=(" , ", " : ")).encode(), "here") == value


@dataclasses.dataclass(frozen=True)
class Pair:
    first: int
    kind: Literal["a", "b"] = "a"
    rest: tuple[float, ...] = ()

    def __post_init__(self):
        if self.first < 0:
            raise ValueError("expected a first of 0 or more,\ngot less")


def test_values_become_a_dataclass():
    assert json_values.convert({"first": 1}, Pair, "here") == Pair(1)
    assert json_values.convert({"first": 1, "kind": "b", "rest": [1, 2.5]}, Pair, "here") == Pair(1, "b", (1.0, 2.5))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "`first`"),
        ({"first": "1"}, r"\$.first"),
        ({"first": 1.5}, r"\$.first"),
        ({"first": True}, r"\$.first"),
        ({"first": 1, "kind": "c"}, r"'c' - at `\$.kind"),
        ({"first": 1, "rest": [1, None]}, r"\$.rest\[1\]"),
        ({"first": 1, "third": 3}, "unknown third"),
        ({"first": -1}, "first of 0 or more, got less"),
        ([1], "object"),
        (None, "object"),
    ],
)
def test_a_field_that_does_not_fit_is_named_in_one_line(value, words):
    with pytest.raises(ValueError, match=f"^here: expected the fields of Pair, .*{words}") as caught:
        json_values.convert(value, Pair, "here")
    assert "\n" not in str(caught.value)
