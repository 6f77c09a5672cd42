"""Finds the verb and runs it: `python -m bench VERB ...`. Imports nothing heavy."""

from __future__ import annotations

import importlib
import keyword
import os
import sys

from bench import bytecode, device_errors, import_paths
from bench.cli.argument_parser import ArgumentParser
from bench.errors import MACHINE_ERRORS, OutOfDeviceMemory, UsageError, machine_fault, nearest

VERBS = {
    "run": "train what is missing of a suite, score it, print its tables and write its report",
    "plan": "say what run would do: trials, packs, arms' differences, time",
    "profile": "measure what training costs here: compiling, steps, memory, arithmetic",
    "scaling": "measure how much faster a suite is trained on more devices of this host",
    "status": "say what is running now, and what is done",
    "ls": "list the trials that are stored",
    "show": "show all that is known of one trial, with its traceback if it failed",
    "rescore": "score stored views again, under the suite's protocols or another",
    "retry": "move failed trials aside, so that the next run trains them again",
    "report": "write the tables, figures and pictures of stored results again",
    "check": "run the contract test on a method or a network of your own",
    "encoders": "list encoders: what there is, what is on disk, how to get the rest",
    "generate": "make one object from a caption: video, mesh and pictures, several seeds at once",
    "export": "write a stored trial's video, mesh (GLB, OBJ, PLY) and pictures",
    "doctor": "examine this install and device: known numbers, determinism, memory, room, packages, Ray, stored trials",
    "drill": "make faults of machines while small trials are trained, and say whether anything was lost",
    "archive": "keep a suite's stored trials in one small file: records, scores, a few pictures",
    "adopt": "take over results that an earlier version stored",
    "compare": "set a method of your own against baselines: train what is missing, print paired differences",
    "scene": "look at a folder of photographs before training: format, split, cameras, near and far, doubts",
    "export-scenes": "write the embedded scenes in the layout of NeRF Realistic Synthetic",
    "import": "score images that another program rendered, and store them beside trained trials",
    "new-method": "write a commented file that a network or a recipe of your own can start from",
    "quiz": "make a blind quiz: people say what they see in pictures of several arms; votes counts the answers",
    "votes": "say which arm is preferred, or recognised, from files of votes or of answers to a quiz",
    "upper-bounds": "render the objects that captions mean, and store their scores as upper bounds",
}
"""Each verb with the `HELP` of its module, so that `--help` imports none of them."""

CONTINUING = frozenset({"run", "compare", "rescore", "import", "upper-bounds", "adopt", "retry"})
"""Verbs that store each trial, or its scores, when it is finished."""


def main(argv: list[str] | None = None) -> int:
    """Run one verb; 0 is good, 1 a trial or a check that failed, 2 a mistake of the user's, 130 Ctrl-C, 143 SIGTERM."""
    import_paths.put_root_first()
    bytecode.keep_bytecode()
    argv = sys.argv[1:] if argv is None else argv
    try:
        return run(argv)
    except UsageError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.exit_code
    except (RuntimeError, AssertionError) as error:
        explained = device_errors.explain_device_error(error)
        if "home directory" in str(error):
            explained = "~: expected a home folder, got none; set HOME, or write the path without ~"
        if explained is None:
            raise
        print(f"bench: {explained}", file=sys.stderr)
        return 2
    except OutOfDeviceMemory as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        from bench.training.stopping import exit_code

        print(f"\nbench: {describe_stop(argv)}", file=sys.stderr)
        return exit_code(stop)
    except BrokenPipeError:  # `bench ls | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if "temporary directory" in str(error):  # what Python says where it finds none
            print("bench: TMPDIR: expected a folder that can be written, got none; set it to one", file=sys.stderr)
            return 2
        if error.errno not in MACHINE_ERRORS:
            raise
        print(f"bench: {machine_fault(error)}", file=sys.stderr)
        return 2


def describe_stop(argv: list[str]) -> str:
    """Say what becomes of a command that was stopped by Ctrl-C or SIGTERM.

    Example:
        >>> describe_stop(["run", "--suite", "sparse-views"])
        'stopped; what is finished is stored, the same command continues'
        >>> describe_stop(["generate", "a red chair"])
        'stopped; the same command starts again from the beginning'
    """
    if argv and argv[0] in CONTINUING:
        return "stopped; what is finished is stored, the same command continues"
    return "stopped; the same command starts again from the beginning"


def run(argv: list[str]) -> int:
    """Parse the command line for one verb and call it."""
    if not argv or argv[0] in ("-h", "--help"):
        print(overview())
        return 0 if argv else 2
    name = argv[0]
    if name not in VERBS:
        raise UsageError(
            f"expected a verb, got {name!r}; {nearest(name, [*VERBS, '--help'])}; see python -m bench --help"
        )
    verb = importlib.import_module(module_of(name))
    parser = ArgumentParser(name, verb.HELP, verb.EXAMPLE)
    verb.add_arguments(parser)
    return verb.main(parser.parse_words(argv[1:]))


def module_of(name: str) -> str:
    """Name the module of a verb: `import` is a word of Python's and cannot be a module's name.

    Example:
        >>> module_of("export-scenes"), module_of("import")
        ('bench.cli.export_scenes', 'bench.cli.import_')
    """
    return f"bench.cli.{name.replace('-', '_')}{'_' * keyword.iskeyword(name)}"


def overview() -> str:
    """Write what `--help` prints: one line for each verb."""
    lines = [f"  {name:14} {help_line}" for name, help_line in VERBS.items()]
    return "\n".join(
        [
            "usage: python -m bench VERB [options]; python -m bench VERB --help",
            "",
            "A benchmark harness for sparse-view and text-driven radiance fields.",
            "",
            *lines,
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
