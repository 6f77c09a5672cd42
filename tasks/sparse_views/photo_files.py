"""Finds and reads the photographs that a file of cameras names, whatever program and computer wrote the names.

Names come with backslashes, with an extension of another case or none, and with the folders of another computer before
them. A name is taken as it is written where such a file is there; only else it is looked for under the others.

h and w: pixels of an image, c: 3 channels or 4.
"""

from __future__ import annotations

import contextlib
import functools
import pathlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import UInt8

from bench.errors import UsageError
from tasks.data_dir.guarded_files import open_plain_file

if TYPE_CHECKING:
    from PIL.Image import Image

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp")
"""Of photographs that are read."""

LEFT_OUT = (".jpg", ".jpeg", ".webp", ".png")
"""Extensions that are tried for a name without one, in this order."""

OTHER_FORMATS = (
    ".tif", ".tiff", ".bmp", ".exr", ".heic", ".heif", ".hdr", ".avif", ".dng", ".raw", ".cr2", ".nef", ".gif", ".ppm",
    ".npy", ".mp4", ".mov",
)  # fmt: skip
"""Extensions of pictures that are not read."""

MOST_PIXELS = 178_956_970
"""Of one photograph. It is Pillow's own limit, twice the number at which it warns."""

LONGEST_NAME = 255
"""Bytes of a file's name on every usual disk."""

_LOCK = threading.Lock()


class PhotoHeader(NamedTuple):
    """Holds what the head of a photograph's file says.

    Attributes:
        width: Pixels across.
        height: Pixels down.
        has_alpha: Whether it has an alpha channel.
        is_turned: Whether its EXIF data says that it is to be shown turned or mirrored; pixels are read as stored.
    """

    width: int
    height: int
    has_alpha: bool
    is_turned: bool


def find_photo(folder: pathlib.Path, name: str) -> pathlib.Path:
    """Find the file that a name means; where there is none, return the path that it is expected at.

    Args:
        folder: Folder that names are relative to.
        name: As a file of cameras has it.
    """
    if "\0" in name or len(name.rpartition("/")[2].encode(errors="replace")) > LONGEST_NAME:
        return folder / name[:LONGEST_NAME].replace("\0", "?")  # no file has that name
    written = _written(folder, name)
    if written.is_file():
        return written
    plain = name.replace("\\", "/")
    found = _written(folder, plain)
    if not found.is_file():
        found = _other_case(folder / plain) or found
    if not found.is_file():
        found = _of_another_computer(folder, plain) or found
    return found if found.is_file() or plain != name else written


def _written(folder: pathlib.Path, name: str) -> pathlib.Path:
    """Take a name literally, but for an extension that is left out, as in the original NeRF files."""
    photo = folder / name
    if photo.suffix.lower() in EXTENSIONS + OTHER_FORMATS:
        return photo
    others = [photo.with_name(photo.name + extension) for extension in LEFT_OUT]
    return next((other for other in others if other.exists()), others[-1])


def _other_case(photo: pathlib.Path) -> pathlib.Path | None:
    """Find a file whose name, or the extension that its name left out, differs in its case."""
    try:
        state = photo.parent.stat().st_mtime_ns
    except OSError:
        return None
    known = _names_in(photo.parent, state)
    wanted = photo.name.lower()
    is_whole = photo.suffix.lower() in EXTENSIONS + OTHER_FORMATS
    for each in [wanted] if is_whole else [wanted + extension for extension in LEFT_OUT]:
        if each in known:
            return photo.with_name(known[each])
    return None


@functools.lru_cache(maxsize=16)
def _names_in(folder: pathlib.Path, _mtime_ns: int) -> dict[str, str]:
    """List the files of a folder by their names in lower case."""
    return {path.name.lower(): path.name for path in sorted(folder.iterdir(), reverse=True)}


def _of_another_computer(folder: pathlib.Path, name: str) -> pathlib.Path | None:
    """Drop folders from the front of an absolute path until a file of the rest is here."""
    parts = pathlib.PurePosixPath(name).parts
    is_absolute = name.startswith("/") or parts[:1] and parts[0].endswith(":")
    if not is_absolute:
        return None
    for first in range(1, len(parts)):
        rest = "/".join(parts[first:])
        found = _written(folder, rest)
        if found.is_file():
            return found
    return None


def file_name(folder: pathlib.Path, photo: pathlib.Path) -> str:
    """Name a photograph from its scene's folder on; one that lies elsewhere by its name alone."""
    place = folder.absolute()
    image = photo.absolute()
    return image.relative_to(place).as_posix() if image.is_relative_to(place) else image.name


def read_photo_header(path: pathlib.Path, where: str) -> PhotoHeader:
    """Read the size and kind of a photograph, from its header only.

    Args:
        path: File of the photograph.
        where: What named it, for messages.

    Raises:
        UsageError: It is missing, no photograph, of a format that is not read, or too large.
    """
    with _opened(path, where) as image:
        _refuse_deep_pixels(image, path, where)
        orientation = 1
        with contextlib.suppress(Exception):  # broken EXIF data of a picture that is good
            orientation = image.getexif().get(0x0112, 1)
        width, height = image.size
        return PhotoHeader(width, height, _has_alpha(image), orientation not in (0, 1))


def read_photo(path: pathlib.Path, where: str) -> UInt8[np.ndarray, "h w c"]:
    """Read a photograph, with straight alpha if the file has alpha.

    Args:
        path: File of the photograph.
        where: What named it, for messages.

    Raises:
        UsageError: As `read_photo_header`, or it is damaged, or has more than 8 bits.
    """
    with _opened(path, where) as image:
        _refuse_deep_pixels(image, path, where)
        return np.asarray(image.convert("RGBA" if _has_alpha(image) else "RGB"))


def _refuse_deep_pixels(image: Image, path: pathlib.Path, where: str) -> None:
    if image.mode in ("1", "F") or image.mode.startswith("I"):
        raise UsageError(f"{where}: expected an image of 8 bits, got mode {image.mode} in {path}; convert it")


def check_whole(path: pathlib.Path, where: str) -> None:
    """Refuse a picture whose file is cut, as of a copy that broke off: its header says nothing of that.

    The end of a whole file is known by its last bytes. Only where they are others is the picture decoded: some cameras
    write more behind it.

    Args:
        path: File of the picture.
        where: What named it, for messages.

    Raises:
        UsageError: It is cut, missing, or no picture.
    """
    try:
        status = path.stat()
    except OSError:
        status = None
    if status is not None and _ends_whole(path, status.st_size, status.st_mtime_ns):
        return
    with _opened(path, where) as image:
        image.load()


@functools.lru_cache(maxsize=4096)
def _ends_whole(path: pathlib.Path, num_bytes: int, _mtime_ns: int) -> bool:
    """Tell whether a file begins as a picture and ends as a whole one."""
    try:
        with open_plain_file(path) as file:
            head = file.read(12)
            file.seek(max(0, num_bytes - 8))
            end = file.read(8)
    except (OSError, UsageError):
        return False  # whoever opens it says what is wrong
    if head.startswith(b"\x89PNG"):
        return end == b"IEND\xaeB`\x82"
    if head.startswith(b"\xff\xd8"):  # JPEG
        return end.endswith(b"\xff\xd9")
    is_webp = head[:4] == b"RIFF" and head[8:] == b"WEBP"
    return is_webp and num_bytes >= int.from_bytes(head[4:8], "little") + 8


def read_mask(path: pathlib.Path, where: str) -> UInt8[np.ndarray, "h w"]:
    """Read a mask: 255 where pixels count, 0 where they do not, as nerfstudio has it: anything but black counts.

    Args:
        path: File of the mask.
        where: What named it, for messages.

    Raises:
        UsageError: As `read_photo_header`, or it is damaged.
    """
    with _opened(path, where) as image:
        if _has_alpha(image):
            values = np.asarray(image.convert("RGBA"))
        else:
            values = np.asarray(image.convert("RGB") if image.mode in ("P", "CMYK", "YCbCr", "LAB") else image)
    if values.ndim == 3:
        colors = values[..., :3].max(axis=-1)
        # A mask that is cut out of a white sheet holds what it says in its alpha.
        values = values[..., 3] if values.shape[-1] == 4 and colors.min() == colors.max() else colors
    return np.where(values > 0, 255, 0).astype(np.uint8)


def _has_alpha(image: Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


@contextlib.contextmanager
def _opened(path: pathlib.Path, where: str) -> Iterator[Image]:
    """Open a photograph; whatever is wrong with it is one line."""
    from PIL import Image as pillow

    if path.suffix.lower() in OTHER_FORMATS:
        kind = path.suffix.lower().lstrip(".")
        raise UsageError(
            f"{where}: expected a PNG, JPEG or WebP file, got {path.name}, and {kind} is a format that is not read; "
            "convert the photos to PNG and correct their names"
        )
    try:
        # Pillow warns of large pictures, and refuses larger ones, as if they came from strangers. These are the user's.
        with open_plain_file(path) as file:
            with _LOCK:
                limit = pillow.MAX_IMAGE_PIXELS
                pillow.MAX_IMAGE_PIXELS = None
                try:
                    image: Image = pillow.open(file)
                finally:
                    pillow.MAX_IMAGE_PIXELS = limit
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise UsageError(
                    f"{where}: expected a photo of at most {MOST_PIXELS / 1e6:.0f} megapixels, got {path} of {width} x "
                    f"{height} ({width * height / 1e6:.0f}); make the photos smaller (mogrify -resize 25%)"
                )
            yield image
    except (OSError, SyntaxError) as error:  # Pillow raises SyntaxError on some broken PNG files
        if isinstance(error, FileNotFoundError):
            got = "no such file"
            cure = "put it there, or correct file_path"
        else:
            is_unknown = isinstance(error, pillow.UnidentifiedImageError)
            got = "no picture" if is_unknown else str(error).splitlines()[0]
            cure = "is it whole? copy it again"
        raise UsageError(f"{where}: expected an image {path}, got {got!r}; {cure}") from error
