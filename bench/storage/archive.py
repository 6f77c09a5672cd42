"""Decides how finished trials are kept in one small file, to be committed beside the code: a `.tar.xz` in a store.

    python -m bench archive --suite ablations --budget standard --out results/reference

Records and scores are whole, so that tables come out the same to the last digit; of a thousand trials, which repeat
each other, hardly more is left than of the differences. Arrays are left out. Of views there are a few as pictures, for
sheets: of captions two and lossy, of scenes the middle one. No number is ever made of them.

    <trial_id>/record.json  <trial_id>/scores/<protocol>.json
    <trial_id>/views-<id>-<id>.webp      views side by side
    <trial_id>/strip-<step>-<step>.webp  renders over training side by side

The same trials give the same bytes.
"""

from __future__ import annotations

import io
import lzma
import pathlib
import re
import tarfile
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Shaped
from PIL import Image

from bench.errors import UsageError
from tasks.data_dir.atomic_files import write_file

END = ".tar.xz"

VIEW_IDS = (1, 5)
"""Views that are kept of an object made from a caption: it is seen from two sides."""

QUALITY = 85

MOST_BYTES = 256 * 2**20
"""Of an archive, unpacked: what claims more is refused before it is read."""


def read(path: pathlib.Path) -> dict[str, dict[str, bytes]]:
    """The files of an archive's trials: by trial id, by name.

    Raises:
        UsageError: It is no such archive, or one that is far too large.
    """
    found: dict[str, dict[str, bytes]] = {}
    try:
        with tarfile.open(path, "r:xz") as archive:
            size = 0
            for member in archive:
                size += member.size
                if size > MOST_BYTES:
                    raise UsageError(f"{path}: expected at most {MOST_BYTES >> 20} MiB of records, got more; split it")
                trial_id, _, name = member.name.partition("/")
                file = archive.extractfile(member)
                if file is None or not name:
                    raise UsageError(f"{path}: expected files in folders of trials, got {member.name!r}; write it anew")
                found.setdefault(trial_id, {})[name] = file.read()
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise UsageError(f"{path}: expected a whole {END} of records, got {error}; bring it again") from error
    return found


def write(path: pathlib.Path, trials: Mapping[str, Mapping[str, bytes]]) -> None:
    """Writes an archive, in one step for whoever reads it.

    Args:
        path: Its name; replaced if it is there.
        trials: Files by trial id and name.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        # files of one kind beside each other: they are alike
        names = [(name, trial_id) for trial_id, files in trials.items() for name in files]
        for name, trial_id in sorted(names):
            entry = tarfile.TarInfo(f"{trial_id}/{name}")
            entry.size = len(trials[trial_id][name])
            archive.addfile(entry, io.BytesIO(trials[trial_id][name]))
    write_file(path, lzma.compress(packed.getvalue(), preset=9))


def pictures(
    views: Mapping[str, Shaped[np.ndarray, "..."]], view_ids: tuple[int, ...] = VIEW_IDS, *, lossless: bool = False
) -> dict[str, bytes]:
    """A few views, and the strip of training if there is one, as WebP by file name.

    Args:
        views: "color" and "ids", as a store gives them.
        view_ids: Which are kept, those of them that there are.
        lossless: Whether views are kept to the last of 256 shades, so that they may be set against photographs.
    """
    ids = [int(i) for i in views["ids"]]
    kept = [i for i in view_ids if i in ids]
    found = {}
    if kept:
        found[f"views-{'-'.join(map(str, kept))}.webp"] = _webp(views["color"][[ids.index(i) for i in kept]], lossless)
    if "strip" in views:
        found[f"strip-{'-'.join(str(int(step)) for step in views['strip_steps'])}.webp"] = _webp(views["strip"])
    return found


def views_of(files: Mapping[str, bytes]) -> dict[str, np.ndarray]:
    """The kept views as a store gives them: "color", "ids", and "strip", "strip_steps" if there is a strip.

    They are of squares. There is no opacity, so that nothing can be scored of them.
    """
    found: dict[str, np.ndarray] = {}
    for name, content in files.items():
        match = re.fullmatch(r"(views|strip)-(\d+(?:-\d+)*)\.webp", name)
        if match:
            numbers = np.asarray(match[2].split("-"), np.int32)
            colors = _from_webp(content, len(numbers))
            found |= {"color": colors, "ids": numbers} if match[1] == "views" else {
                "strip": colors, "strip_steps": numbers
            }  # fmt: skip
    return found


def _webp(colors: Float[np.ndarray, "n h w 3"], lossless: bool = False) -> bytes:
    scaled = np.clip(np.nan_to_num(np.concatenate(list(colors.astype(np.float32)), axis=1)), 0, 1) * 255
    out = io.BytesIO()
    Image.fromarray((scaled + 0.5).astype(np.uint8)).save(
        out, "WEBP", quality=100 if lossless else QUALITY, method=6, lossless=lossless
    )
    return out.getvalue()


def _from_webp(content: bytes, num: int) -> Float[np.ndarray, "n h w 3"]:
    with Image.open(io.BytesIO(content)) as opened:
        colors = np.asarray(opened.convert("RGB"), np.float32) / 255
    return np.stack(np.split(colors, num, axis=1)).astype(np.float16)
