"""`generate`: one object from a caption, several seeds at once, and a page that shows what came of it.

DIR/index.html     all seeds, the best first; opens from disk
DIR/summary.json   the same as numbers
DIR/seed-0/        turntable, mesh, views, strip and curves: what `bench.export.object_files.export_object` writes
DIR/captions.txt   what the judge chose from, where the caption is in no set of ours
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import gc
import hashlib
import pathlib
import re
import shlex
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench.cli import export_options, suite_options
from bench.cli.common_options import add_json, to_json_text
from bench.errors import UsageError
from bench.suites import option_syntax
from tasks.captions.caption_sets import normalized
from tasks.data_dir.atomic_files import write_file

if TYPE_CHECKING:
    from bench.export.writers import Writers
    from bench.storage.timings import PhaseTimer

HELP = "make one object from a caption: video, mesh and pictures, several seeds at once"
EXAMPLE = 'python -m bench generate "a red metallic chair" --seeds 0-3'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `generate`."""
    parser.add_argument("caption", type=caption_text, metavar="CAPTION", help="what to make, in a person's words")
    parser.add_argument(
        "--encoder", metavar="NAME[,NAME]", help="the guide, or several (default: the budget's); see bench encoders"
    )
    suite_options.add_budget(parser, on_accelerator="fine")
    parser.add_argument(
        "--seeds",
        type=suite_options.seeds_text,
        metavar="0-3",
        default="0",
        help="an object each, trained at once (default: 0)",
    )
    parser.add_argument("--prompt", metavar="TEMPLATE", help="what the guide reads: 'a photo of {}', {} the caption")
    suite_options.add_settings(
        parser,
        "change a field of `dream_fields` (at budget fine `dream_fields_shape`), `task` or `budget`: "
        "dream_fields.num_steps=500",
    )
    export_options.add_sizes(parser)
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR", help="default: results/generated/CAPTION")
    parser.add_argument("--timings", action="store_true", help="print where the time went")
    add_json(parser, "the summary")


def caption_text(text: str) -> str:
    """Check that a caption has words; UsageError gives an example."""
    if not normalized(text):
        raise UsageError(f"caption: expected words, got {text!r}; say what to make: 'a red metallic chair'")
    return text


def main(args: argparse.Namespace) -> int:
    """Train, write, and say where; 1 if a seed failed."""
    from bench.export.writers import open_writers
    from bench.storage.timings import PhaseTimer

    timer = PhaseTimer()
    with pause_garbage_collection(), open_writers() as writers:
        return make_in_folder(args, timer, writers)


@contextlib.contextmanager
def pause_garbage_collection() -> Iterator[None]:
    """Look for no cyclic garbage for a while: a command that ends soon gains nothing by it.

    To import 2,000 modules lets Python look hundreds of times: 0.7 s of processor time of a warm command. When the
    process ends, it would look once more, for 0.6 s, through all that there is.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    atexit.register(gc.freeze)
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def make_in_folder(args: argparse.Namespace, timer: PhaseTimer, writers: Writers) -> int:
    """Start the device, make the folder, and the objects in it; 1 if a seed failed."""
    from bench.training import precompile

    precompile.prefer_quick_compiles()
    starting = precompile.start_device()

    from bench.programs import loading_ahead, program_names
    from bench.report.figures.figure import slugify
    from bench.training import devices
    from models.clip import loading
    from models.clip.guide_names import split_guide_names

    caption = " ".join(args.caption.split())
    words = slugify(caption)
    if not re.search("[a-z0-9]", caption.lower()):  # of another alphabet, or pictures
        words = f"object-{hashlib.sha256(caption.encode(errors='replace')).hexdigest()[:8]}"
    if args.encoder is not None:
        for name in split_guide_names(args.encoder):
            loading.check_encoder_name(name)
    folder = export_options.new_folder(args.out or export_options.OUT / words)
    devices.use_compilation_cache()  # before the first program is loaded
    with (
        precompile.switch_threads_often(),
        program_names.remember_sources(),
        loading_ahead.load_programs_ahead(program_options(args), starting),
        folder as out,
    ):
        return make_and_describe(args, caption, out, timer, starting, writers)


def program_options(args: argparse.Namespace) -> tuple[object, ...]:
    """Collect the options that decide which programs are needed: all but the caption and where the object goes."""
    num_seeds = len(option_syntax.parse_seeds(args.seeds))
    sizes = (args.image_px, args.resolution)
    return ("generate", args.budget, args.encoder, tuple(args.settings), num_seeds, *sizes)


def make_and_describe(
    args: argparse.Namespace,
    caption: str,
    out: pathlib.Path,
    timer: PhaseTimer,
    starting: threading.Thread,
    writers: Writers,
) -> int:
    """Train the seeds, write their files into a folder, and say where; 1 if a seed failed."""
    from bench.export import generation, generation_page, text_to_3d
    from bench.training import precompile
    from bench.training.progress import format_seconds

    trials = text_to_3d.trials_of(
        caption,
        out,
        budget=args.budget,
        seeds=option_syntax.parse_seeds(args.seeds),
        encoder=args.encoder,
        prompt=args.prompt,
        settings=args.settings,
    )
    warning = generation.warn_unknown_words(caption, trials[0])
    if warning:
        print(f"warning: {warning}", file=sys.stderr)
    timer.lap("start_s")
    precompile.import_while_starting(starting)
    starting.join()
    timer.lap("device_s")
    made = generation.make_objects(trials, out, export_options.sizes(args), timer, writers)
    summary = generation.summarize_objects(trials[0], made, laps=timer.laps, command=command_line(args))
    write_file(out / "summary.json", to_json_text(summary) + "\n")
    write_file(out / "index.html", generation_page.render_generation_page(summary))
    if args.json:
        print(to_json_text(summary))
    else:
        for described in summary["objects"]:
            print(f"seed {described['seed']}: {'; '.join(generation_page.describe_seed(described))}")
        for line in summary["people"]:
            print(f"earlier objects of its kind, of several recipes: {line}")
        older = generation.list_older_folders(out, made)
        if older:
            print(f"of an earlier command, and not on the page: {', '.join(older)} in {out}")
        if args.timings:
            print(generation.describe_seconds(summary["seconds"]))
        print(f"{format_seconds(summary['seconds']['wall_s'])}; page: {out / 'index.html'}")
    return int(any(result.left is None for result in made))


def command_line(args: argparse.Namespace) -> str:
    """Write the command that makes this again, without where it lies."""
    words = ["python -m bench generate", shlex.quote(args.caption)]
    names = ("encoder", "budget", "seeds", "prompt", "image_px", "resolution", "level")
    given = [(name.replace("_", "-"), getattr(args, name)) for name in names]
    words += [f"--{name} {shlex.quote(str(value))}" for name, value in given if value is not None]
    words += [f"--set {shlex.quote(setting)}" for setting in args.settings]
    return " ".join(words)
