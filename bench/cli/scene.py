"""`scene`: a folder of photographs, looked at before anything is trained."""

from __future__ import annotations

import argparse
import pathlib

from bench.cli.common_options import add_json, check_out_file, to_json_text
from bench.errors import UsageError, escape_controls

HELP = "look at a folder of photographs before training: format, split, cameras, near and far, doubts"
EXAMPLE = "python -m bench scene /data/garden --out garden.png"

WORLDS = ("bounded", "unbounded", "forward-facing")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `scene`."""
    parser.add_argument("folder", type=pathlib.Path, metavar="FOLDER", help="a scene's folder")
    parser.add_argument(
        "--out", type=pathlib.Path, metavar="FILE", help="where its cameras are drawn (default: ./scene-NAME.png)"
    )
    parser.add_argument("--near", type=float, metavar="DEPTH", help="instead of the estimate, in the poses' unit")
    parser.add_argument("--far", type=float, metavar="DEPTH", help="instead of the estimate, in the poses' unit")
    parser.add_argument("--world", choices=WORLDS, help="what lies around it, instead of the estimate")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Print what is known of the scene and draw its cameras; UsageError says what keeps it from being trained."""
    from bench.report import scene_summary
    from bench.report.figures import scene_cameras
    from tasks.data_dir.atomic_files import write_file
    from tasks.sparse_views import scene_folders
    from tasks.sparse_views.captured.captured_scene import CapturedScene

    check_out_file(args.out)
    try:
        folders = scene_folders.find_scene_folders(args.folder)
    except UsageError as error:
        raise UsageError(str(error).replace("--scenes:", "scene:", 1)) from error
    if len(folders) > 1:
        names = ", ".join(folder.name for folder in folders)
        raise UsageError(f"scene: expected one scene, got a folder of {len(folders)}: {names}; name one of them")
    task = scene_folders.open_scene(folders[0])
    given = {name: getattr(args, name) for name in ("near", "far", "world") if getattr(args, name) is not None}
    if given:
        task = CapturedScene(scene=folders[0].name, folder=str(folders[0].parent), **given)
    look = scene_summary.look_at_scene(task)
    summary = scene_summary.summarize_scene(look)
    out = args.out or pathlib.Path(f"scene-{look.task.scene}.png")
    try:
        write_file(out, scene_cameras.draw_scene(look))
    except OSError as error:
        raise UsageError(f"--out: expected a file that can be written, got {out}: {error.strerror}") from error
    if args.json:
        print(to_json_text(summary | {"drawing": str(out)}))
    else:
        print(escape_controls("\n".join([*scene_summary.summary_lines(summary), f"  {'drawn':9} {out}"])))
    return 0
