"""`export-scenes`: the embedded scenes as files that other NeRF codes read."""

from __future__ import annotations

import argparse
import pathlib

from bench.cli.argument_parser import several_of, whole_number
from bench.cli.common_options import check_out_folder
from tasks.scenes.scene_names import SCENE_NAMES

HELP = "write the embedded scenes in the layout of NeRF Realistic Synthetic"
EXAMPLE = "python -m bench export-scenes --format blender /data/embedded --scenes castle --image-px 400"

SPLITS = ("train", "val", "test")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `export-scenes`."""
    parser.add_argument("out", type=pathlib.Path, metavar="OUT", help="folder; made if it is not there")
    parser.add_argument("--format", choices=("blender",), default="blender", help="layout of the files")
    parser.add_argument(
        "--scenes",
        type=several_of(SCENE_NAMES),
        default=list(SCENE_NAMES),
        metavar="A,B",
        help="names of scenes (default: all)",
    )
    parser.add_argument(
        "--splits",
        type=several_of(SPLITS),
        default=list(SPLITS),
        metavar="A,B",
        help="splits (default: train,val,test)",
    )
    parser.add_argument(
        "--image-px", type=whole_number(1), default=400, metavar="N", help="width and height (default: %(default)s)"
    )
    parser.add_argument(
        "--spp", type=whole_number(1), default=64, metavar="N", help="samples a pixel (default: %(default)s)"
    )


def main(args: argparse.Namespace) -> int:
    """Write the files and say what they are."""
    from tasks.sparse_views.scene_export import export_scenes

    check_out_folder(args.out, "OUT")
    export_scenes(args.out, args.scenes, args.splits, image_px=args.image_px, num_spp=args.spp)
    described = f"{', '.join(args.splits)}; {args.image_px} px, {args.spp} samples a pixel"
    print(f"{args.out}: {', '.join(args.scenes)} ({described})")
    return 0
