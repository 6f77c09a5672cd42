"""Inputs that nobody thought of: whatever a parser is given, it returns a value or raises an error of one line."""

import json
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.analysis.votes import read_votes
from bench.cli.argument_parser import digits_of
from bench.errors import UsageError
from bench.plugins.render_files import decode_image, find_files, names_by_view
from bench.storage import checksums
from bench.storage.stored_scores import parse_scores
from bench.suites import option_syntax
from tasks.captions.caption_sets import caption_set
from tasks.data_dir.user_json import parse_json_text
from tasks.sparse_views.captured import colmap_files, llff_reader
from tasks.sparse_views.transforms_json import read_frames
from tests.fixtures.stored_trials import some_record, some_scores

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)

RECORD = some_record()

GOOD = {
    "record": checksums.sealed(RECORD)[1],
    "scores": json.dumps(some_scores()).encode(),
    "votes": b'{"schema": 1, "suite": "a", "votes": [{"left": "a", "right": "b", "choice": "tie"}]}',
    "transforms": b'{"fl_x": 9, "frames": [{"file_path": "a", "transform_matrix": [[1,0,0,0],[0,1,0,0],[0,0,1,0]]}]}',
    "cameras": struct.pack("<QiiQQ3d", 1, 1, 0, 12, 8, 9.0, 6.0, 4.0),
    "images": struct.pack("<Qi7di", 1, 1, 1, 0, 0, 0, 0, 0, 1, 1) + b"a.png\0" + struct.pack("<Qddq", 1, 1.0, 2.0, 1),
    "points": struct.pack("<QQ3d3BdQii", 1, 1, 0, 0, 0, 9, 9, 9, 0.5, 1, 1, 0),
}
"""A small good file of each kind, which is changed at a few places."""


def read_from(folder, name, read):
    """Makes a reader of bytes of a reader of files."""

    def parse(content):
        path = folder / name
        path.write_bytes(content)
        return read(path)

    return parse


@pytest.fixture
def parsers(tmp_path):
    """A reader of bytes for each kind of file."""
    return {
        "json": lambda content: parse_json_text(content, "a.json"),
        "record": lambda content: checksums.parse_record(content, "record.json", RECORD.trial_id),
        "scores": lambda content: parse_scores(content, "scores.json"),
        "votes": read_from(tmp_path, "votes.json", read_votes),
        "transforms": read_from(tmp_path, "transforms.json", read_frames),
        "cameras": read_from(tmp_path, "cameras.bin", colmap_files.read_cameras),
        "images": read_from(tmp_path, "images.bin", colmap_files.read_image_list),
        "points": read_from(tmp_path, "points3D.bin", colmap_files.read_point_file),
        "cameras as text": read_from(tmp_path, "cameras.txt", colmap_files.read_cameras),
        "images as text": read_from(tmp_path, "images.txt", colmap_files.read_image_list),
        "points as text": read_from(tmp_path, "points3D.txt", colmap_files.read_point_file),
        "LLFF": read_from(tmp_path, "poses_bounds.npy", llff_reader._read_rows),
        "captions": read_from(tmp_path, "captions.txt", lambda path: caption_set(f"file:{path}")),
        "image": lambda content: decode_image(content, 8, 8, "0.png"),
        "zip": read_from(tmp_path, "out.zip", find_files),
        "tar": read_from(tmp_path, "out.tar.gz", find_files),
    }


@st.composite
def contents(draw, kind):
    """Any bytes, any JSON, or a good file with a few bytes changed, or cut."""
    good = GOOD.get(kind, b"PK\x03\x04\x93NUMPY\x89PNG\r\n\x1a\n")
    how = draw(st.sampled_from(("bytes", "json", "changed", "cut")))
    if how == "bytes":
        return draw(st.binary(max_size=200))
    if how == "json":
        return json.dumps(draw(JSON)).encode()
    if how == "cut":
        return good[: draw(st.integers(0, len(good)))]
    changed = bytearray(good)
    for place in draw(st.lists(st.integers(0, len(good) - 1), max_size=6)):
        changed[place] = draw(st.integers(0, 255))
    return bytes(changed)


def check_refusal(parse, content):
    """Parses; an error is one line of a kind that the command line prints, or that a store sets aside."""
    try:
        parse(content)
    except (UsageError, ValueError) as error:
        if not isinstance(error, UsageError):
            assert type(error) is ValueError  # of a store: set aside, and named
        assert str(error) and "\n" not in str(error)
        assert "\x1b" not in str(error)


def fuzz(kind, parse, num_examples):
    """Gives a parser its inputs."""

    @settings(max_examples=num_examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(content=contents(kind))
    def check(content):
        check_refusal(parse, content)

    check()


def test_files(parsers):
    for kind, parse in parsers.items():
        fuzz(kind, parse, 20)


@pytest.mark.slow
def test_files_at_length(parsers):
    for kind, parse in parsers.items():
        fuzz(kind, parse, 3000)


WORDS = st.text(max_size=30) | st.from_regex(r"[a-z0-9.,=+_:-]{0,30}", fullmatch=True)


def check_words(text):
    """Gives a text to every reader of an option's words."""
    for read in (
        option_syntax.parse_seeds,
        option_syntax.parse_condition,
        option_syntax.parse_setting,
        digits_of,
        lambda text: names_by_view([text, f"{text}0.png"], "out"),
    ):
        check_refusal(read, text)


@settings(max_examples=60, deadline=None, database=None)
@given(text=WORDS)
def test_words(text):
    check_words(text)


@pytest.mark.slow
@settings(max_examples=20_000, deadline=None, database=None)
@given(text=WORDS)
def test_words_at_length(text):
    check_words(text)
