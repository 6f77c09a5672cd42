"""Adds the options of reports: how many turntables and meshes they hold, and what an hour of a device costs."""

from __future__ import annotations

import argparse
import math
import re
from typing import TYPE_CHECKING, NamedTuple

from bench.cli.argument_parser import whole_number
from bench.errors import UsageError
from bench.report.defaults import MOST_TRIALS, NUM_CLUSTERS
from bench.storage.trial_reader import TrialReader

if TYPE_CHECKING:
    from bench.report.images.interactive_media import InteractiveMedia
    from bench.report.report_contents import DeferredDrawing
    from bench.report.tables.costs import DevicePrice
    from bench.suites import selection
    from bench.suites.suite import TrialSlot

NUM_MESHES = 2
"""Number of meshes if nobody says: each takes some seconds, and one to three megabytes."""


class MediaOptions(NamedTuple):
    """Options of turntables and meshes.

    Attributes:
        num_clusters: Scenes or captions of each table whose pictures turn; None for a number that keeps pages small.
        num_meshes: Objects of baselines that a reader can turn.
    """

    num_clusters: int | None = None
    num_meshes: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of turntables and meshes."""
    parser.add_argument(
        "--pictures",
        type=parse_count,
        metavar="N",
        help=f"scenes or captions of each table whose pictures turn (default: {NUM_CLUSTERS}, "
        f"or fewer where there are more than {MOST_TRIALS} pictures)",
    )
    parser.add_argument(
        "--meshes",
        type=parse_count,
        metavar="N",
        help=f"objects of baselines as meshes to turn by hand, where parameters are stored (default: {NUM_MESHES})",
    )


def parse_count(text: str) -> int:
    """Parse a number of things, from 0 on."""
    return whole_number(0)(text)


def media_options(args: argparse.Namespace) -> MediaOptions:
    """Read the options of turntables and meshes."""
    return MediaOptions(args.pictures, NUM_MESHES if args.meshes is None else args.meshes)


def unused_options(args: argparse.Namespace) -> list[str]:
    """List those options that were given, where they mean nothing."""
    given = (name for name in ("pictures", "meshes") if getattr(args, name) is not None)
    return [f"--{name}" for name in given]


def plan_media(
    chosen: selection.Selection, trials_store: TrialReader, options: MediaOptions
) -> DeferredDrawing[InteractiveMedia]:
    """Plan the turntables of each table's first seed, and the meshes of its baseline."""
    from bench.report.images import table_sheets, turntables
    from bench.report.images.interactive_media import InteractiveMedia
    from bench.report.report_contents import DeferredDrawing

    trials = {trial.id: trial for trial in chosen.trials}
    turned: list[TrialSlot] = []
    meshed: list[TrialSlot] = []
    for table in chosen.tables:
        cells = table_sheets.cells_of_first_seed(table, chosen)
        turned += turntables.choose_cells(cells, options.num_clusters)
        if options.num_meshes:
            meshed += [cell for cell in cells if cell.arm == table.baseline]
    inputs = [options, table_sheets.list_inputs(turned, trials_store), table_sheets.list_inputs(meshed, trials_store)]

    def draw() -> InteractiveMedia:
        reels = turntables.draw_reels(turned, trials, trials_store)
        if not options.num_meshes:
            return InteractiveMedia(reels=reels)
        from bench.export import mesh_viewer  # only where a mesh is made: it brings the trainer along

        viewers = mesh_viewer.make_viewers(meshed, trials, trials_store, options.num_meshes)
        return InteractiveMedia(reels=reels, viewers=viewers)

    return DeferredDrawing(inputs, draw)


def add_price_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a price."""
    parser.add_argument(
        "--price-per-hour",
        type=float,
        metavar="2.5",
        help="what an hour of a device costs: adds the price of the study",
    )
    parser.add_argument("--currency", metavar="NAME", help="what that is counted in (default: USD)")


def price_of(args: argparse.Namespace) -> DevicePrice | None:
    """Read the price of an hour; None where none is given.

    Raises:
        UsageError: The price is negative or no number, or the currency has no price or is no word.
    """
    if args.price_per_hour is None:
        if args.currency is not None:
            raise UsageError(
                f"--currency: expected --price-per-hour beside it, got {args.currency!r} alone; add a price: "
                "--price-per-hour 2.5"
            )
        return None
    if not (math.isfinite(args.price_per_hour) and args.price_per_hour >= 0):
        raise UsageError(f"--price-per-hour: expected a number from 0 on, got {args.price_per_hour}; try 2.5")
    currency = "USD" if args.currency is None else args.currency
    if not re.fullmatch(r"[^\W\d_]{1,12}|[$€£¥₹]", currency):
        raise UsageError(f"--currency: expected a word such as USD or EUR, got {currency!r}; letters only")
    from bench.report.tables.costs import DevicePrice

    return DevicePrice(args.price_per_hour, currency)
