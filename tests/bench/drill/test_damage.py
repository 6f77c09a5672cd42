"""A fault damages one file, of the right kind, in a way that its number decides."""

import random

import pytest

from bench.drill import damage


@pytest.fixture
def results(tmp_path):
    for trial_id in ("nerf__a", "nerf__b"):
        for name in ("record.json", "parameters.safetensors", "views.safetensors", "scores/std-v1.json"):
            path = tmp_path / "results" / trial_id / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(range(200)))
    checkpoints = tmp_path / "results" / ".checkpoints"
    checkpoints.mkdir()
    (checkpoints / "a__s0.safetensors").write_bytes(b"arrays")
    (tmp_path / "results" / "failed-1" / "nerf__c").mkdir(parents=True)
    (tmp_path / "results" / "failed-1" / "nerf__c" / "record.json").write_bytes(b"{}")
    return tmp_path / "results"


@pytest.mark.parametrize("draw", range(20))
def test_a_file_is_cut_or_a_bit_of_it_flipped(draw, results):
    path = results / "nerf__a" / "record.json"
    before = path.read_bytes()
    made = damage.damage_file("record-damaged", path, "nerf__a", random.Random(draw))
    after = path.read_bytes()
    assert after != before
    if len(after) == len(before):
        [place] = [i for i, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
        assert (before[place] ^ after[place]).bit_count() == 1 and f"byte {place} of 200" in made.how
    else:
        assert before.startswith(after) and f"to {len(after)} bytes" in made.how
    made.restore()
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("record-damaged", {"record.json"}),
        ("scores-damaged", {"std-v1.json"}),
        ("parameters-damaged", {"parameters.safetensors", "views.safetensors"}),
        ("checkpoint-damaged", {"a__s0.safetensors"}),
    ],
)
def test_victims(kind, names, results, tmp_path):
    found = damage.find_victims(kind, results, tmp_path / "data", tmp_path / "weights")
    assert {path.name for path in found} == names
    trials = {damage.trial_of(path, results) for path in found}
    assert trials == ({""} if kind == "checkpoint-damaged" else {"nerf__a", "nerf__b"})


def test_weights_are_one_file(results, tmp_path):
    assert damage.find_victims("weights-damaged", results, tmp_path, tmp_path / "w") == [tmp_path / "w"]
