"""Over 200 bad inputs over every verb, file format, variable and plug-in: the tables lie beside this file."""

import pytest

from bench import __main__ as command_line
from bench.report.figures import scene_cameras
from tests.bad_input import (
    encoders,
    environment,
    own_models,
    own_photographs,
    own_scenes,
    plugins,
    quizzes,
    records,
    renders,
    store_files,
    verbs,
    votes_and_json,
)
from tests.bad_input.bad_case import SETUPS, STORE, find_faults, run_case
from tests.fixtures.stored_trials import failure, some_outcome

TABLES = {
    "verbs": verbs.TABLE,
    "records": records.TABLE,
    "store": store_files.TABLE,
    "votes and JSON": votes_and_json.TABLE,
    "quizzes": quizzes.TABLE,
    "scenes": own_scenes.TABLE,
    "photographs": own_photographs.TABLE,
    "LLFF and COLMAP": own_models.TABLE,
    "renders": renders.TABLE,
    "plug-ins": plugins.TABLE,
    "encoders": encoders.TABLE,
    "environment": environment.TABLE,
}

CASES = [pytest.param(case, id=f"{name}-{i}") for name, table in TABLES.items() for i, case in enumerate(table)]


@pytest.fixture(scope="module")
def store_content(tmp_path_factory):
    """The files of a store with a trial that finished, and one that failed."""
    from bench.storage.store import Store

    root = tmp_path_factory.mktemp("store")
    trials = Store.open(root)
    trials.write(some_outcome())
    trials.write(failure())
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path, store_content):
    """A folder that holds the store."""
    for name, content in store_content.items():
        path = tmp_path / STORE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path


@pytest.mark.parametrize("case", CASES)
def test_a_bad_input_is_one_line(case, place, capsys, monkeypatch):
    monkeypatch.setattr(scene_cameras, "draw_scene", lambda look: b"drawn")  # takes long, and is tested elsewhere
    outcome = run_case(case, place, monkeypatch)
    printed = capsys.readouterr()
    faults = find_faults(case, outcome, printed.out, printed.err, place)
    assert not faults, f"{case.words}, {case.setup}\n{printed.err}"


def test_there_are_at_least_200():
    assert len(CASES) >= 200
    assert len({case.values[0] for case in CASES}) == len(CASES)


def test_every_verb_has_some():
    assert {case.values[0].words.split()[0] for case in CASES} >= set(command_line.VERBS)


def test_every_setup_is_used():
    assert {case.values[0].setup for case in CASES} - {""} == set(SETUPS)
