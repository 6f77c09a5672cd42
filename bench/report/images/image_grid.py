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
from bench.report.tables.words import printable
from tasks.cameras import angle_to_nearest_deg
from tasks.task import SceneData

TILE_PX = 160
"""A tile is about as wide: small views are enlarged a whole number of times, much larger ones averaged down so."""

GAP_PX = 6
LABEL_PX = 13
LINE_PX = LABEL_PX + 4
NAME_PX = 200
"""Names on the left are as wide at most, on several lines if need be."""

INK = (28, 30, 34)
QUIET = (110, 115, 122)
PAPER = (255, 255, 255)
NOTHING = (240, 241, 243)

TONES = {"quiet": QUIET, "better": (26, 127, 75), "worse": (192, 57, 43)}
"""Colours of labels, as in figures."""

ERROR_LIMIT = 0.3
"""Mean absolute error over the channels at which an error map is at its brightest; the same for all, to compare."""

MOST_IDS_TOLD = 8

NOT_FINITE = (255, 0, 255)
"""Magenta, which nobody takes for a render."""


class LabelledImage(NamedTuple):
    """One view in a sheet.

    Attributes:
        color: In [0, 1]; None where there is no view, as after a failure.
        label: Text under it: a number, or why there is none.
        tone: Colour of the label.
    """

    color: Float[np.ndarray, "h w 3"] | None
    label: str = ""
    tone: Literal["quiet", "better", "worse"] = "quiet"


class TileLayout(NamedTuple):
    """Sizes of the tiles of a sheet, in pixels.

    Attributes:
        width: Width of a tile.
        height: Height of a tile, without its label.
        num_label_lines: Lines of the longest label.
    """

    width: int
    height: int
    num_label_lines: int

    @property
    def step_x(self) -> int:
        """Distance between two tiles of a row."""
        return self.width + GAP_PX

    @property
    def step_y(self) -> int:
        """Distance between two rows."""
        return self.height + LINE_PX * self.num_label_lines + GAP_PX


# --- choosing views ---------------------------------------------------------------------------------------------------


def find_middle_view(data: SceneData) -> int:
    """Find the test view to show: the median in angle to the nearest training view, never the best or worst.

    Args:
        data: Arrays of the scene.
    """
    angles = angle_to_nearest_deg(data.test.poses, data.train.poses)
    order = np.argsort(angles, kind="stable")
    return data.test.ids[int(order[(len(order) - 1) // 2])]


def find_view(views: Mapping[str, Shaped[np.ndarray, "n ..."]], view_id: int) -> Float[np.ndarray, "h w 3"] | None:
    """Find a stored view's colours by its id; None where it was not rendered.

    Args:
        views: "color" and "ids", as a store gives them.
        view_id: Id of the view.
    """
    if "color" not in views:
        return None
    places = np.flatnonzero(views["ids"] == view_id)
    return views["color"][places[0]].astype(np.float32) if len(places) else None


def compare_views(
    data: SceneData,
    arms: Mapping[str, Mapping[str, Shaped[np.ndarray, "n ..."]] | None],
    *,
    view_id: int | None = None,
    labels: Mapping[str, str] | None = None,
    truth_label: str | None = None,
    errors: bool = False,
) -> dict[str, LabelledImage]:
    """Make one scene's row of a sheet: the truth, then every arm, from one camera.

    Args:
        data: Arrays of the scene.
        arms: By arm, stored views, or None where a trial left none.
        view_id: Which test view; None for the middle one.
        labels: By arm, the label under its tile, such as its PSNR.
        truth_label: The label under the truth; None for the id of the view.
        errors: Whether to show error maps instead of colours.

    Raises:
        UsageError: The scene has no such test view, or an arm's views are of another size.
    """
    view_id = find_middle_view(data) if view_id is None else view_id
    if view_id not in data.test.ids:
        raise UsageError(f"sheet: expected a test view's id, got {view_id}; there are {describe_ids(data.test.ids)}")
    truth = data.test.colors[data.test.ids.index(view_id)].astype(np.float32)
    row = {"truth": LabelledImage(truth, truth_label or f"view {view_id}")}
    for arm, views in arms.items():
        color = find_view(views or {}, view_id)
        if color is not None and color.shape != truth.shape:
            raise UsageError(
                f"sheet, {arm}: expected views of {truth.shape[1]} x {truth.shape[0]} px as the truth, got "
                f"{color.shape[1]} x {color.shape[0]}; show trials of one budget"
            )
        if errors and color is not None:
            color = draw_error_map(color, truth)
        row[arm] = LabelledImage(color, (labels or {}).get(arm, ""))
    return row


def describe_ids(ids: Sequence[int]) -> str:
    """List ids for a message, not all of them."""
    more = f", ... ({len(ids)} in all)" if len(ids) > MOST_IDS_TOLD else ""
    return ", ".join(map(str, ids[:MOST_IDS_TOLD])) + more


# --- pixels -----------------------------------------------------------------------------------------------------------


def draw_error_map(
    color: Float[np.ndarray, "h w 3"], truth: Float[np.ndarray, "h w 3"], limit: float = ERROR_LIMIT
) -> Float[np.ndarray, "h w 3"]:
    """Draw the mean absolute error over channels, black for none, bright at the limit and above.

    Args:
        color: Rendered; clipped to [0, 1]. What is not finite counts as wholly wrong.
        truth: True.
        limit: Error that is brightest.
    """
    import matplotlib

    error = np.abs(np.clip(color, 0, 1) - truth).mean(axis=-1)
    error = np.where(np.isfinite(color).all(axis=-1), error, np.inf)
    return matplotlib.colormaps["inferno"](np.clip(error / limit, 0, 1))[..., :3].astype(np.float32)


def quantize_colors(color: Float[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Round colours to 8 bits; what is not finite is magenta."""
    finite = np.isfinite(color).all(axis=-1, keepdims=True)
    return np.where(finite, np.rint(np.clip(np.nan_to_num(color), 0, 1) * 255), NOT_FINITE).astype(np.uint8)


def resize_view(color: Float[np.ndarray, "h w 3"], tile_px: int = TILE_PX) -> UInt8[np.ndarray, "H W 3"]:
    """Resize a view to about the width of a tile, as 8 bits: pixels repeated or averaged, as many across as down."""
    times = color.shape[1] // tile_px
    if times >= 2:  # a sheet of 400 px views would take tens of megabytes
        height = color.shape[0] // times
        width = color.shape[1] // times
        whole = np.where(np.isfinite(color), np.clip(color, 0, 1), np.nan)[: height * times, : width * times]
        blocks = whole.reshape(height, times, width, times, 3)
        return quantize_colors(blocks.mean(axis=(1, 3)).astype(np.float32))
    times = max(1, round(tile_px / color.shape[1]))
    return quantize_colors(color).repeat(times, axis=0).repeat(times, axis=1)


def encode_png(image: Image.Image, *, is_small: bool = True) -> bytes:
    """Encode an image as PNG: no dates, the same bytes each time.

    Args:
        image: The image.
        is_small: Whether to search for the smallest file, which takes five to ten times as long for a few per cent.
    """
    out = io.BytesIO()
    # a palette would be smaller and lossy: renders are evidence
    options: dict[str, Any] = {"optimize": is_small}
    image.save(out, format="PNG", **options)
    return out.getvalue()


# --- sheets -----------------------------------------------------------------------------------------------------------


def draw_sheet(
    rows: Mapping[str, Mapping[str, LabelledImage]], tile_px: int = TILE_PX, *, num_label_lines: int = 1
) -> Image.Image:
    """Draw a sheet: column heads above, scenes' names on the left, a label under every tile.

    Args:
        rows: Scene, column, tile; columns in the order of their first appearance. One that a row lacks is left empty.
        tile_px: Width of a tile, about.
        num_label_lines: Room for labels at most; a longer one is cut.

    Raises:
        UsageError: There is no view in it.
    """
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    tiles = {}
    for scene, row in rows.items():
        for name in columns:
            tiles[scene, name] = row.get(name, LabelledImage(None))
    images = resize_views(tiles, tile_px)
    layout = lay_out_tiles(images, tiles.values(), num_label_lines)
    heads = [wrap_text(name, layout.width) for name in columns]
    names = {scene: wrap_text(scene, NAME_PX) for scene in rows}
    left = 2 * GAP_PX + max(round(label_font().getlength(line)) for lines in names.values() for line in lines)
    top = GAP_PX + LINE_PX * max(len(head) for head in heads)
    size = (left + layout.step_x * len(columns), top + layout.step_y * len(rows))
    canvas = Image.new("RGB", size, PAPER)
    for i, head in enumerate(heads):
        draw_head(canvas, head, left + i * layout.step_x + layout.width // 2, top)
    for j, (scene, lines) in enumerate(names.items()):
        y = top + j * layout.step_y
        draw_name(canvas, lines, left - GAP_PX, y + layout.height // 2)
        for i, name in enumerate(columns):
            corner = (left + i * layout.step_x, y)
            draw_tile(canvas, tiles[scene, name], images.get((scene, name)), corner, layout)
    return canvas


def draw_gallery(
    tiles: Sequence[LabelledImage], num_columns: int, tile_px: int = TILE_PX, *, num_label_lines: int = 1
) -> Image.Image:
    """Draw tiles one after the other, so many in a row, a label under each.

    Args:
        tiles: In reading order.
        num_columns: Tiles of a row.
        tile_px: Width of a tile, about.
        num_label_lines: Room for labels at most; a longer one is cut.

    Raises:
        UsageError: There is no view in it.
    """
    images = resize_views(dict(enumerate(tiles)), tile_px)
    layout = lay_out_tiles(images, tiles, num_label_lines)
    num_columns = min(num_columns, len(tiles))
    num_rows = -(-len(tiles) // num_columns)
    size = (GAP_PX + layout.step_x * num_columns, GAP_PX + layout.step_y * num_rows)
    canvas = Image.new("RGB", size, PAPER)
    for i, tile in enumerate(tiles):
        corner = (GAP_PX + i % num_columns * layout.step_x, GAP_PX + i // num_columns * layout.step_y)
        draw_tile(canvas, tile, images.get(i), corner, layout)
    return canvas


def resize_views(tiles: Mapping[Any, LabelledImage], tile_px: int) -> dict[Any, UInt8[np.ndarray, "_ _ 3"]]:
    """Resize the tiles that have a view.

    Raises:
        UsageError: None has.
    """
    images = {key: resize_view(tile.color, tile_px) for key, tile in tiles.items() if tile.color is not None}
    if not images:
        raise UsageError("sheet: expected at least one view, got none; the trials left no views: train them again")
    return images


def lay_out_tiles(
    images: Mapping[Any, UInt8[np.ndarray, "_ _ 3"]], tiles: Iterable[LabelledImage], most_lines: int
) -> TileLayout:
    """Choose sizes that all images and labels fit in.

    Args:
        images: Images of the tiles that have one.
        tiles: All tiles.
        most_lines: Lines of a label at most.
    """
    height = max(image.shape[0] for image in images.values())
    width = max(image.shape[1] for image in images.values())
    num_lines = 1
    if most_lines > 1:
        num_lines = min(most_lines, max(len(wrap_text(tile.label, width)) for tile in tiles))
    return TileLayout(width, height, num_lines)


def draw_head(canvas: Image.Image, lines: Sequence[str], x: int, bottom: int) -> None:
    """Draw a column's head, centred at x, its last line above the tiles."""
    draw = ImageDraw.Draw(canvas)
    for i, line in enumerate(reversed(lines)):
        draw.text((x, bottom - GAP_PX - 2 - LINE_PX * i), line, fill=INK, font=label_font(), anchor="ms")


def draw_name(canvas: Image.Image, lines: Sequence[str], right: int, middle: int) -> None:
    """Draw a row's name to the left of its tiles, its lines about the middle."""
    draw = ImageDraw.Draw(canvas)
    for i, line in enumerate(lines):
        y = middle + (2 * i - len(lines) + 1) * LINE_PX // 2
        draw.text((right, y), line, fill=INK, font=label_font(), anchor="rm")


def draw_tile(
    canvas: Image.Image,
    tile: LabelledImage,
    image: UInt8[np.ndarray, "_ _ 3"] | None,
    corner: tuple[int, int],
    layout: TileLayout,
) -> None:
    """Draw a tile and its label at a corner, or say that there is no view."""
    x, y = corner
    draw = ImageDraw.Draw(canvas)
    center = x + layout.width // 2
    if image is not None:
        canvas.paste(Image.fromarray(image), corner)
    else:
        draw.rectangle((x, y, x + layout.width - 1, y + layout.height - 1), fill=NOTHING)
        draw.text((center, y + layout.height // 2), "no view", fill=QUIET, font=label_font(), anchor="mm")
    lines = wrap_text(tile.label, layout.width)
    num_lines = layout.num_label_lines
    if len(lines) > num_lines > 1:
        lines[num_lines - 1] = cut_text(f"{lines[num_lines - 1]} …", layout.width)
    for i, line in enumerate(lines[:num_lines]):
        place = (center, y + layout.height + 1 + i * LINE_PX)
        draw.text(place, line, fill=TONES[tile.tone], font=label_font(), anchor="ma")


# --- letters ----------------------------------------------------------------------------------------------------------


@functools.cache
def label_font(size_px: int = LABEL_PX) -> ImageFont.FreeTypeFont:
    """Load DejaVu Sans as matplotlib brings it."""
    import matplotlib

    path = pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    # the basic layout: the other one depends on a library that not every Pillow has
    return ImageFont.truetype(str(path), size_px, layout_engine=ImageFont.Layout.BASIC)


def wrap_text(text: str, width_px: int) -> list[str]:
    """Wrap words in lines that fit; a word that is too long ends in an ellipsis."""
    lines: list[str] = [""]
    for word in printable(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and label_font().getlength(longer) > width_px:
            lines.append(word)
        else:
            lines[-1] = longer
    return [cut_text(line, width_px) for line in lines]


def cut_text(text: str, width_px: int) -> str:
    """Cut a text where it would not fit."""
    if label_font().getlength(text) <= width_px:
        return text
    while text and label_font().getlength(text + "…") > width_px:
        text = text[:-1]
    return text + "…"
