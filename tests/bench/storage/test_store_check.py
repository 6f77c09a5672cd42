"""Every byte of a stored trial counts: what is cut, flipped or strange is found, named, and harms nothing else."""

import json
import os
import pathlib
import random
import shutil

import pytest

from bench.errors import DamagedFile
from bench.storage import archive, checksums
from bench.storage.record import Record
from bench.storage.store import Store
from bench.storage.store_check import check_store, find_damaged_trials
from bench.storage.trial_reader import describe_damage, read_whole_views
from tests.fixtures.stored_trials import failure, forget_checksums, listing, some_outcome, some_scores

GOOD = "nerf__rook__8v__s0__00000002"
BAD = "nerf__knight__8v__s0__3f9c1a2b"
FILES = ("record.json", "scores/std-v1.json", "parameters.safetensors", "views.safetensors")


@pytest.fixture
def root(tmp_path):
    """A store of two whole trials."""
    trials = Store.open(tmp_path / "runs")
    trials.write(some_outcome(GOOD))
    trials.write(some_outcome(BAD))
    return tmp_path / "runs"


def flip(path, place, bit):
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(bytes(content))


def kinds(root):
    return {(finding.kind, finding.trial_id) for finding in check_store(root).findings}


def read_all(trials, trial_id):
    """Reads all of a trial; what is damaged is missing."""
    found = {"record": trials.read(trial_id), "scores": trials.scores(trial_id)}
    found["views"] = read_whole_views(trials, trial_id)
    try:
        found["parameters"] = trials.parameters(trial_id)
    except DamagedFile as error:
        trials.leave_out(str(error))
        found["parameters"] = None
    return found


def test_a_sound_store(root):
    before = listing(root)
    found = check_store(root)
    assert found.is_sound and found.unchecked == () and (found.num_trials, found.num_files) == (2, 6)
    assert found.describe() == ["2 trials, 6 files compared by SHA-256: nothing wrong"]
    assert listing(root) == before
    assert check_store(root / "none").num_trials == 0


@pytest.mark.parametrize("name", FILES)
def test_a_flip_in_every_region_of_every_file_is_found(root, name):
    path = root / BAD / name
    whole = path.read_bytes()
    chance = random.Random(name)
    places = {0, len(whole) - 2, *(chance.randrange(len(whole) - 1) for _ in range(7))}
    for place in sorted(places):
        flip(path, place, chance.randrange(8))
        [finding] = check_store(root).findings
        assert finding.kind in ("damaged", "mistaken") and finding.trial_id == BAD, place
        assert "\n" not in finding.describe()
        trials = Store.open(root)
        assert read_all(trials, GOOD)["views"] is not None
        if BAD in trials.ids():
            assert [key for key, value in read_all(trials, BAD).items() if not value] == [
                pathlib.Path(name).parts[0].split(".")[0]
            ]
        [line] = describe_damage(trials)
        assert BAD in line and "\n" not in line
        if name == "record.json":  # it was set aside
            os.rename(root / f"{BAD}.unreadable-1", root / BAD)
        path.write_bytes(whole)
    assert check_store(root).is_sound


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [0, 7, 0.5, -1])
def test_a_file_that_is_cut_is_found(root, name, size):
    path = root / BAD / name
    os.truncate(path, int(path.stat().st_size * size) if isinstance(size, float) else size % path.stat().st_size)
    assert kinds(root) == {("damaged", BAD)}
    trials = Store.open(root)
    assert GOOD in trials.ids() and (
        BAD not in trials.ids() or None in read_all(trials, BAD).values() or name[0] == "s"
    )
    assert len(describe_damage(trials)) == 1


def test_a_file_that_is_gone_or_stray_is_found(root):
    (root / BAD / "views.safetensors").unlink()
    (root / BAD / "scores" / "std-v1.json").rename(root / BAD / "scores" / "nerf-2020.json")
    (root / GOOD / "notes.txt").write_text("mine")
    assert kinds(root) == {("damaged", BAD), ("doubtful", BAD), ("doubtful", GOOD)}
    trials = Store.open(root)
    assert trials.scores(BAD) == {} and trials.scores(GOOD) == {"std-v1": some_scores()}
    assert [line.partition(": ")[0] for line in trials.left_out] == [
        f"{BAD}/scores/{n}.json" for n in ("nerf-2020", "std-v1")
    ]


def test_lost_arrays_are_told_by_their_file_and_not_by_a_word(tmp_path):
    named = "nerf+encoder=x.safetensors__rook__8v__s0__00000001"
    trials = Store.open(tmp_path)
    for trial_id in (GOOD, BAD, named):
        trials.write(some_outcome(trial_id))
    cut = {(BAD, "views.safetensors"), (named, "scores/std-v1.json")}
    for trial_id, name in cut:
        os.truncate(tmp_path / trial_id / name, 9)
    assert {(each.trial_id, each.file) for each in check_store(tmp_path).findings} == cut
    assert find_damaged_trials(tmp_path) == [BAD]
    forget_checksums(tmp_path / named)
    forget_checksums(tmp_path / BAD)
    assert {(each.trial_id, each.file) for each in check_store(tmp_path).findings} == cut
    assert find_damaged_trials(tmp_path) == [BAD]


def put_pipe(path):
    os.mkfifo(path)


def put_deep(path):
    path.write_text('{"schema_version": 2, "trial_id": ' + "[" * 100_000)


def put_deep_valid(path):
    path.write_text("[" * 500 + "]" * 500)


STRANGE = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": put_pipe,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link out": lambda path: path.symlink_to("/etc/passwd"),
    "a loop": lambda path: path.symlink_to(path.name),
    "deep": put_deep,
    "deep and valid": put_deep_valid,
    "not UTF-8": lambda path: path.write_bytes('{"schema_version": 2, "variant": "gr\xfcn"}'.encode("latin-1")),
    "UTF-16": lambda path: path.write_bytes('{"schema_version": 2}'.encode("utf-16")),
    "empty": lambda path: path.write_bytes(b""),
    "a number": lambda path: path.write_text("3"),
    "a huge number": lambda path: path.write_text('{"schema_version": ' + "9" * 5000 + "}"),
}


@pytest.mark.parametrize("strange", STRANGE)
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_file_of_a_trial_is_named_and_the_rest_read(root, name, strange):
    path = root / BAD / name
    path.unlink()
    STRANGE[strange](path)
    assert kinds(root) == {("damaged", BAD)}
    trials = Store.open(root)
    if BAD in trials.ids():
        read_all(trials, BAD)
    assert trials.finished(GOOD) and trials.scores(GOOD)
    assert trials.file_stamps(GOOD) and sorted(trials.texts(GOOD)) == ["record.json", "scores/std-v1.json"]
    trials.read_status()
    lines = describe_damage(trials)
    assert len(lines) == 1 and BAD in lines[0] and "\n" not in lines[0]


@pytest.mark.parametrize(
    "name",
    [
        ".tmp-x",
        ".tmp-1-2",
        ".tmp-a-99999999999999999999-b",
        "notes",
        "a\x1b[31m__b",
        "__pycache__",
        "status.json",
        ".driver.json",
        ".checkpoints",
        "x.tar.xz",
        "x.parquet",
        "manifest.json",
    ],
)
@pytest.mark.parametrize("strange", ["a folder", "a pipe", "a link out", "not UTF-8"])
def test_a_strange_name_in_a_store_harms_nothing(root, name, strange):
    STRANGE[strange](root / name)
    check_store(root)
    trials = Store.open(root)
    assert trials.ids() == [BAD, GOOD] and trials.scores(GOOD)
    assert trials.read_status() is None
    assert "\x1b" not in "".join(describe_damage(trials) + check_store(root).describe())


def test_a_status_that_does_not_parse_is_doubtful(root):
    (root / "status.json").write_text("{")
    assert kinds(root) == {("doubtful", "status.json")}


def test_copies_are_taken_for_what_they_are(root):
    shutil.copytree(root / BAD, root / f"{BAD} (copy)")
    shutil.copytree(root / BAD, root / "nerf__pawn__8v__s0__00000003")
    assert kinds(root) == {("mistaken", f"{BAD} (copy)"), ("mistaken", "nerf__pawn__8v__s0__00000003")}
    trials = Store.open(root)
    assert trials.ids() == [BAD, GOOD] and len(trials.set_aside) == 2
    shutil.copy(root / GOOD / "views.safetensors", root / BAD / "parameters.safetensors")
    assert kinds(root) == {("damaged", BAD)}


def test_an_old_store_is_read_and_said_to_be_unchecked(root):
    forget_checksums(root / BAD)
    found = check_store(root)
    assert found.is_sound and found.unchecked == (BAD,)
    assert "1 stored without checksums: unchecked" in found.describe()[0]
    trials = Store.open(root)
    assert all(read_all(trials, BAD).values()) and not checksums.is_checked(trials.read(BAD))
    trials.write_scores(BAD, "std-v1", some_scores((1.0, 2.0)))
    again = Store.open(root)
    assert again.scores(BAD)["std-v1"]["per_view"]["psnr"] == [1.0, 2.0] and again.left_out == []
    os.truncate(root / BAD / "views.safetensors", 50)
    assert kinds(root) == {("damaged", BAD)} and not again.has_views(BAD)


def test_scores_made_again_mend_what_was_damaged(root):
    reader = Store.open(root)
    path = root / BAD / "scores" / "std-v1.json"
    flip(path, 5, 0)
    trials = Store.open(root)
    assert trials.scores(BAD) == {}
    trials.write_scores(BAD, "std-v1", some_scores((3.0, 4.0)))
    assert check_store(root).is_sound
    assert reader.scores(BAD)["std-v1"]["per_view"]["psnr"] == [3.0, 4.0], "its record is older than the scores"
    assert reader.left_out == []


def test_who_dies_between_scores_and_record_leaves_scores_to_make_again(root, monkeypatch):
    trials = Store.open(root)

    def die(record):
        raise KeyboardInterrupt

    monkeypatch.setattr(checksums, "sealed", die)
    with pytest.raises(KeyboardInterrupt):
        trials.write_scores(BAD, "std-v1", some_scores((3.0, 4.0)))
    monkeypatch.undo()
    assert Store.open(root).scores(BAD) == {}


def test_failures_and_judges(root):
    Store.open(root).write(failure())
    assert check_store(root).is_sound
    found = check_store(root, judge=lambda record: "has 3 parameters" if record.trial_id == BAD else "")
    assert [finding.describe() for finding in found.findings] == [f"doubtful: {BAD}: has 3 parameters"]


def test_a_damaged_file_of_many_trials_is_named(root):
    trials = Store.open(root)
    made = root.parent / "kept"
    archive.write_archive(made / f"x{archive.END}", {BAD: trials.texts(BAD)})
    assert check_store(made).is_sound and Store.open(made).scores(BAD) == trials.scores(BAD)
    archive.write_archive(made / f"x{archive.END}", {BAD: trials.texts(BAD) | {"scores/std-v1.json": b"{}"}})
    assert kinds(made) == {("damaged", BAD)}
    os.truncate(made / f"x{archive.END}", 70)
    assert kinds(made) == {("damaged", f"x{archive.END}")}


def test_a_sealed_record_is_json_and_reads_back(root):
    content = (root / BAD / "record.json").read_bytes()
    assert list(json.loads(content))[-2:] == ["files", "sha256"]
    record = checksums.parse_record(content, "here", BAD)
    assert checksums.sealed(record)[1] == content and isinstance(record, Record)
    assert sorted(record.files) == ["parameters.safetensors", "scores/std-v1.json", "views.safetensors"]
