"""Reads the images of a folder or an archive of renders, and finds the scene and the view of each.

    RENDERS/<scene>/<view id>.png       several scenes
    RENDERS/<view id>.png               one scene

An id is the one number in a file's name: `0.png`, `007.png`, `r_0.png`, `test_000.png`. Where all names have the same
numbers but one, as `run2_000.png`, `run2_001.png`, it is that one. Archives are read in memory, never unpacked.

h and w: pixels of a view, c: 3 channels or 4.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import pathlib
import re
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bench.errors import UsageError, nearest
from tasks.data_dir.bounded_archives import ArchiveLimits, ArchiveMember, check_totals, read_tar, read_zip
from tasks.data_dir.guarded_files import read_plain_file

IMAGES = (".png", ".jpg", ".jpeg")

ZIPS = (".zip",)

TARS = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")

LIMITS = ArchiveLimits(members=20_000, num_bytes=2 << 30)
"""Most files and bytes of a folder or an archive; one with more is refused before it is read."""

MOST_IMAGE_BYTES = 512 << 20
"""Most bytes of one image."""

NAMES = "name it by the view's id: 0.png, 007.png, r_0.png or test_000.png"

Files = dict[str, Callable[[], bytes]]
"""A function that reads each file, by the file's path below the renders' folder."""


class RenderedImage(NamedTuple):
    """An image as it was saved.

    Attributes:
        values: Values in [0, 1]; a fourth channel is straight alpha.
        is_lossy: Whether it was a JPEG.
    """

    values: Float[np.ndarray, "h w c"]
    is_lossy: bool


# ---- files -----------------------------------------------------------------------------------------------------------


def find_files(path: pathlib.Path) -> Files:
    """Find all files of a folder or an archive except hidden ones; names leave out a folder that holds all others.

    Raises:
        UsageError: It is neither, it is broken or far too large, or a member could leave its folder.
    """
    name = path.name.lower()
    try:
        if path.is_dir():
            found = _of_folder(path)
        elif name.endswith(ZIPS):
            found = _of_archive(path, read_zip(path, LIMITS))
        elif name.endswith(TARS):
            found = _of_archive(path, read_tar(path, LIMITS))
        else:
            got = f"a {path.suffix or 'plain'} file" if path.exists() else "nothing there"
            raise UsageError(f"{path}: expected a folder, or an archive ({' '.join((*ZIPS, *TARS))}), got {got}")
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path}: expected renders that can be read, got {reason!r}; bring them again") from error
    shown = {name: read for name, read in found.items() if not _is_hidden(name)}
    while _have_one_folder(shown):
        shown = {name.partition("/")[2]: read for name, read in shown.items()}
    return shown


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def _have_one_folder(files: Files) -> bool:
    """Tell whether all files lie in folders of one folder."""
    tops = {name.split("/")[0] for name in files}
    return len(tops) == 1 and all(name.count("/") > 1 for name in files)


def _of_folder(path: pathlib.Path) -> Files:
    """Find the files of a folder; links to files and folders are the user's own, and each folder is entered once."""
    found: Files = {}
    entered: set[tuple[int, int]] = set()
    num_bytes = 0
    for folder, folders, names in os.walk(path, followlinks=True, onerror=_raise):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        folders.sort()
        for name in sorted(names):
            file = pathlib.Path(folder, name)
            num_bytes += file.stat().st_size if file.exists() else 0  # a link may lead nowhere; reading it says so
            found[file.relative_to(path).as_posix()] = functools.partial(_content, file)
        check_totals(path, len(found) + len(entered), num_bytes, LIMITS)
    return found


def _raise(error: OSError) -> None:
    raise error


def _content(file: pathlib.Path) -> bytes:
    try:
        return read_plain_file(file, MOST_IMAGE_BYTES)
    except FileNotFoundError as error:
        raise UsageError(f"{file}: expected a file that can be read, got {error.strerror!r}; bring it again") from error


def _of_archive(path: pathlib.Path, members: Iterator[ArchiveMember]) -> Files:
    found: Files = {}
    for member in members:
        _check_member(path, member.name)
        if member.name.lower().endswith(IMAGES):
            found[_tidy(member.name)] = _kept(member.read())
    return found


def _kept(content: bytes) -> Callable[[], bytes]:
    return lambda: content


def _tidy(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _check_member(path: pathlib.Path, name: str) -> None:
    """Refuse members of an archive that would not stay in its folder, though nothing is ever unpacked."""
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
        raise UsageError(
            f"{path}: expected plain files below one folder, got a path out of the folder, {name!r}; pack it again "
            "without"
        )


# ---- scenes and views ------------------------------------------------------------------------------------------------


def group_by_folder(files: Files) -> dict[str, Files]:
    """Group images by the folder that they lie in, and by their name there."""
    found: dict[str, Files] = {}
    for path, read in files.items():
        folder, _, name = path.rpartition("/")
        if name.lower().endswith(IMAGES):
            found.setdefault(folder, {})[name] = read
    return found


def select_scene(files: Files, name: str, others: Sequence[str], where: pathlib.Path) -> Files:
    """Select the images of a single scene, wherever they lie.

    Args:
        files: Files of the renders.
        name: Name of the scene's folder, if it has one.
        others: Names of other scenes.
        where: The renders, for messages.

    Raises:
        UsageError: There are none, they lie in several folders, or the folder is another scene's.
    """
    found = group_by_folder(files)
    named = [folder for folder in found if folder.rpartition("/")[2] == name]
    plain = [folder for folder in found if folder.rpartition("/")[2] not in others]
    for chosen in (named, [""] if "" in found else [], plain):
        if len(chosen) == 1:
            return found[chosen[0]]
    if not found:
        raise UsageError(f"{where}: expected images ({' '.join(IMAGES)}), got none; {NAMES}")
    shown = ", ".join(sorted(found)[:4])
    raise UsageError(
        f"{where}: expected the images of {name} there or in a folder {name!r}, got those of {shown}; name one folder"
    )


def select_scenes(files: Files, known: Sequence[str], where: pathlib.Path) -> dict[str, Files]:
    """Select the images of several scenes by the names of their folders, in the order of the known names.

    Raises:
        UsageError: Images lie in no scene's folder.
    """
    found: dict[str, Files] = {}
    for folder, images in group_by_folder(files).items():
        name = folder.rpartition("/")[2]
        if name not in known or name in found:
            got = f"{folder!r}" if folder else "images in none"
            advice = "one of them twice; keep one" if name in found else nearest(name, known)
            raise UsageError(f"{where}: expected a folder of images for each scene, got {got}; {advice}")
        found[name] = images
    if not found:
        raise UsageError(f"{where}: expected a folder of images for each scene, got no image; {NAMES}")
    return {name: found[name] for name in known if name in found}


def names_by_view(names: Sequence[str], where: str) -> dict[int, str]:
    """Find the view of each file name.

    Raises:
        UsageError: A name has no single number, or two names have the same one.

    Example:
        >>> names_by_view(["r_0.png", "r_10.png"], "kettle")
        {0: 'r_0.png', 10: 'r_10.png'}
        >>> names_by_view(["run2_000.png", "run2_001.png"], "kettle")
        {0: 'run2_000.png', 1: 'run2_001.png'}
    """
    numbers = {name: [int(n) for n in re.findall(r"[0-9]+", pathlib.PurePath(name).stem)] for name in names}
    place = _place_that_varies(numbers)
    found: dict[int, str] = {}
    for name in sorted(names):
        if place is None and len(numbers[name]) != 1:
            got = "several numbers" if numbers[name] else "none"
            raise UsageError(f"{where}: expected one number in the name of an image, got {got} in {name!r}; {NAMES}")
        view = numbers[name][place or 0]
        if view in found:
            raise UsageError(f"{where}: expected one image of view {view}, got {found[view]} and {name}; remove one")
        found[view] = name
    return dict(sorted(found.items()))


def _place_that_varies(numbers: Mapping[str, list[int]]) -> int | None:
    """Return the position of the only number in which the names differ; None if they differ in more or in letters."""
    shapes = {re.sub(r"[0-9]+", "#", pathlib.PurePath(name).stem) for name in numbers}
    if len(shapes) != 1 or not all(numbers.values()):
        return None
    varying = [place for place, column in enumerate(zip(*numbers.values(), strict=True)) if len(set(column)) > 1]
    return varying[0] if len(varying) == 1 else None


def check_view_ids(found: Sequence[int], known: Sequence[int], needed: Sequence[int], where: str) -> None:
    """Refuse renders with missing or unknown views.

    Args:
        found: Ids of the images.
        known: Ids of the task's views.
        needed: Ids that must be there.
        where: The renders, for messages.

    Raises:
        UsageError: Needed views are missing, or some ids are unknown.

    Example:
        >>> check_view_ids([0, 1, 2], known=[0, 1, 2, 3], needed=[0, 1, 2], where="kettle")
    """
    missing = [i for i in needed if i not in found]
    unknown = [i for i in found if i not in known]
    if not missing and not unknown:
        return
    got = []
    if missing:
        got.append(f"no {shorten_ids(missing)}")
    if unknown:
        got.append(f"also {shorten_ids(unknown)}")
    if [i + 1 for i in needed] == list(found):
        advice = "they seem to count from 1: ids count from 0"
    elif missing:
        advice = "render what is missing"
    else:
        advice = "take out what is of no view"
    raise UsageError(f"{where}: expected {len(needed)} views, {shorten_ids(needed)}, got {' and '.join(got)}; {advice}")


def shorten_ids(ids: Sequence[int]) -> str:
    """List ids as text, without the middle of many.

    Example:
        >>> shorten_ids([3]), shorten_ids(range(25))
        ('3', '0, 1, 2, ... 24')
    """
    texts = [str(i) for i in ids]
    return ", ".join(texts) if len(texts) <= 5 else f"{', '.join(texts[:3])}, ... {texts[-1]}"


# ---- pixels ----------------------------------------------------------------------------------------------------------


def decode_image(content: bytes, height: int, width: int, where: str) -> RenderedImage:
    """Decode an image: PNG of 8 or 16 bits, RGB or RGBA, or JPEG.

    Args:
        content: Content of the file.
        height: Height that it must have, in pixels; checked before anything is unpacked.
        width: Width that it must have.
        where: Its name, for messages.

    Raises:
        UsageError: It has another size, format or kind of channels, or is broken.
    """
    bits = _checked_bits(content, where)
    from PIL import Image

    with _reported(where), Image.open(io.BytesIO(content)) as image:
        if image.size != (width, height):
            raise UsageError(
                f"{where}: expected {width} x {height} pixels, got {image.size[0]} x {image.size[1]}; render it at the "
                "task's size"
            )
        if image.mode not in ("RGB", "RGBA") or "transparency" in image.info:
            got = f"{image.mode} with a transparent colour" if "transparency" in image.info else f"mode {image.mode}"
            raise UsageError(f"{where}: expected RGB or RGBA, got {got}; save it as such")
        values = np.asarray(image)  # also where it has 16 bits: the decoder of those forgives a file that is cut
        if bits == 16:
            return RenderedImage(_deep(content).astype(np.float32) / 65535, is_lossy=False)
        return RenderedImage(values.astype(np.float32) / 255, is_lossy=image.format == "JPEG")


def _checked_bits(content: bytes, where: str) -> int:
    """Read the bits of a channel from the head of the file."""
    if content[:3] == b"\xff\xd8\xff":
        return 8
    if content[:8] != b"\x89PNG\r\n\x1a\n" or content[12:16] != b"IHDR" or len(content) < 26:
        raise UsageError(f"{where}: expected a PNG or a JPEG, got another or a broken file; save it as PNG")
    bits, kind = struct.unpack(">BB", content[24:26])
    kinds = {0: "grey", 2: "RGB", 3: "a palette", 4: "grey with alpha", 6: "RGBA"}
    if kind not in (2, 6) or bits not in (8, 16):
        raise UsageError(
            f"{where}: expected RGB or RGBA of 8 or 16 bits, got {kinds.get(kind, kind)} of {bits}; save it in colour"
        )
    return bits


def _deep(content: bytes) -> np.ndarray:
    """Decode an image of 16 bits, which Pillow would cut to 8."""
    import av

    with av.open(io.BytesIO(content), format="png_pipe") as file:
        return next(file.decode(video=0)).to_ndarray()  # type: ignore[union-attr]


@contextlib.contextmanager
def _reported(where: str) -> Iterator[None]:
    """Report which image cannot be read, and why; an image that is far too large is not even begun."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (
        *(OSError, SyntaxError, ValueError, struct.error),
        *(Image.DecompressionBombError, Image.DecompressionBombWarning),
    ) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{where}: expected an image that can be read, got {reason!r}; save it again") from error
