"""`import`: renders that another program made, as trials beside trained ones."""

from __future__ import annotations

import argparse
import pathlib
from typing import TYPE_CHECKING

from bench.cli import suite_options
from bench.cli.argument_parser import whole_number
from bench.cli.common_options import add_json, add_results, opened_store, to_json_text
from tasks.captions.caption_sets import NAMES

if TYPE_CHECKING:
    from bench.plugins.render_import import ImportedTrial

HELP = "score images that another program rendered, and store them beside trained trials"
EXAMPLE = "python -m bench import out/kettle --task sparse-views:kettle --name instant-ngp --budget quick"

NUM_VIEWS = 3
"""Photographs of a scene in the suite `sparse-views`, as `bench.suites.builtin.sparse_views.NUM_VIEWS`."""

FIRST_VIEWS = (26, 86, 2, 55, 75, 93, 16, 73, 54, 95, 53, 92, 78, 13, 7, 30)
"""The first ids that `tasks.sparse_views.view_selection.choose_training_views` chooses of an embedded scene."""

HOW = f"""
RENDERS is a folder, or a .zip or .tar archive of one, with an image for each test view:

  RENDERS/0.png ... 24.png              of the one scene that --task names
  RENDERS/kettle/0.png ... 24.png       of several scenes, with --task sparse-views

An image's view is the one number in its name: 0.png, 007.png, r_0.png, test_000.png. Ids count from 0, in the order of
transforms_test.json as `python -m bench export-scenes --format blender OUT` writes it, beside all poses. Of an
embedded scene a method may see the first of these photographs, ids in transforms_train.json, as many as its task has
(sparse-views: {NUM_VIEWS}): {", ".join(map(str, FIRST_VIEWS))}, ...

Of photographs of your own, which --scenes names, ids are those that `python -m bench scene FOLDER` prints as held out.

Images are PNG of 8 or 16 bits, of the budget's size, RGB on the task's background (white) or RGBA with straight alpha,
which is put on it. Of a caption there are the 17 views of tasks/captions/caption_task.py (0 to 15 all round, 16 of the
paper), with alpha; where there are several, a caption's folder is named by its words with dashes.
"""

SHOWN = ("psnr", "ssim", "lpips_vgg")
"""Metrics that are printed, as far as there are numbers; of captions R-Precision by each judge."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `import`."""
    parser.description = f"{HELP}\n{HOW}"
    parser.add_argument("renders", type=pathlib.Path, metavar="RENDERS", help="a folder, or an archive of one")
    parser.add_argument(
        "--task",
        required=True,
        metavar="SUITE[:SCENE]",
        help="sparse-views:kettle, captions:'a blue dotted guitar'; without what follows the colon, all that is in "
        "RENDERS",
    )
    parser.add_argument("--name", required=True, help="what the method is called in tables and in `compare`")
    suite_options.add_budget(parser)
    suite_options.add_scenes(parser)
    parser.add_argument(
        "--num-views", type=whole_number(1), metavar="N", help="photographs it saw (default: as in the suite)"
    )
    parser.add_argument(
        "--seed", type=whole_number(0), default=0, metavar="S", help="which repetition it is (default: 0)"
    )
    parser.add_argument(
        "--captions",
        default="closed-world",
        metavar="SET",
        help=f"where captions:... come from: {', '.join(NAMES)}, file:PATH (default: closed-world)",
    )
    add_results(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Import, and print one line for each trial."""
    from bench.plugins.render_import import ImportOptions, import_renders

    options = ImportOptions(
        renders=args.renders,
        task=args.task,
        name=args.name,
        budget=suite_options.chosen_budget(args),
        num_views=args.num_views,
        seed=args.seed,
        captions=args.captions,
        scenes=args.scenes,
    )
    imported = []
    with opened_store(args.results) as trials_store:
        for trial in import_renders(options, trials_store):
            imported.append(trial)
            if not args.json:
                print(describe_trial(trial), flush=True)
    if args.json:
        print(to_json_text([trial._asdict() for trial in imported]))
    else:
        following = options.next_command(args.results)
        print(f"{len(imported)} imported as {args.name!r} in {args.results}; next: {following}")
    return 0


def describe_trial(trial: ImportedTrial) -> str:
    """Describe a trial in a line, with its first protocol's numbers."""
    protocol, means = next(iter(trial.means.items()), ("no protocol", {}))
    shown = {name: x for name, x in means.items() if name in SHOWN or name.startswith("rprec1@")}
    numbers = ", ".join(f"{name} {x:.4g}" for name, x in shown.items() if x is not None) or "no numbers"
    before = ", found stored" if trial.stored == "before" else ""
    return f"{trial.trial_id}: {trial.num_views} views, {protocol}: {numbers}{before}"
