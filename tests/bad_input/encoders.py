"""Bad files of encoders: safetensors, configurations, names of a hub."""

from __future__ import annotations

import json
import pathlib
import struct

from tests.bad_input.bad_case import BadCase, setup
from tests.bad_input.records import DEEP
from tests.fixtures import clip_checkpoints

FIGURE = "report --figure clip-consistency --budget smoke --scenes vase --out out --encoder {name}"


def scene(place: pathlib.Path) -> pathlib.Path:
    """Write a small scene, which the figure is drawn of."""
    from tests.fixtures.captured_scenes import ring, write_transforms

    return write_transforms(place / "vase", poses=ring(8))


def encoder(place: pathlib.Path, content: bytes) -> None:
    """Write a file of an encoder."""
    scene(place)
    (place / "own.safetensors").write_bytes(content)


def with_header(header: bytes, rest: bytes = b"") -> bytes:
    """Return a file of safetensors with a header."""
    return struct.pack("<Q", len(header)) + header + rest


@setup
def no_encoder(place):
    scene(place)


@setup
def encoder_is_empty(place):
    encoder(place, b"")


@setup
def encoder_is_text(place):
    encoder(place, b"these are no weights" * 10)


@setup
def encoder_is_cut(place):
    encoder(place, with_header(json.dumps({"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}).encode()))


@setup
def encoder_claims_a_huge_header(place):
    encoder(place, b"\xff" * 7 + b"\x7f{}")


@setup
def encoder_has_no_header(place):
    encoder(place, with_header(b"{"))


@setup
def encoder_of_an_unknown_dtype(place):
    header = json.dumps({"a": {"dtype": "F7", "shape": [1], "data_offsets": [0, 4]}}).encode()
    encoder(place, with_header(header, b"\0" * 4))


@setup
def encoder_of_overlapping_tensors(place):
    each = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    encoder(place, with_header(json.dumps({"a": each, "b": each}).encode(), b"\0" * 4))


@setup
def encoder_of_a_negative_size(place):
    header = json.dumps({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}).encode()
    encoder(place, with_header(header, b"\0" * 4))


@setup
def encoder_without_a_card(place):
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    encoder(place, with_header(header, b"\0" * 4))


@setup
def encoder_whose_card_is_deep(place):
    header = json.dumps({"__metadata__": {"card": DEEP.decode(), "model": DEEP.decode()}}).encode()
    encoder(place, with_header(header))


@setup
def encoder_is_a_folder(place):
    scene(place)
    (place / "own.safetensors").mkdir()


def huggingface(place: pathlib.Path, name: str, content: bytes) -> None:
    """Write a checkpoint of transformers, and other bytes in place of one of its files."""
    scene(place)
    clip_checkpoints.folder(place / "hf")
    (place / "hf" / name).write_bytes(content)


@setup
def config_is_cut(place):
    huggingface(place, "config.json", json.dumps(clip_checkpoints.CONFIG).encode()[:50])


@setup
def config_is_a_list(place):
    huggingface(place, "config.json", b"[]")


@setup
def config_is_deep(place):
    huggingface(place, "config.json", DEEP)


@setup
def config_is_binary(place):
    huggingface(place, "config.json", bytes(range(256)))


@setup
def config_of_another_model(place):
    huggingface(place, "config.json", b'{"model_type": "bert"}')


@setup
def config_of_words(place):
    told = clip_checkpoints.CONFIG | {"projection_dim": "wide"}
    huggingface(place, "config.json", json.dumps(told).encode())


@setup
def config_of_nothing(place):
    told = clip_checkpoints.CONFIG | {"projection_dim": -0}
    huggingface(place, "config.json", json.dumps(told).encode())


@setup
def config_of_a_huge_width(place):
    told = clip_checkpoints.CONFIG | {"projection_dim": 10**30}
    huggingface(place, "config.json", json.dumps(told).encode())


@setup
def config_that_is_gone(place):
    huggingface(place, "config.json", b"")
    (place / "hf" / "config.json").unlink()


@setup
def weights_that_are_gone(place):
    huggingface(place, "x", b"")
    (place / "hf" / "model.safetensors").unlink()


@setup
def weights_that_are_cut(place):
    huggingface(place, "x", b"")
    path = place / "hf" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


@setup
def pixels_of_words(place):
    huggingface(place, "preprocessor_config.json", b'{"image_mean": "grey", "image_std": [1, 1, 1]}')


@setup
def pixels_of_two_numbers(place):
    huggingface(place, "preprocessor_config.json", b'{"image_mean": [0.5, 0.5], "image_std": [1, 1, 1]}')


@setup
def pixels_divided_by_zero(place):
    huggingface(place, "preprocessor_config.json", b'{"image_mean": [0, 0, 0], "image_std": [0, 1, 1]}')


@setup
def pixels_of_nan(place):
    huggingface(place, "preprocessor_config.json", b'{"image_mean": [NaN, 0, 0], "image_std": [1, 1, 1]}')


FILES = tuple(
    BadCase(FIGURE.format(name="file:own.safetensors"), "own.safetensors", name)
    for name in (
        "no_encoder",
        "encoder_is_empty",
        "encoder_is_text",
        "encoder_is_cut",
        "encoder_claims_a_huge_header",
        "encoder_has_no_header",
        "encoder_of_an_unknown_dtype",
        "encoder_of_overlapping_tensors",
        "encoder_of_a_negative_size",
        "encoder_without_a_card",
        "encoder_whose_card_is_deep",
        "encoder_is_a_folder",
    )
)

FOLDERS = tuple(
    BadCase(FIGURE.format(name="hf:hf"), says, name)
    for name, says in {
        "config_is_cut": "config.json",
        "config_is_a_list": "config.json",
        "config_is_deep": "config.json",
        "config_is_binary": "config.json",
        "config_of_another_model": "bert",
        "config_of_words": "projection_dim",
        "config_of_nothing": "projection_dim",
        "config_of_a_huge_width": "projection_dim",
        "config_that_is_gone": "config.json",
        "weights_that_are_gone": "model.safetensors",
        "weights_that_are_cut": "model.safetensors",
        "pixels_of_words": "image_mean",
        "pixels_of_two_numbers": "image_mean",
        "pixels_divided_by_zero": "image_std",
        "pixels_of_nan": "preprocessor_config.json",
    }.items()
)

NAMES = tuple(
    BadCase(FIGURE.format(name=name), says, "no_encoder")
    for name, says in (
        ("nothing", "got 'nothing'"),
        ("''", "got ''"),
        ("ftp:x", "got 'ftp:x'"),
        ("hf:", "hf:"),
        ("hf:owner/name", "hf:owner/name"),
        ("hf:owner/name@main", "expected a pinned revision of 40 hexadecimal digits, got 'main'"),
        ("hf:../../etc", "hf:../../etc"),
        ("open_clip:none/none.pt", "expected one of open_clip's names"),
        ("open_clip:", "expected one of open_clip's names"),
        ("openai:none.pt", "none.pt"),
        ("clip-jax:none", "none"),
        ("file:", "file:"),
    )
)

TABLE = (*FILES, *FOLDERS, *NAMES)
