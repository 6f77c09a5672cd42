"""Puts renders side by side: rows are scenes or captions, columns the truth and the arms, all of the same camera.

Pixels of small views are shown as they are: the nearest neighbour fills. No view is chosen for its looks. Letters come
from the font that matplotlib brings along, so that a sheet has the same bytes on every machine.

h and w: pixels of a view.
"""

from __future__ import annotations

import functools
import io
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from PIL import Image, ImageDraw, ImageFont

from bench.errors import UsageError
from tasks.cameras import angle_to_nearest_deg
from tasks.task import SceneData

TILE_PX = 160
"""A tile is about as wide: small views are enlarged a whole number of times, much larger ones averaged down so."""

GAP_PX = 6
LABEL_PX = 13
LINE_PX = LABEL_PX + 4
NAME_PX = 200
"""Names on the left are as wide at most, on several lines if need be."""

INK, QUIET, PAPER, NOTHING = (28, 30, 34), (110, 115, 122), (255, 255, 255), (240, 241, 243)

TONES = {"quiet": QUIET, "better": (26, 127, 75), "worse": (192, 57, 43)}
"""Of labels, as in figures."""

ERROR_LIMIT = 0.3
"""Mean absolute error over the channels at which an error map is at its brightest; the same for all, to compare."""


class LabelledImage(NamedTuple):
    """One view in a sheet.

    Attributes:
        color: In [0, 1]; None where there is no view, as after a failure.
        label: Under it: a number, or why there is none.
        tone: Of the label.
    """

    color: Float[np.ndarray, "h w 3"] | None
    label: str = ""
    tone: Literal["quiet", "better", "worse"] = "quiet"


def middle_view(data: SceneData) -> int:
    """The id of the test view to show: the median in angle to the nearest training view, never the best or worst.

    Args:
        data: The scene's arrays.
    """
    angles = angle_to_nearest_deg(data.test.poses, data.train.poses)
    order = np.argsort(angles, kind="stable")
    return data.test.ids[int(order[(len(order) - 1) // 2])]


def view_of(views: Mapping[str, Shaped[np.ndarray, "n ..."]], view_id: int) -> Float[np.ndarray, "h w 3"] | None:
    """A stored view's colours by its id; None where it was not rendered.

    Args:
        views: "color" and "ids", as a store gives them.
        view_id: Of the view.
    """
    if "color" not in views:
        return None
    places = np.flatnonzero(views["ids"] == view_id)
    return views["color"][places[0]].astype(np.float32) if len(places) else None


def comparison(
    data: SceneData,
    arms: Mapping[str, Mapping[str, Shaped[np.ndarray, "n ..."]] | None],
    *,
    view_id: int | None = None,
    labels: Mapping[str, str] | None = None,
    errors: bool = False,
) -> dict[str, LabelledImage]:
    """One scene's row of a sheet: the truth, then every arm, from one camera.

    Args:
        data: The scene's arrays.
        arms: By arm, stored views, or None where a trial left none.
        view_id: Which test view; None for the middle one.
        labels: By arm, what stands under its tile, such as its PSNR.
        errors: Error maps instead of colours.

    Raises:
        UsageError: The scene has no such test view, or an arm's views are of another size.
    """
    view_id = middle_view(data) if view_id is None else view_id
    if view_id not in data.test.ids:
        raise UsageError(f"sheet: expected a test view's id, got {view_id}; there are {describe_ids(data.test.ids)}")
    truth = data.test.colors[data.test.ids.index(view_id)].astype(np.float32)
    row = {"truth": LabelledImage(truth, f"view {view_id}")}
    for arm, views in arms.items():
        color = view_of(views or {}, view_id)
        if color is not None and color.shape != truth.shape:
            raise UsageError(
                f"sheet, {arm}: expected views of {truth.shape[1]} x {truth.shape[0]} px as the truth, got "
                f"{color.shape[1]} x {color.shape[0]}; show trials of one budget"
            )
        label = (labels or {}).get(arm, "")
        shown = error_map(color, truth) if errors and color is not None else color
        row[arm] = LabelledImage(shown, label)
    return row


def describe_ids(ids: Sequence[int]) -> str:
    """Id for a message, not all of them."""
    return ", ".join(map(str, ids[:8])) + (f", ... ({len(ids)} in all)" if len(ids) > 8 else "")


def error_map(
    color: Float[np.ndarray, "h w 3"], truth: Float[np.ndarray, "h w 3"], limit: float = ERROR_LIMIT
) -> Float[np.ndarray, "h w 3"]:
    """Where a view is wrong: mean absolute difference over channels, black for none, bright at the limit and above.

    Args:
        color: Rendered; clipped to [0, 1]. What is not finite counts as wholly wrong.
        truth: True.
        limit: What is brightest.
    """
    import matplotlib

    wrong = np.abs(np.clip(color, 0, 1) - truth).mean(axis=-1)
    wrong = np.where(np.isfinite(color).all(axis=-1), wrong, np.inf)
    return matplotlib.colormaps["inferno"](np.clip(wrong / limit, 0, 1))[..., :3].astype(np.float32)


def to_bytes(color: Float[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Colour as 8 bits, rounded; what is not finite is magenta, which nobody takes for a render."""
    finite = np.isfinite(color).all(axis=-1, keepdims=True)
    return np.where(finite, np.rint(np.clip(np.nan_to_num(color), 0, 1) * 255), (255, 0, 255)).astype(np.uint8)


def resized(color: Float[np.ndarray, "h w 3"], tile_px: int = TILE_PX) -> UInt8[np.ndarray, "H W 3"]:
    """A view about as wide as a tile, as 8 bits: pixels repeated or averaged, as many across as down."""
    times = color.shape[1] // tile_px
    if times >= 2:  # a sheet of 400 px views would take tens of megabytes
        height, width = (size // times for size in color.shape[:2])
        whole = np.where(np.isfinite(color), np.clip(color, 0, 1), np.nan)[: height * times, : width * times]
        blocks = whole.reshape(height, times, width, times, 3)
        return to_bytes(blocks.mean(axis=(1, 3)).astype(np.float32))
    times = max(1, round(tile_px / color.shape[1]))
    return to_bytes(color).repeat(times, axis=0).repeat(times, axis=1)


def sheet(
    rows: Mapping[str, Mapping[str, LabelledImage]], tile_px: int = TILE_PX, *, num_label_lines: int = 1
) -> Image.Image:
    """The sheet: column heads above, scenes' names on the left, a label under every tile.

    Args:
        rows: Scene, column, tile; columns in the order of their first appearance. One that a row lacks is left empty.
        tile_px: How wide tiles are, about.
        num_label_lines: Room for labels at most; a longer one is cut.

    Raises:
        UsageError: There is no view in it.
    """
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    tiles = {(scene, name): row.get(name, LabelledImage(None)) for scene, row in rows.items() for name in columns}
    images = shown(tiles, tile_px)
    height, width = tile_size(images)
    num_label_lines = label_lines(tiles.values(), width, num_label_lines)
    heads, names = [wrapped(name, width) for name in columns], {scene: wrapped(scene, NAME_PX) for scene in rows}
    left = 2 * GAP_PX + max(round(font().getlength(line)) for lines in names.values() for line in lines)
    top = GAP_PX + LINE_PX * max(len(head) for head in heads)
    step_x, step_y = width + GAP_PX, height + LINE_PX * num_label_lines + GAP_PX
    canvas = Image.new("RGB", (left + step_x * len(columns), top + step_y * len(rows)), PAPER)
    draw = ImageDraw.Draw(canvas)
    for i, head in enumerate(heads):
        for j, words in enumerate(head):
            place = (left + i * step_x + width // 2, top - GAP_PX - 2 - LINE_PX * (len(head) - 1 - j))
            draw.text(place, words, fill=INK, font=font(), anchor="ms")
    for j, (scene, lines) in enumerate(names.items()):
        y = top + j * step_y
        for k, line in enumerate(lines):
            middle = y + height // 2 + (2 * k - len(lines) + 1) * LINE_PX // 2
            draw.text((left - GAP_PX, middle), line, fill=INK, font=font(), anchor="rm")
        for i, name in enumerate(columns):
            corner = (left + i * step_x, y)
            put(canvas, tiles[scene, name], images.get((scene, name)), corner, (width, height), num_label_lines)
    return canvas


def gallery(
    tiles: Sequence[LabelledImage], num_columns: int, tile_px: int = TILE_PX, *, num_label_lines: int = 1
) -> Image.Image:
    """Tile one after the other, so many in a row, a label under each.

    Args:
        tiles: In reading order.
        num_columns: Tiles of a row.
        tile_px: How wide tiles are, about.
        num_label_lines: Room for labels at most; a longer one is cut.

    Raises:
        UsageError: There is no view in it.
    """
    images = shown(dict(enumerate(tiles)), tile_px)
    height, width = tile_size(images)
    num_label_lines = label_lines(tiles, width, num_label_lines)
    step_x, step_y = width + GAP_PX, height + LINE_PX * num_label_lines + GAP_PX
    num_columns = min(num_columns, len(tiles))
    num_rows = -(-len(tiles) // num_columns)
    canvas = Image.new("RGB", (GAP_PX + step_x * num_columns, GAP_PX + step_y * num_rows), PAPER)
    for i, tile in enumerate(tiles):
        corner = (GAP_PX + i % num_columns * step_x, GAP_PX + i // num_columns * step_y)
        put(canvas, tile, images.get(i), corner, (width, height), num_label_lines)
    return canvas


def shown(tiles: Mapping[Any, LabelledImage], tile_px: int) -> dict[Any, UInt8[np.ndarray, "_ _ 3"]]:
    """The tiles that have a view, as they stand in a sheet.

    Raises:
        UsageError: None has.
    """
    images = {key: resized(tile.color, tile_px) for key, tile in tiles.items() if tile.color is not None}
    if not images:
        raise UsageError("sheet: expected at least one view, got none; the trials left no views: train them again")
    return images


def tile_size(images: Mapping[Any, UInt8[np.ndarray, "_ _ 3"]]) -> tuple[int, int]:
    """Height and width that all fit in."""
    return max(image.shape[0] for image in images.values()), max(image.shape[1] for image in images.values())


def label_lines(tiles: Iterable[LabelledImage], width_px: int, most: int) -> int:
    """How many lines the labels need, at most so many."""
    return min(most, max(len(wrapped(tile.label, width_px)) for tile in tiles)) if most > 1 else 1


def put(
    canvas: Image.Image,
    tile: LabelledImage,
    image: UInt8[np.ndarray, "_ _ 3"] | None,
    corner: tuple[int, int],
    size: tuple[int, int],
    num_label_lines: int,
) -> None:
    """Draw a tile and its label at a corner, or say that there is no view."""
    (x, y), (width, height), draw = corner, size, ImageDraw.Draw(canvas)
    if image is not None:
        canvas.paste(Image.fromarray(image), (x, y))
    else:
        draw.rectangle((x, y, x + width - 1, y + height - 1), fill=NOTHING)
        draw.text((x + width // 2, y + height // 2), "no view", fill=QUIET, font=font(), anchor="mm")
    lines = wrapped(tile.label, width)
    if len(lines) > num_label_lines > 1:
        lines[num_label_lines - 1] = fitting(f"{lines[num_label_lines - 1]} …", width)
    for i, line in enumerate(lines[:num_label_lines]):
        place = (x + width // 2, y + height + 1 + i * LINE_PX)
        draw.text(place, line, fill=TONES[tile.tone], font=font(), anchor="ma")


@functools.cache
def font(size_px: int = LABEL_PX) -> ImageFont.FreeTypeFont:
    """DejaVu Sans as matplotlib brings it."""
    import matplotlib

    path = pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    # the basic layout: the other one depends on a library that not every Pillow has
    return ImageFont.truetype(str(path), size_px, layout_engine=ImageFont.Layout.BASIC)


def wrapped(text: str, width_px: int) -> list[str]:
    """Word in lines that fit; a word that is too long ends in an ellipsis."""
    lines: list[str] = [""]
    for word in clean(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font().getlength(longer) > width_px:
            lines.append(word)
        else:
            lines[-1] = longer
    return [fitting(line, width_px) for line in lines]


def fitting(text: str, width_px: int) -> str:
    """The text, cut where it would not fit."""
    if font().getlength(text) <= width_px:
        return text
    while text and font().getlength(text + "…") > width_px:
        text = text[:-1]
    return text + "…"


def clean(text: str) -> str:
    """A person's text on one line, without control characters."""
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))


def png(image: Image.Image) -> bytes:
    """An image as the bytes of a PNG: no dates, the same each time."""
    out = io.BytesIO()
    # a palette would be smaller and lossy: renders are evidence
    options: dict[str, Any] = {"optimize": True}
    image.save(out, format="PNG", **options)
    return out.getvalue()
