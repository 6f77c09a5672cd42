import importlib
import os
import subprocess
import sys

import pytest

from bench import __main__ as command_line
from bench.import_paths import ROOT


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
        assert "expected a verb, got 'rnu'; the nearest is 'run'" in printed.err
        assert "Traceback" not in printed.err

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
        ],
    )
    def test_mistakes_are_one_line_and_exit_2(self, words, message, capsys):
        code, printed = run("plan", *words, "--no-pilot", capsys=capsys)
        assert code == 2
        assert message in printed.err
        assert len(printed.err.strip().splitlines()) == 1


HELP_OF_STATUS = """
import sys
from bench import __main__ as command_line
try:
    command_line.main(["status", "--help"])
except SystemExit:
    print("mitsuba" in sys.modules, "ray" in sys.modules)
"""


def test_help_imports_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-c", HELP_OF_STATUS], capture_output=True, text=True, check=True, cwd=ROOT, env=os.environ
    )
    assert done.stdout.splitlines()[-1] == "False False"


@pytest.mark.parametrize("verb", command_line.VERBS)
def test_every_verb_offers_the_same_four_names(verb):
    module = importlib.import_module(command_line.module_of(verb))
    assert module.HELP and not module.HELP.endswith(".")
    assert callable(module.add_arguments)
    assert callable(module.main)
