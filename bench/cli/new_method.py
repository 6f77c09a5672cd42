"""`new-method`: a file to start from, that trains as it is."""

from __future__ import annotations

import argparse
import pathlib

from bench.cli.common_options import check_out_file
from bench.errors import UsageError
from bench.plugins import scaffold

HELP = "write a commented file that a network or a recipe of your own can start from"
EXAMPLE = "python -m bench new-method my_pkg/field.py"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `new-method`."""
    parser.add_argument("path", type=pathlib.Path, metavar="FILE", help="below this folder: my_pkg/field.py")
    parser.add_argument(
        "--kind",
        choices=scaffold.KINDS,
        default="field",
        help="a network of the common recipe, or a recipe of its own (default: field)",
    )


def main(args: argparse.Namespace) -> int:
    """Write the file and make its folder a package; say what to do next."""
    names = scaffold.scaffold_names(args.path)
    check_out_file(args.path, "new-method")
    text = scaffold.fill_template(args.kind, names)
    try:
        args.path.parent.mkdir(parents=True, exist_ok=True)
        with args.path.open("x", encoding="utf-8") as file:
            file.write(text)
        made = [args.path, *make_packages(args.path)]
    except FileExistsError as error:
        raise UsageError(f"{args.path}: expected no such file yet, got one; choose another name, or move it") from error
    except OSError as error:
        raise UsageError(f"{args.path}: expected a folder that can be written, got {error.strerror!r}") from error
    print(f"wrote {', '.join(str(path) for path in made)}")
    print("next, from this folder:")
    for command in next_commands(args, names):
        print(f"  python -m bench {command}")
    return 0


def make_packages(path: pathlib.Path) -> list[pathlib.Path]:
    """Make packages of the folders between here and the file; return the files that were added."""
    here = pathlib.Path.cwd()
    made = []
    for folder in path.absolute().parents:
        if folder == here:
            break
        mark = folder / "__init__.py"
        if not mark.exists():
            mark.touch()
            made.append(mark.relative_to(here))
    return made


def next_commands(args: argparse.Namespace, names: scaffold.ScaffoldNames) -> list[str]:
    """List the commands to run on the file next."""
    commands = [f"check {names.reference}"]
    if args.kind == "field":
        setting = f"--set nerf.field={names.reference}"
        commands.append(f"run --suite sparse-views --budget smoke {setting} --only scene=kettle")
    return [*commands, f"compare {names.reference} --against dietnerf,simplified_nerf"]
