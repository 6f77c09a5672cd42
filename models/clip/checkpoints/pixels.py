"""Reads how a repository normalises the pixels of its encoder, and checks the rest of its preprocessing.

Only mean and standard deviation may differ. Everything else must be what this package does with every picture: resize
to the encoder's size with a bicubic filter, crop the centre, and divide bytes by 255.
"""

from __future__ import annotations

import dataclasses
import math

from models.clip.checkpoints.settings import CheckpointSettings, Triple
from models.clip.encoder import OPENAI_MEAN, OPENAI_STD

PROCESSOR_FILE = "processor_config.json"
PREPROCESSOR_FILE = "preprocessor_config.json"
OPEN_CLIP_FILE = "open_clip_config.json"

_BICUBIC = 3
"""PIL's number of the filter."""


@dataclasses.dataclass(frozen=True)
class Pixels:
    """The normalisation of pixels in [0, 1].

    Attributes:
        mean: By colour.
        std: By colour.
    """

    mean: Triple = OPENAI_MEAN
    std: Triple = OPENAI_STD


def from_transformers(
    processor: CheckpointSettings | None, preprocessor: CheckpointSettings | None, image_px: int
) -> Pixels:
    """Read the normalisation from the two files of transformers: version 5 writes the first, older ones the second.

    Args:
        processor: `processor_config.json`, None if there is none.
        preprocessor: `preprocessor_config.json`, None if there is none.
        image_px: Of the encoder.

    Raises:
        UsageError: They say what this package does not do, or contradict each other.
    """
    nested = _image_processor(processor) if processor else None
    newer = _from_image_processor(nested, image_px) if nested else None
    older = _from_image_processor(preprocessor, image_px) if preprocessor else None
    if nested and newer and older and newer != older:
        nested.refuse(
            "image_mean" if newer.mean != older.mean else "image_std",
            f"as {PREPROCESSOR_FILE} beside it has it (mean {older.mean}, std {older.std})",
            "delete the one that is wrong from a copy of the folder, and name the copy",
        )
    return newer or older or Pixels()


def from_open_clip(config: CheckpointSettings, image_px: int) -> Pixels:
    """Read the normalisation from open_clip's file.

    Args:
        config: `open_clip_config.json`.
        image_px: Of the encoder.

    Raises:
        UsageError: It says what this package does not do.
    """
    part = config.part("preprocess_cfg")
    if part.has_value("mode") and part.values["mode"] != "RGB":
        part.refuse("mode", '"RGB"')
    if part.has_value("interpolation") and part.values["interpolation"] != "bicubic":
        part.refuse("interpolation", '"bicubic", the filter of this package')
    # Views are square: whether the shorter side or both are resized is the same.
    if part.has_value("resize_mode") and part.values["resize_mode"] not in ("shortest", "squash"):
        part.refuse("resize_mode", '"shortest" or "squash"')
    if part.has_value("size"):
        _check_px(part, "size", image_px)
    return Pixels(part.triple("mean", OPENAI_MEAN), _positive(part, "std"))


def _image_processor(processor: CheckpointSettings) -> CheckpointSettings | None:
    """Return the image processor that `processor_config.json` describes; older files describe none."""
    if "image_processor" in processor:
        if not isinstance(processor.values["image_processor"], dict):
            processor.refuse("image_processor", "to be an object")
        return processor.part("image_processor")
    return processor if "image_mean" in processor or "do_normalize" in processor else None


def _from_image_processor(part: CheckpointSettings, image_px: int) -> Pixels:
    for key in ("image_processor_type", "feature_extractor_type"):
        # Others have other defaults for what they leave out.
        if part.has_value(key) and not str(part.values[key]).startswith("CLIP"):
            part.refuse(key, "of CLIP")
    _check_size(part, image_px)
    if part.has_value("resample") and not _is_bicubic(part.values["resample"]):
        part.refuse("resample", f"{_BICUBIC} (bicubic), the filter of this package")
    if not part.flag("do_rescale", True):
        part.refuse("do_rescale", "true: this package gives pixels in [0, 1]")
    scale = _scale(part)
    if not part.flag("do_normalize", True):
        return _rescaled(Pixels((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), scale)
    return _rescaled(Pixels(part.triple("image_mean", OPENAI_MEAN), _positive(part, "image_std")), scale)


def _positive(part: CheckpointSettings, key: str) -> Triple:
    found = part.triple(key, OPENAI_STD)
    if min(found) <= 0:
        part.refuse(key, "three numbers above 0")
    return found


def _scale(part: CheckpointSettings) -> float:
    """Return what pixels in [0, 1] are multiplied by before the mean is taken off; bytes times 1/255 make it 1."""
    if not part.has_value("rescale_factor"):
        return 1.0
    scale = 255 * part.number("rescale_factor", 1 / 255)
    if not 0 < scale < math.inf:
        part.refuse("rescale_factor", "above 0")
    return 1.0 if math.isclose(scale, 1.0, rel_tol=1e-6) else scale


def _rescaled(pixels: Pixels, scale: float) -> Pixels:
    """Return the normalisation of x that is the given one of `scale * x`."""
    if scale == 1.0:
        return pixels
    mean = [value / scale for value in pixels.mean]
    std = [value / scale for value in pixels.std]
    return Pixels((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))


def _is_bicubic(value: object) -> bool:
    if isinstance(value, str):
        return value.lower() == "bicubic"
    return value == _BICUBIC and not isinstance(value, bool)


def _check_size(part: CheckpointSettings, image_px: int) -> None:
    """Refuse what would be another part of a picture, or another size, than this package takes.

    Raises:
        UsageError: With the key.
    """
    if not part.flag("do_resize", True):
        part.refuse("do_resize", "true: this package resizes every picture")
    if part.has_value("do_pad") and part.flag("do_pad", False):
        part.refuse("do_pad", "false: this package pads no picture")
    if part.has_value("size"):
        _check_px(part, "size", image_px)
    if part.flag("do_center_crop", True):
        if part.has_value("crop_size"):
            _check_px(part, "crop_size", image_px)
        return
    # Without a crop only a size of two sides makes a square of every picture.
    size = part.values.get("size")
    if not isinstance(size, dict) or "height" not in size:
        part.refuse("do_center_crop", "true, or size with height and width")


def _check_px(part: CheckpointSettings, key: str, image_px: int) -> None:
    """Refuse a size that is not the encoder's: a number, two, `shortest_edge`, or `height` and `width`."""
    value = part.values[key]
    if isinstance(value, dict):
        names = set(value)
        known = names == {"height", "width"} or (names == {"shortest_edge"} and key == "size")
        sides = list(value.values()) if known else [None]
    else:
        sides = value if isinstance(value, list) and value else [value]
    if len(sides) > 2 or any(side != image_px or isinstance(side, bool) for side in sides):
        part.refuse(key, f"of {image_px} px, which config.json or the architecture has")
