"""Renders many pictures of the closed world and keeps them: as pieces on disk, and as a TFDS dataset.

`prepare_pictures` renders the pictures, `read_arrays` reads them as plain arrays. Other programs can open the same
data:

    import tensorflow_datasets as tfds
    from tasks.closed_world import dataset  # registers the dataset
    from tasks.data_dir import location
    pictures = tfds.data_source(
        "closed_world/guide_30000x64px_64spp", split="train", data_dir=location.folder()
    )

`tasks.closed_world.pictures` decides what each picture shows; it does not depend on the number of pictures.

Pictures are rendered in pieces of 100. A piece is a file that is written to a temporary name and renamed, so it is
always complete. An interrupted `prepare_pictures` continues where it stopped, and a later call for more pictures
renders only those that are missing. TFDS writes the dataset from the pieces and renames its folder at the end. The
pieces are kept: `read_arrays` reads them, in a few seconds.

A thousand pictures of 64 pixels and 64 samples take 200 CPU-seconds, of 96 pixels 430; 30,000 of 64 pixels take some
7 minutes on 16 cores.

n: pictures, h and w: pixels.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import json
import multiprocessing
import pathlib
import re
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple, cast

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Float, UInt8

from bench.errors import DamagedFile, UsageError, nearest
from tasks.cameras import BLENDER_FOV_DEG
from tasks.closed_world.appearance import FAMILIES, Family
from tasks.closed_world.meanings import SPLITS, Meaning, Split, things
from tasks.closed_world.pictures import PictureSpec, pictures_fingerprint, plan_picture, shot
from tasks.data_dir import location
from tasks.data_dir.atomic_files import write_file
from tasks.data_dir.lazy_builder_configs import LazyBuilderConfigs
from tasks.data_dir.locking import check_writable, folder_lock, unwritable
from tasks.data_dir.progress_bar import progress_bar
from tasks.host_cores import num_cores
from tasks.path_tracing import mitsuba_renderer

PIECE = 100
"""Pictures in a piece, which take twenty seconds on one core. An interruption loses the unfinished pieces."""


class PictureArrays(NamedTuple):
    """Pictures as arrays.

    Attributes:
        numbers: Places in the family of pictures.
        images: sRGB with straight alpha.
        poses: Camera to world.
        meanings: Meanings that the pictures show.
    """

    numbers: tuple[int, ...]
    images: UInt8[np.ndarray, "n h w 4"]
    poses: Float[np.ndarray, "n 4 4"]
    meanings: tuple[Meaning, ...]


@dataclasses.dataclass(kw_only=True)
class PicturesConfig(tfds.core.BuilderConfig):
    """Config of a number of pictures at one size; `config` makes it with its name and version.

    Attributes:
        family: Family of pictures, which decides meanings, cameras and lights.
        num_renders: Number of pictures, both splits together.
        image_px: Width and height.
        num_spp: Samples a pixel of a matte thing.
    """

    family: Family = "guide"
    num_renders: int = 0
    image_px: int = 0
    num_spp: int = 0


@functools.cache  # TFDS wants one object a config
def config(family: str, num_renders: int, image_px: int, num_spp: int) -> PicturesConfig:
    """Make the config of a number of pictures.

    Args:
        family: Family of pictures.
        num_renders: Number of pictures, both splits together.
        image_px: Width and height.
        num_spp: Samples a pixel of a matte thing; other finishes take more, see `appearance.NOISE_SAMPLES`.

    Raises:
        UsageError: There is no such family, or a number is too small.
    """
    if family not in FAMILIES:
        raise UsageError(f"closed world: expected a family, got {family!r}; {nearest(family, FAMILIES)}")
    for name, value, least in (("num_renders", num_renders, 20), ("image_px", image_px, 1), ("num_spp", num_spp, 1)):
        if value < least:
            raise UsageError(f"closed world: expected {name} of at least {least}, got {value}")
    return PicturesConfig(
        name=f"{family}_{num_renders}x{image_px}px_{num_spp}spp",
        version=tfds.core.Version(f"1.0.{int(pictures_fingerprint(cast(Family, family), image_px, num_spp)[:6], 16)}"),
        family=cast(Family, family),
        num_renders=num_renders,
        image_px=image_px,
        num_spp=num_spp,
    )


def parse_config(name: str) -> PicturesConfig:
    """Make the config with a name.

    Raises:
        KeyError: No config can have this name.
    """
    match = re.fullmatch(r"([a-z]+)_(\d+)x(\d+)px_(\d+)spp", name)
    if not match or match[1] not in FAMILIES:
        raise KeyError(name)
    return config(match[1], *(int(number) for number in match.groups()[1:]))


CONFIG_NAMES = tuple(f"{family}_30000x{px}px_64spp" for family in FAMILIES for px in (64, 96))
"""Names of the configs that encoders are trained on; other numbers and sizes are possible too."""


class ClosedWorld(tfds.core.GeneratorBasedBuilder):
    """Pictures of the closed world: straight RGBA with pose and meaning."""

    VERSION = tfds.core.Version("1.0.0")  # TFDS requires one here, although each config has its own
    builder_configs = LazyBuilderConfigs(parse_config, CONFIG_NAMES)

    def _info(self) -> tfds.core.DatasetInfo:
        size: PicturesConfig | None = self.builder_config
        if size is None:
            raise UsageError(f"{self.name}: expected a config, got none; for example {self.name}/{CONFIG_NAMES[0]}")
        image = tfds.features.Tensor(
            shape=(size.image_px, size.image_px, 4), dtype=np.uint8, encoding="zlib", doc="sRGB, straight alpha."
        )
        return tfds.core.DatasetInfo(
            builder=self,
            description="Path-traced pictures of things and pairs of things in colours and finishes.",
            features=tfds.features.FeaturesDict(
                {
                    "id": tfds.features.Scalar(dtype=np.int32, doc="Place in its family."),
                    "image": image,
                    "pose": tfds.features.Tensor(shape=(4, 4), dtype=np.float32, doc="Camera to world, OpenGL."),
                    "meaning": tfds.features.Text(
                        doc="Such as red-metallic-chair; see tasks.closed_world.meanings.meaning_of."
                    ),
                }
            ),
            metadata=tfds.core.MetadataDict(family=size.family, num_spp=size.num_spp, fov_deg=BLENDER_FOV_DEG),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        size: PicturesConfig = self.builder_config
        _render(size, None, show=True)  # for callers that use TFDS directly, without `prepare_pictures`
        return {split: self._generate_examples(split) for split in SPLITS}

    def _generate_examples(self, split: Split) -> Iterator[tuple[int, dict[str, Any]]]:
        size: PicturesConfig = self.builder_config
        for first, images in _pieces(size):
            for image, planned in zip(images, _planned(size, first), strict=False):  # the last piece may hold more
                if planned.split == split:
                    example = {
                        "id": planned.number,
                        "image": image,
                        "pose": planned.pose,
                        "meaning": planned.meaning.id,
                    }
                    yield planned.number, example


def prepare_pictures(
    num_renders: int,
    image_px: int = 64,
    num_spp: int = 64,
    family: str = "guide",
    num_workers: int | None = None,
    *,
    dataset: bool = True,
    show: bool = True,
) -> pathlib.Path:
    """Render the missing pictures and write their dataset; after an interruption the next call continues.

    Args:
        num_renders: Number of pictures, both splits together.
        image_px: Width and height.
        num_spp: Samples a pixel of a matte thing.
        family: "guide", or "judge" for other pictures in other light.
        num_workers: Number of processes; None for one a core, 1 for this process. They are spawned, so a script that
            calls this needs `if __name__ == "__main__":`.
        dataset: Whether to write the TFDS dataset too; `read_arrays` does not need it.
        show: Whether to draw a progress bar, on stderr.

    Returns:
        The dataset's folder, or that of the pieces.

    Raises:
        UsageError: A number is too small, or a folder cannot be written.
    """
    size = config(family, num_renders, image_px, num_spp)
    _render(size, num_workers, show=show)
    if not dataset:
        return _folder(size)
    builder = ClosedWorld(config=size, data_dir=location.folder(), file_format="array_record")
    place = pathlib.Path(builder.data_dir)
    if (place / "dataset_info.json").exists():
        return place
    with folder_lock(place.parents[1], f"writing {size.name}") as held:
        if (place / "dataset_info.json").exists():
            return place
        if held:
            for left in place.parent.glob("incomplete.*"):  # from a process that was killed
                shutil.rmtree(left, ignore_errors=True)  # another user's stays, and does no harm
        try:
            tfds.disable_progress_bar()
            with contextlib.redirect_stdout(io.StringIO()):
                builder.download_and_prepare(file_format="array_record")
        except (OSError, RuntimeError) as error:  # ArrayRecord raises RuntimeError if the disk is full
            raise unwritable(place, error) from error
    return place


def read_arrays(
    num_renders: int, image_px: int = 64, num_spp: int = 64, family: str = "guide", split: str | None = "train"
) -> PictureArrays:
    """Read the pictures of a split, or of both for None; the other arguments are those of `prepare_pictures`.

    Raises:
        UsageError: The pictures are missing, or their files are damaged.
    """
    if split is not None:
        things(split)  # raises an error if there is no such split
    size = config(family, num_renders, image_px, num_spp)
    chosen: list[PictureSpec] = []
    images = []
    for first, piece in _pieces(size):
        planned = _planned(size, first)
        keep = [i for i, spec in enumerate(planned) if split in (None, spec.split)]
        chosen += [planned[i] for i in keep]
        images.append(piece[keep])
    numbers = tuple(spec.number for spec in chosen)
    poses = np.stack([spec.pose for spec in chosen])
    meanings = tuple(spec.meaning for spec in chosen)
    return PictureArrays(numbers, np.concatenate(images), poses, meanings)


# ---- pieces ----------------------------------------------------------------------------------------------------------


def _folder(size: PicturesConfig) -> pathlib.Path:
    """Return the folder of the pieces, which is the same for any number of pictures."""
    name = f"{size.family}_{size.image_px}px_{size.num_spp}spp"
    return (
        location.folder()
        / "closed_world_pieces"
        / f"{name}_{pictures_fingerprint(size.family, size.image_px, size.num_spp)}"
    )


def _paths(size: PicturesConfig) -> dict[int, pathlib.Path]:
    """Return the file of each piece, by the number of its first picture."""
    folder = _folder(size)
    return {first: folder / f"{first // PIECE:05d}.safetensors" for first in range(0, size.num_renders, PIECE)}


def _planned(size: PicturesConfig, first: int) -> list[PictureSpec]:
    """Plan the pictures of a piece; the last piece's file may hold more pictures than are wanted."""
    return [plan_picture(size.family, number) for number in range(first, min(first + PIECE, size.num_renders))]


def _render(size: PicturesConfig, num_workers: int | None, *, show: bool) -> None:
    """Render the missing pieces."""
    folder = _folder(size)
    if all(path.exists() for path in _paths(size).values()):
        return
    with folder_lock(folder, f"rendering {size.name}") as held:
        missing = {first: path for first, path in _paths(size).items() if not path.exists()}
        if held:
            for left in folder.glob("*.tmp"):  # from a process that was killed
                with contextlib.suppress(PermissionError):  # another user's stays, and does no harm
                    left.unlink()
        check_writable(folder)
        _check_free(folder, len(missing) * PIECE * size.image_px**2 * 4)
        if num_workers is None:
            num_workers = num_cores()
        with progress_bar(f"rendering {size.name}", PIECE * len(missing), show=show) as advance:
            # Pieces arrive in order, so an interruption loses only those that the processes had begun.
            for path, images in zip(missing.values(), _taken(size, list(missing), num_workers), strict=True):
                _write(path, images, size)
                advance(PIECE)


def _taken(size: PicturesConfig, firsts: Sequence[int], num_workers: int) -> Iterator[UInt8[np.ndarray, "n h w 4"]]:
    """Render the images of some pieces; each process renders one piece at a time."""
    pieces = (
        [shot(plan_picture(size.family, first + i), size.image_px, size.num_spp) for i in range(PIECE)]
        for first in firsts
    )
    take = functools.partial(mitsuba_renderer.photograph_all, num_workers=1)
    if min(num_workers, len(firsts)) <= 1:
        yield from map(take, pieces)
        return
    # Spawned, not forked, see `tasks.path_tracing.mitsuba_renderer`; the workers import neither JAX nor TFDS.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(num_workers, len(firsts)), context, mitsuba_renderer._start_worker) as pool:
        try:
            yield from pool.map(take, pieces)
        except BrokenProcessPool as error:
            raise RuntimeError(
                "prepare: expected worker processes to stay alive, one ended; is the calling script's start under "
                '`if __name__ == "__main__":`, and is there memory? The same call goes on where this one was'
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _write(path: pathlib.Path, images: UInt8[np.ndarray, "n h w 4"], size: PicturesConfig) -> None:
    import safetensors.numpy

    first = int(path.stem) * PIECE
    meanings = [plan_picture(size.family, first + i).meaning.id for i in range(len(images))]
    content = safetensors.numpy.save({"images": images}, {"meanings": json.dumps(meanings)})
    try:
        write_file(path, content)
    except OSError as error:
        raise unwritable(path.parent, error) from error


def _pieces(size: PicturesConfig) -> Iterator[tuple[int, UInt8[np.ndarray, "n h w 4"]]]:
    """Read each piece: the number of its first picture, and its images."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    for first, path in _paths(size).items():
        try:
            yield first, load_file(path)["images"]
        except FileNotFoundError:
            raise UsageError(
                f"{path.parent}: expected {size.num_renders} pictures, got no {path.name}; call "
                f"tasks.closed_world.dataset.prepare_pictures({size.num_renders}, {size.image_px}, {size.num_spp}, "
                f"{size.family!r})"
            ) from None
        except (OSError, SafetensorError, KeyError) as error:
            raise DamagedFile(
                f"{path}: expected {PIECE} pictures, got {str(error)!r}; delete this file and prepare again, which "
                "renders only this piece"
            ) from error


def _check_free(folder: pathlib.Path, needed: int) -> None:
    """Raise an error if the disk is too full, before an hour of rendering instead of after it."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UsageError(
            f"{folder}: expected {needed / 1e6:.0f} MB free, got {free / 1e6:.0f} MB; free some, or choose another "
            "folder with BENCH_DATA_DIR"
        )
