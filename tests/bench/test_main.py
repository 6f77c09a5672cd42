import errno
import importlib
import os

import pytest

from bench import __main__ as command_line
from bench.cli.argument_parser import ArgumentParser
from bench.errors import OutOfDeviceMemory


def run(*words, capsys=None):
    code = command_line.main(list(words))
    return code, capsys.readouterr() if capsys else None


class TestVerbs:
    def test_no_verb_prints_the_overview_and_fails(self, capsys):
        code, printed = run(capsys=capsys)
        assert code == 2
        assert all(verb in printed.out for verb in command_line.VERBS)

    def test_help_of_the_whole(self, capsys):
        assert run("--help", capsys=capsys)[0] == 0

    @pytest.mark.parametrize("verb", command_line.VERBS)
    def test_help_of_each_verb_has_an_example(self, verb, capsys):
        with pytest.raises(SystemExit) as stopped:
            run(verb, "--help")
        assert stopped.value.code == 0
        assert f"python -m bench {verb}" in capsys.readouterr().out.split("example:")[1]

    def test_an_unknown_verb_names_the_nearest(self, capsys):
        code, printed = run("rnu", capsys=capsys)
        assert code == 2
        assert "got 'rnu'; the nearest is 'run'" in printed.err
        assert len(printed.err.splitlines()) == 1

    def test_a_misspelt_help_names_it(self, capsys):
        code, printed = run("--hlep", capsys=capsys)
        assert code == 2
        assert "the nearest is '--help'" in printed.err

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("--suite", "ablation"), "expected a suite, got 'ablation'; the nearest is 'ablations'"),
            (("--suite", "ablations", "--budget", "smok"), "got 'smok'; the nearest is 'smoke'"),
            (
                ("--suite", "ablations", "--budget", "smoke", "--only", "arm=Nerf"),
                "expected an arm of the suite, got 'Nerf'",
            ),
            (("--suite", "ablations", "--budget", "smoke", "--set", "nerf.num_rais=3"), "the nearest is 'num_rays'"),
            (("--suite", "ablations", "--budget", "smoke", "--seeds", "x"), "expected numbers and ranges"),
            (("--siute", "ablations"), "the nearest is '--suite'"),
            (("--budget", "smoke"), "expected --suite, got none"),
        ],
    )
    def test_mistakes_are_one_line_and_exit_2(self, words, message, capsys):
        code, printed = run("plan", *words, "--no-pilot", capsys=capsys)
        assert code == 2
        assert message in printed.err
        assert len(printed.err.strip().splitlines()) == 1


@pytest.mark.parametrize("verb", command_line.VERBS)
def test_every_verb_offers_the_same_four_names(verb):
    module = importlib.import_module(command_line.module_of(verb))
    assert command_line.VERBS[verb] == module.HELP and not module.HELP.endswith(".")
    assert callable(module.add_arguments)
    assert callable(module.main)


@pytest.mark.parametrize("verb", command_line.VERBS)
def test_json_needs_no_word_behind_it(verb):
    module = importlib.import_module(command_line.module_of(verb))
    parser = ArgumentParser(verb, module.HELP, module.EXAMPLE)
    module.add_arguments(parser)
    for action in parser._actions:
        if "--json" in action.option_strings:
            assert action.nargs in (0, "?") and " as JSON, and " in action.help


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out/a.png"),
            "out/a.png: No space left on device; mend that",
        ),
        (OSError(errno.EROFS, os.strerror(errno.EROFS), "out"), "out: Read-only file system; mend that"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "No space left on device; mend that"),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES), "out"), "out: Permission denied; mend that"),
        (RuntimeError("Could not determine home directory."), "~: expected a home folder, got none; set HOME"),
        (RuntimeError("Unable to initialize backend 'cuda': none (you may"), "devices: expected JAX to"),
        (RuntimeError("INTERNAL: CUDA_ERROR_OUT_OF_MEMORY\nmore"), "devices: expected free memory, got INTERNAL: CU"),
        (OutOfDeviceMemory("nerf: 64 trials do not fit in memory"), "nerf: 64 trials do not fit in memory"),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), "TMPDIR: expected a fold"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_faults_of_the_machine_are_one_line(error, line, monkeypatch, capsys):
    def fail(args):
        raise error

    verb = importlib.import_module("bench.cli.ls")
    monkeypatch.setattr(verb, "main", fail)
    assert command_line.main(["ls"]) == 2
    [said] = capsys.readouterr().err.splitlines()
    assert said.startswith(f"bench: {line}")


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "gone"), RuntimeError("a mistake of ours")])
def test_other_errors_keep_their_traceback(error, monkeypatch):
    def fail(args):
        raise error

    monkeypatch.setattr(importlib.import_module("bench.cli.ls"), "main", fail)
    with pytest.raises(type(error)):
        command_line.main(["ls"])
