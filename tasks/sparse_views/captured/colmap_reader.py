"""Reads a scene of COLMAP: a sparse model beside the folder of its photographs.

Photographs are numbered in the order of their names. COLMAP's cameras look along +z with y down; its world has no unit
and no axis up.
"""

from __future__ import annotations

import pathlib

import numpy as np
from jaxtyping import Float, Int

from bench.errors import UsageError
from tasks.data_dir.guarded_files import read_plain_text
from tasks.lens_distortion import lens_distortion
from tasks.sparse_views import photo_files
from tasks.sparse_views.captured import colmap_files
from tasks.sparse_views.captured.capture import Capture, CapturedFrame, PhotoCamera, SparsePoints, Split
from tasks.sparse_views.captured.colmap_files import ColmapCamera, ColmapImage
from tasks.sparse_views.captured.doubts import Doubts
from tasks.sparse_views.captured.photo_folders import PhotoFolder, choose_photo_folder
from tasks.sparse_views.captured.transforms_camera import fit_camera, is_same_shape

SPLIT_FILES: dict[Split, str] = {"train": "train.txt", "test": "test.txt"}
"""Lists of names that some users put beside the model."""


def has_colmap_model(folder: pathlib.Path) -> bool:
    """Tell whether a folder has a COLMAP model, of text or binary files."""
    return colmap_files.find_model(folder) is not None


def read_colmap(folder: pathlib.Path, image_px: int | None) -> Capture:
    """Read a scene of COLMAP.

    Args:
        folder: The scene's folder.
        image_px: The width that photographs will be shrunk to; it chooses their folder.

    Raises:
        UsageError: A file or a photograph is not what it should be.
    """
    model = colmap_files.find_model(folder)
    assert model is not None
    files = [found for part in colmap_files.PARTS if (found := colmap_files.part_file(model, part))]
    cameras = colmap_files.read_cameras(files[0])
    images = colmap_files.read_image_list(files[1])
    if not images:
        raise UsageError(f"{files[1]}: expected photos, got none; COLMAP placed no camera, so take more photos")
    chosen = choose_photo_folder(folder, image_px)
    doubts = Doubts()
    present = _present(files[1], images, chosen, doubts)
    splits, split_files = _splits(model, images, doubts)
    frames = []
    for place, (image, path) in present.items():
        where = f"{files[1]}, {image.name}"
        if image.camera_id not in cameras:
            raise UsageError(
                f"{where}: expected its camera in {files[0].name}, got number {image.camera_id}, which is not there; "
                "export the model again"
            )
        frames.append(_read_frame(folder, where, place, image, path, cameras[image.camera_id], chosen, splits, doubts))
    points = _points(files, [image for image, _ in present.values()])
    _doubt_others(chosen, len(images), doubts)
    form = "binary" if files[0].suffix == ".bin" else "text"
    names = [str(file.relative_to(folder)) for file in files]
    return Capture(
        kind=f"COLMAP model, {form}",
        folder=folder,
        files=tuple(files),
        frames=tuple(frames),
        points=points,
        bounds=None,
        world=None,
        box=None,
        read=(*names, *split_files, chosen.path.name),
        ignored=(),
        doubts=doubts.lines(),
        numbers=[_numbers(place, image, cameras, splits) for place, (image, _) in present.items()],
        num_absent=len(images) - len(present),
    )


def _present(
    file: pathlib.Path, images: list[ColmapImage], chosen: PhotoFolder, doubts: Doubts
) -> dict[int, tuple[ColmapImage, pathlib.Path]]:
    """Find the file of each photograph, by its place in the model."""
    by_stem = {path.relative_to(chosen.path).with_suffix("").as_posix(): path for path in chosen.photos}
    found = {}
    for place, image in enumerate(images):
        path = photo_files.find_photo(chosen.path, image.name)
        stem = pathlib.PurePosixPath(image.name.replace("\\", "/")).with_suffix("").as_posix()
        path = path if path.is_file() else by_stem.get(stem, path)
        if path.is_file():
            found[place] = (image, path)
    if not found:
        raise UsageError(
            f"{file}: expected the photos of this model in {chosen.path}, got none of its {len(images)}: it names "
            f"{images[0].name!r}, and the folder holds {chosen.photos[0].name!r}; is it the model of another folder?"
        )
    if len(found) < len(images):
        names = [image.name for place, image in enumerate(images) if place not in found]
        doubts.add(
            f"{len(names)} of {len(images)} photos of the model are not in {chosen.path.name} and are left out; the "
            f"first is {names[0]}"
        )
    return found


def _doubt_others(chosen: PhotoFolder, num_images: int, doubts: Doubts) -> None:
    if len(chosen.photos) > num_images:
        doubts.add(f"{len(chosen.photos) - num_images} photos in {chosen.path.name} have no camera in the model")


def _splits(model: pathlib.Path, images: list[ColmapImage], doubts: Doubts) -> tuple[dict[str, Split], tuple[str, ...]]:
    """Read the lists of held-out photographs, where somebody put them beside the model."""
    found: dict[str, Split] = {}
    read = []
    known = {image.name for image in images}
    for split, name in SPLIT_FILES.items():
        file = model / name
        if not file.is_file():
            continue
        names = [line.strip() for line in read_plain_text(file).splitlines() if line.strip()]
        unknown = [each for each in names if each not in known]
        if unknown:
            doubts.add(f"{name} names {len(unknown)} photos that the model does not have; the first is {unknown[0]}")
        both = [each for each in names if each in found]
        if both:
            raise UsageError(
                f"{file}: expected photos that train.txt does not name, got {both[0]!r}; take it out of one"
            )
        found |= dict.fromkeys(names, split)
        read.append(name)
    if found and "test" not in found.values():
        found = {image.name: found.get(image.name, "test") for image in images}
    elif found:
        found = {image.name: found.get(image.name, "train") for image in images}
    return found, tuple(read)


def _read_frame(
    folder: pathlib.Path,
    where: str,
    place: int,
    image: ColmapImage,
    path: pathlib.Path,
    camera: ColmapCamera,
    chosen: PhotoFolder,
    splits: dict[str, Split],
    doubts: Doubts,
) -> CapturedFrame:
    header = photo_files.read_photo_header(path, where)
    known = photo_camera(where, camera)
    is_copy = chosen.path.name != "images"  # smaller copies are what is expected
    if is_copy and is_same_shape((known.width, known.height), (header.width, header.height)):
        known = known.resized(header.width, header.height)
    return CapturedFrame(
        id=place,
        where=where,
        image=path,
        mask=_mask(folder, image.name),
        pose=_pose(where, image),
        camera=fit_camera(where, known, image.name, header, doubts),
        split=splits.get(image.name),
        has_alpha=header.has_alpha,
    )


def _mask(folder: pathlib.Path, name: str) -> pathlib.Path | None:
    """Find the mask of a photograph, which COLMAP looks for under the photograph's whole name with `.png` behind it."""
    mask = folder / "masks" / f"{name}.png"
    return mask if mask.is_file() else None


def photo_camera(where: str, camera: ColmapCamera) -> PhotoCamera:
    """Bring a camera of COLMAP's to the numbers that all formats share.

    Raises:
        UsageError: Its model is not supported.
    """
    told = camera.parameters
    coefficients = {name: value for name, value in told.items() if name[0] in "kp" and value}
    model = "PINHOLE" if camera.model == "SIMPLE_PINHOLE" else camera.model
    if "omega" in told or any(told.get(name) for name in ("sx1", "sy1")) or camera.model == "THIN_PRISM_FISHEYE":
        raise UsageError(
            f"{where}: expected a camera model whose rays are known here, got {camera.model}; undistort the photos "
            "first (colmap image_undistorter)"
        )
    lens_distortion(where, model, coefficients)
    return PhotoCamera(
        width=camera.width,
        height=camera.height,
        focal_x=told.get("fx", told.get("f", 0.0)),
        focal_y=told.get("fy", told.get("f", 0.0)),
        center_x=told["cx"],
        center_y=told["cy"],
        model=model,
        coefficients=tuple(coefficients.items()),
    )


def _pose(where: str, image: ColmapImage) -> Float[np.ndarray, "4 4"]:
    """Turn world-to-camera, looking along +z with y down, into camera-to-world, looking along -z with y up."""
    rotation = np.array(image.rotation)
    length = np.linalg.norm(rotation)
    if not np.isfinite([*rotation, *image.translation]).all() or not 0.9 < length < 1.1:
        raise UsageError(f"{where}: expected a rotation and a position, got {image.rotation}; export the model again")
    w, x, y, z = rotation / length
    to_camera = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
    pose = np.eye(4)
    pose[:3, :3] = to_camera.T * [1, -1, -1]
    pose[:3, 3] = -to_camera.T @ image.translation
    return pose


def _points(files: list[pathlib.Path], images: list[ColmapImage]) -> SparsePoints | None:
    if len(files) < len(colmap_files.PARTS):
        return None
    points = colmap_files.read_point_file(files[2])
    if not len(points.ids):
        return None
    seen_by = tuple(_places(points.ids, image.point_ids) for image in images)
    is_known = any(len(places) for places in seen_by)
    return SparsePoints(points.positions, seen_by if is_known else None, f"{len(points.ids)} points of COLMAP")


def _places(ids: Int[np.ndarray, " k"], wanted: Int[np.ndarray, " j"]) -> Int[np.ndarray, " i"]:
    """Find the places of point numbers among those that the model has; others are dropped."""
    places = np.clip(np.searchsorted(ids, wanted), 0, len(ids) - 1)
    return places[ids[places] == wanted]


def _numbers(
    place: int, image: ColmapImage, cameras: dict[int, ColmapCamera], splits: dict[str, Split]
) -> list[object]:
    camera = cameras[image.camera_id]
    return [
        place,
        splits.get(image.name),
        list(image.rotation),
        list(image.translation),
        [camera.model, camera.width, camera.height, camera.parameters],
    ]
