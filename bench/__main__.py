"""Finds the verb and runs it: `python -m bench VERB ...`. Imports nothing heavy."""

from __future__ import annotations

import argparse
import importlib
import keyword
import os
import sys

from bench import import_paths
from bench.errors import UsageError, nearest

VERBS = (
    *("run", "plan", "status", "ls", "show", "rescore", "retry", "report", "check", "encoders", "generate", "export"),
    "archive",
    "adopt",
    "compare",
    "export-scenes",
    *("import", "new-method"),
    "votes",
)


def main(argv: list[str] | None = None) -> int:
    """Runs one verb; 0 is good, 1 a trial or a check that failed, 2 a mistake of the user's, 130 Ctrl-C."""
    import_paths.put_root_first()
    argv = sys.argv[1:] if argv is None else argv
    try:
        return run(argv)
    except UsageError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nbench: stopped; what is finished is stored, the same command continues", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `bench ls | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def run(argv: list[str]) -> int:
    """Parses the command line for one verb and calls it."""
    if not argv or argv[0] in ("-h", "--help"):
        print(overview())
        return 0 if argv else 2
    name = argv[0]
    if name not in VERBS:
        raise UsageError(f"expected a verb, got {name!r}; {nearest(name, VERBS)}; python -m bench --help")
    verb = importlib.import_module(module_of(name))
    parser = argparse.ArgumentParser(
        prog=f"python -m bench {name}",
        description=verb.HELP,
        epilog=f"example:\n  {verb.EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verb.add_arguments(parser)
    return verb.main(parser.parse_args(argv[1:]))


def module_of(name: str) -> str:
    """Where a verb is written: `import` is a word of Python's and cannot be a module's name.

    Example:
        >>> module_of("export-scenes"), module_of("import")
        ('bench.cli.export_scenes', 'bench.cli.import_')
    """
    return f"bench.cli.{name.replace('-', '_')}{'_' * keyword.iskeyword(name)}"


def overview() -> str:
    """What `--help` prints: a line a verb."""
    lines = [f"  {name:14} {importlib.import_module(module_of(name)).HELP}" for name in VERBS]
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
