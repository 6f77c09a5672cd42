"""`encoders`: what encoders there are, which of them are on disk, and how to get the rest."""

from __future__ import annotations

import argparse
import json
import math
import pathlib
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.errors import UsageError, nearest
from models.clip import loading
from models.clip.checkpoints import catalog, files
from models.clip.networks import architectures, dual_encoder
from models.clip.pretraining import model_cards

HELP = "list encoders: what there is, what is on disk, how to get the rest"
EXAMPLE = "python -m bench encoders openai-vit-b-32"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `encoders`."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="say all about one encoder")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.add_argument("--cards", action="store_true", help="print the cards of the embedded ones as Markdown")
    parser.add_argument(
        "--convert",
        metavar="NAME=PATH",
        help="write OpenAI's original file of NAME as safetensors where they are looked for; torch is needed this once",
    )


def main(args: argparse.Namespace) -> int:
    """Prints the catalog or one entry of it."""
    if args.convert:
        name, equals, path = args.convert.partition("=")
        if not equals:
            raise UsageError(f"--convert: expected NAME=PATH, got {args.convert!r}; write openai-rn50=RN50.pt")
        print(f"{name}: written to {loading.convert(name, pathlib.Path(path).expanduser())}")
        return 0
    if args.cards:
        print(model_cards.markdown(), end="")
        return 0
    if args.name:
        names = [*catalog.EMBEDDED, *catalog.ENTRIES]
        if args.name not in names:
            raise UsageError(f"encoders: expected one of the catalog, got {args.name!r}; {nearest(args.name, names)}")
        found = described(args.name)
        print(
            json.dumps(found, indent=1)
            if args.json
            else "\n".join(model_cards.card_lines({k: v for k, v in found.items() if v}))
        )
        return 0
    rows = [summary(name) for name in (*catalog.EMBEDDED, *catalog.ENTRIES)]
    if args.json:
        print(json.dumps(rows, indent=1))
        return 0
    print_table(rows)
    return 0


def summary(name: str) -> dict[str, Any]:
    """A line of the table; no file is read for a published one."""
    found = catalog.find_weights(name)
    if name in catalog.EMBEDDED:
        model, trained_on = files.read_model(catalog.EMBEDDED_FOLDER / f"{name}.safetensors", name), "this project"
        architecture = type(model.image_tower).__name__
    else:
        entry = catalog.ENTRIES[name]
        model, trained_on, architecture = architectures.build(entry.architecture), entry.trained_on, entry.architecture
    return {
        "name": name,
        "architecture": architecture,
        "image_px": model.image_tower.image_px,
        "embedding_dim": model.image_tower.embedding_dim,
        "trained_on": trained_on + (", judge" if name in catalog.JUDGES else ""),
        "on_disk": str(found) if found else None,
    }


def described(name: str) -> dict[str, Any]:
    """All about one encoder."""
    found = summary(name)
    if name in catalog.EMBEDDED:
        return found | model_cards.card(name)
    entry = catalog.ENTRIES[name]
    model = architectures.build(entry.architecture)
    num_parameters = sum(
        math.prod(shape) for path, shape in dual_encoder.variable_shapes(model).items() if path.startswith("params/")
    )
    return found | {
        "parameters": num_parameters,
        "features": ", ".join(model.image_tower.features),
        "sources": "; ".join(f"{source.repository}/{source.file}@{source.revision}" for source in entry.sources),
        "sha256": "; ".join(str(source.sha256) for source in entry.sources),
        "place": str(entry.manual_path),
        "to get it": entry.how_to_get if not found["on_disk"] else None,
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    """The catalog, then how to get what is not there."""
    printed = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("encoder", "architecture", "px", "trained on", "on disk"):
        printed.add_column(heading)
    for row in rows:
        said = "yes" if row["on_disk"] else "no"
        printed.add_row(row["name"], row["architecture"], str(row["image_px"]), row["trained_on"], said)
    console = Console(soft_wrap=True)
    console.print(printed)
    absent = [row["name"] for row in rows if not row["on_disk"]]
    if absent:
        print("\nthose not on disk are fetched when first used, if a file of theirs is pinned")
        print(f"without a network `python -m bench encoders {absent[0]}` says what to put where")
        print(f"files put there by hand are looked for as {catalog.folder()}/NAME.safetensors")
    print("others: " + ", ".join(f"{scheme}:..." for scheme in loading.SCHEMES) + " (see models/clip/loading.py)")
