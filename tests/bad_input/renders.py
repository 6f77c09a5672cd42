"""Bad renders of another program, for `import`, and bad lists of captions."""

from __future__ import annotations

import io
import pathlib
import struct
import tarfile
import zipfile

from tests.bad_input.bad_case import BadCase, setup
from tests.fixtures.captured_scenes import ring, write_transforms

OPTIONS = "--name mine --budget smoke --results runs"

SCENES = "--scenes vase --task sparse-views:vase"


def png(size: int = 8, mode: str = "RGB") -> bytes:
    """Write a picture."""
    from PIL import Image

    packed = io.BytesIO()
    Image.new(mode, (size, size)).save(packed, "PNG")
    return packed.getvalue()


def scene(place: pathlib.Path) -> pathlib.Path:
    """Write a scene of eight photographs; return an empty folder for renders."""
    write_transforms(place / "vase", poses=ring(8))
    (place / "out").mkdir()
    return place / "out"


@setup
def renders_are_none(place):
    scene(place)


@setup
def renders_are_text(place):
    (scene(place) / "0.png").write_text("a picture")


@setup
def renders_are_a_text_file(place):
    scene(place)
    (place / "out.txt").write_text("pictures")


@setup
def renders_without_numbers(place):
    (scene(place) / "first.png").write_bytes(png())


@setup
def renders_with_several_numbers(place):
    folder = scene(place)
    (folder / "1_2.png").write_bytes(png())
    (folder / "2_1.png").write_bytes(png())


@setup
def renders_of_one_view_twice(place):
    folder = scene(place)
    (folder / "0.png").write_bytes(png())
    (folder / "00.png").write_bytes(png())


@setup
def renders_of_views_that_are_not_there(place):
    (scene(place) / "77.png").write_bytes(png())


@setup
def renders_numbered_with_5000_digits(place):
    folder = scene(place)
    (folder / f"{'9' * 240}.png").write_bytes(png())


@setup
def zip_is_empty(place):
    scene(place)
    (place / "out.zip").write_bytes(b"")


@setup
def zip_is_cut(place):
    scene(place)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("0.png", png())
    (place / "out.zip").write_bytes(packed.getvalue()[:-30])


@setup
def zip_climbs_out(place):
    scene(place)
    with zipfile.ZipFile(place / "out.zip", "w") as file:
        file.writestr("../../evil.png", png())


@setup
def zip_is_locked(place):
    scene(place)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("0.png", png())
    content = bytearray(packed.getvalue())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (place / "out.zip").write_bytes(content)


@setup
def zip_claims_gigabytes(place):
    scene(place)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("0.png", b"x")
    content = bytearray(packed.getvalue())
    start = content.index(b"PK\x01\x02")
    content[start + 24 : start + 28] = struct.pack("<I", 0xFFFFFFF0)
    (place / "out.zip").write_bytes(content)


@setup
def tar_is_text(place):
    scene(place)
    (place / "out.tar.gz").write_text("no archive")


@setup
def tar_holds_a_link_out(place):
    scene(place)
    with tarfile.open(place / "out.tar", "w") as file:
        entry = tarfile.TarInfo("0.png")
        entry.type = tarfile.SYMTYPE
        entry.linkname = "/etc/passwd"
        file.addfile(entry)


@setup
def tar_climbs_out(place):
    scene(place)
    with tarfile.open(place / "out.tar", "w") as file:
        entry = tarfile.TarInfo("/etc/evil.png")
        entry.size = 1
        file.addfile(entry, io.BytesIO(b"x"))


@setup
def tar_claims_gigabytes(place):
    scene(place)
    entry = tarfile.TarInfo("0.png")
    entry.size = 2**40
    (place / "out.tar").write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024)


@setup
def captions_are_empty(place):
    (place / "captions.txt").write_text("")


@setup
def captions_are_one(place):
    (place / "captions.txt").write_text("a red chair\n")


@setup
def captions_in_latin1(place):
    (place / "captions.txt").write_bytes("a caf\u00e9\na chair\n".encode("latin-1"))


@setup
def captions_are_binary(place):
    (place / "captions.txt").write_bytes(bytes(range(256)) * 8)


@setup
def captions_without_words(place):
    (place / "captions.txt").write_text("a red chair\n...\na blue chair\n")


@setup
def captions_twice(place):
    (place / "captions.txt").write_text("a red chair\nA red  chair.\n")


@setup
def captions_are_a_folder(place):
    (place / "captions.txt").mkdir()


@setup
def captions_lead_nowhere(place):
    (place / "captions.txt").symlink_to(place / "nowhere.txt")


@setup
def captions_are_far_too_large(place):
    with (place / "captions.txt").open("wb") as file:
        file.truncate(2**27)


NAMES = tuple(
    BadCase(f"import out {SCENES} --budget smoke --results runs --name {name}", "--name: expected", "renders_are_none")
    for name in (
        "''",
        "a__b",
        "../up",
        "a/b",
        "'a b'",
        "_a",
        "a.",
        "\u00fc",
        "a" * 65,
        "nerf",
        "$(ls)",
        "'<b>'",
        "'\033[1m'",
    )
)

RENDERS = (
    BadCase(f"import none {SCENES} {OPTIONS}", "none: expected a folder, or an archive", "renders_are_none"),
    BadCase(f"import out {SCENES} {OPTIONS}", "out: expected", "renders_are_none"),
    BadCase(f"import out.txt {SCENES} {OPTIONS}", "out.txt: expected a folder", "renders_are_a_text_file"),
    BadCase(f"import out {SCENES} {OPTIONS}", "out", "renders_are_text"),
    BadCase(f"import out {SCENES} {OPTIONS}", "expected one number in the name", "renders_without_numbers"),
    BadCase(f"import out {SCENES} {OPTIONS}", "out: expected", "renders_with_several_numbers"),
    BadCase(f"import out {SCENES} {OPTIONS}", "expected one image of view 0, got", "renders_of_one_view_twice"),
    BadCase(f"import out {SCENES} {OPTIONS}", "also 77", "renders_of_views_that_are_not_there"),
    BadCase(f"import out {SCENES} {OPTIONS}", "also 9999", "renders_numbered_with_5000_digits"),
    BadCase(f"import out.zip {SCENES} {OPTIONS}", "out.zip: expected", "zip_is_empty"),
    BadCase(f"import out.zip {SCENES} {OPTIONS}", "out.zip: expected", "zip_is_cut"),
    BadCase(f"import out.zip {SCENES} {OPTIONS}", "out.zip: expected", "zip_climbs_out"),
    BadCase(f"import out.zip {SCENES} {OPTIONS}", "out.zip: expected", "zip_is_locked"),
    BadCase(f"import out.zip {SCENES} {OPTIONS}", "out.zip: expected", "zip_claims_gigabytes"),
    BadCase(f"import out.tar.gz {SCENES} {OPTIONS}", "out.tar.gz: expected", "tar_is_text"),
    BadCase(f"import out.tar {SCENES} {OPTIONS}", "out.tar", "tar_holds_a_link_out"),
    BadCase(f"import out.tar {SCENES} {OPTIONS}", "out.tar: expected", "tar_climbs_out"),
    BadCase(f"import out.tar {SCENES} {OPTIONS}", "out.tar: expected", "tar_claims_gigabytes"),
    BadCase(f"import out --scenes vase --task nothing:vase {OPTIONS}", "--task: expected SUITE", "renders_are_none"),
    BadCase(f"import out --scenes vase --task sparse-views:vas {OPTIONS}", "nearest is 'vase'", "renders_are_none"),
    BadCase(f"import out {SCENES} {OPTIONS} --num-views 0", "--num-views: expected a whole number", "renders_are_none"),
    BadCase(f"import out {SCENES} {OPTIONS} --seed=-1", "--seed: expected a whole number", "renders_are_none"),
    BadCase(f"import out {SCENES} {OPTIONS} --seed {'9' * 30}", "--seed: expected a whole number", "renders_are_none"),
)

CAPTIONS = tuple(
    BadCase(f"import out --task captions --captions file:captions.txt {OPTIONS}", says, name)
    for name, says in {
        "captions_are_empty": "captions.txt: expected two captions or more",
        "captions_are_one": "captions.txt: expected two captions or more",
        "captions_in_latin1": "captions.txt: expected text in UTF-8",
        "captions_are_binary": "captions.txt: expected text in UTF-8",
        "captions_without_words": "captions.txt, line 2: expected words",
        "captions_twice": "captions.txt: expected different captions, got the same in lines 1 and 2",
        "captions_are_a_folder": "captions.txt: expected a text file of captions, got a folder",
        "captions_lead_nowhere": "captions.txt: expected a text file of captions, got none there",
        "captions_are_far_too_large": "captions.txt: expected at most",
    }.items()
)

SETS = (
    BadCase(f"import out --task captions --captions file: {OPTIONS}", "file:"),
    BadCase(f"import out --task captions --captions closed-wrld {OPTIONS}", "closed-wrld"),
    BadCase(f"import out --task 'captions:no such thing' {OPTIONS}", "no such thing"),
)

TABLE = (*NAMES, *RENDERS, *CAPTIONS, *SETS)
