"""Lists what each command may import before it knows that it has something to compute.

One process forks a child for each command line, so that each starts with nothing imported, and the whole takes seconds.
"""

import json
import subprocess
import sys

import pytest

from bench import __main__ as command_line
from bench.import_paths import ROOT
from bench.storage.store import Store
from tests.fixtures.stored_trials import some_outcome, some_scores

HEAVY = (
    *("PIL", "array_record", "av", "flax", "huggingface_hub", "jax", "jaxtyping", "matplotlib", "mitsuba", "numpy"),
    *("optax", "pandas", "pyarrow", "ray", "rich", "safetensors", "scipy", "seaborn", "skimage", "statsmodels"),
    *("tensorflow_datasets", "trimesh"),
)

TRIAL = "nerf__a__s0__0"

MISTAKES = {
    "no such verb": ("rnu",),
    "no such suite": ("run", "--suite", "ablation"),
    "no such budget": ("plan", "--suite", "ablations", "--budget", "smok"),
    "no seeds": ("run", "--suite", "ablations", "--seeds", "x"),
    "no such key": ("report", "--suite", "ablations", "--only", "scenes=kettle"),
    "no change": ("archive", "--suite", "ablations", "--set", "nerf"),
    "no such protocol": ("rescore", "--suite", "ablations", "--protocol", "std"),
    "no such executor": ("compare", "nerf", "--executor", "rya"),
    "no trials in a pack": ("run", "--suite", "ablations", "--pack-size", "0"),
    "no such method": ("check", "nerff"),
    "no such scene to export": ("export-scenes", "out", "--scenes", "ketle"),
    "no words": ("generate", " . "),
    "no size": ("export", "nerf", "--suite", "ablations", "--image-px", "1"),
    "no such figure": ("report", "--figure", "clip"),
    "no such trial": ("show", "mip"),
    "no such folder": ("ls", "--results", "no-such-folder"),
    "neither trials nor all": ("retry",),
    "no such file of votes": ("votes", "no-such-file.json"),
    "no Python file": ("new-method", "field.txt"),
}
"""Command lines that are wrong by their words alone."""

SCRIPT = """
import json, os, sys

from bench import __main__ as command_line

def imported(words):
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    try:
        code = command_line.main(words)
    except SystemExit as stopped:
        code = stopped.code
    sys.stdout.flush()
    return {"code": code, "heavy": [name for name in HEAVY if name in sys.modules]}

HEAVY, lines = json.loads(sys.argv[1])
found = []
for words in lines:
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, json.dumps(imported(words)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        found.append(json.load(told))
    os.waitpid(child, 0)
print(json.dumps(found))
"""


def run_all(lines, folder):
    """Runs command lines, each in a process of its own; gives exit code and heavy imports of each."""
    asked = json.dumps([HEAVY, lines])
    done = subprocess.run([sys.executable, "-c", SCRIPT, asked], capture_output=True, text=True, check=True, cwd=folder)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    trials = Store.open(folder)
    trials.write(some_outcome(TRIAL, scores={"std-v1": some_scores((20.0, 22.0))}, task="a__3v", budget="smoke"))
    return folder


@pytest.fixture(scope="module")
def found(store, tmp_path_factory):
    """Results of all command lines, in one process."""
    lines = {
        "--help": ("--help",),
        "no words at all": (),
        **{f"{verb} --help": (verb, "--help") for verb in command_line.VERBS},
        **{f"{verb} --unknown": (verb, "--unknown") for verb in command_line.VERBS},
        "ls": ("ls", "--results", store),
        "ls --json": ("ls", "--json", "--results", store),
        "status": ("status", "--results", store),
        "show": ("show", TRIAL, "--results", store),
        **MISTAKES,
    }
    words = [[str(word) for word in line] for line in lines.values()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        return dict(zip(lines, run_all(words, tmp_path_factory.mktemp("elsewhere")), strict=True))


@pytest.mark.parametrize("name", ["--help", *(f"{verb} --help" for verb in command_line.VERBS)])
def test_help_is_light(found, name):
    assert found[name] == {"code": 0, "heavy": []}


@pytest.mark.parametrize("name", ["no words at all", *(f"{verb} --unknown" for verb in command_line.VERBS), *MISTAKES])
def test_mistakes_in_words_are_told_at_once(found, name):
    assert found[name] == {"code": 2, "heavy": []}


@pytest.mark.parametrize("name", ["ls", "ls --json", "status", "show"])
def test_looking_at_a_store_is_light(found, name):
    assert found[name] == {"code": 0, "heavy": []}


def test_what_is_heavy_is_seen(tmp_path, monkeypatch):
    """The check itself: a verb that computes does import JAX."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    [told] = run_all([["plan", "--suite", "sparse-views", "--only", "scene=nowhere"]], tmp_path)
    assert told["code"] == 2 and {"jax", "flax", "numpy"} <= set(told["heavy"])
