"""Old results that are taken over, and those that are left because another network may be in them."""

import dataclasses
import json
import shutil

import pytest

from bench.errors import UsageError
from bench.storage import archive
from bench.storage.driver_lock import driver_lock
from bench.storage.store import Store
from bench.suites import legacy_identity
from bench.suites.trial import Trial
from bench.suites.variant_names import folder_safe
from bench.training import adoption
from models.clip.checkpoints import catalog
from models.dream_fields import DREAM_FIELDS
from models.nerf import NERF
from tasks.budgets import BUDGETS
from tasks.captions.caption_task import CaptionTask
from tasks.sparse_views.embedded import SparseViews
from tests.fixtures import clip_checkpoints
from tests.fixtures.stored_trials import some_outcome, some_scores


def old_trial(seed=0, **changes):
    """A trial of ours and the record of schema version 1 that was written of it."""
    trial = Trial(
        task=SparseViews(scene="kettle", num_views=3), method=NERF, budget=BUDGETS["smoke"], seed=seed, variant="nerf"
    )
    record = some_outcome(legacy_identity.id_v1(trial)).record.to_json() | {
        "schema_version": 1,
        "variant": "nerf",
        "task": trial.task.name,
        "cluster": "kettle",
        "seed": seed,
        "budget": "smoke",
        "identity": legacy_identity.identity_v1(trial),
        "num_parameters": adoption.expected_parameters(trial.method),
        "pack_size": 2,
        "timings": {"train_s": 1.0 + seed, "wall_s": 2.0},
    }
    return trial, record | changes


def old_guided_trial(encoder):
    """A trial whose encoder was named by a path, and its record of schema version 1."""
    _, record = old_trial()
    trial = Trial(
        task=CaptionTask(caption="a pink windmill"),
        method=dataclasses.replace(DREAM_FIELDS, encoder=encoder),
        budget=BUDGETS["smoke"],
        seed=0,
        variant=folder_safe(f"dream_fields+encoder={encoder}"),
    )
    return trial, record | {
        "trial_id": legacy_identity.id_v1(trial),
        "variant": trial.variant,
        "task": trial.task.name,
        "cluster": trial.task.cluster,
        "identity": legacy_identity.identity_v1(trial),
        "num_parameters": adoption.expected_parameters(trial.method),
    }


def put(folder, record):
    """Write an old record and its scores as a folder."""
    place = folder / record["trial_id"]
    (place / "scores").mkdir(parents=True)
    (place / "record.json").write_text(json.dumps(record))
    (place / "scores" / "std-v1.json").write_text(json.dumps(some_scores((1.0, 2.0))))
    (place / "parameters.safetensors").write_bytes(b"as they are")


def test_a_trial_of_ours_is_taken_over_with_its_arrays(tmp_path):
    trial, record = old_trial()
    put(tmp_path / "old", record)
    done = adoption.adopt(tmp_path / "old", tmp_path / "new")
    assert done.taken == {record["trial_id"]: trial.id} and not done.left
    store = Store.open(tmp_path / "new")
    assert store.finished(trial.id) and store.read(trial.id).identity == trial.identity()
    assert store.scores(trial.id) == {"std-v1": some_scores((1.0, 2.0))}
    assert (tmp_path / "new" / trial.id / "parameters.safetensors").read_bytes() == b"as they are"
    assert json.loads((tmp_path / "old" / record["trial_id"] / "record.json").read_text()) == record


def test_a_trial_whose_encoder_has_a_path_is_found_under_todays_name(tmp_path):
    own = shutil.copy(catalog.EMBEDDED_FOLDER / "embedded-vit-8.safetensors", tmp_path / "own.safetensors")
    _, record = old_guided_trial(f"file:{own}")
    put(tmp_path / "old", record)
    [name] = adoption.adopt(tmp_path / "old", tmp_path / "new").taken.values()
    assert name.startswith("dream_fields+encoder=embedded-vit-8__")
    assert "own" not in json.dumps(Store.open(tmp_path / "new").read(name).identity)


def test_a_trial_whose_encoders_weights_were_not_recorded_is_left(tmp_path):
    _, record = old_guided_trial(f"hf:{clip_checkpoints.folder(tmp_path / 'm')}")
    put(tmp_path / "old", record)
    done = adoption.adopt(tmp_path / "old", tmp_path / "new")
    assert not done.taken and "no weights of its encoder" in done.left[record["trial_id"]]


def test_a_second_time_nothing_is_written(tmp_path):
    put(tmp_path / "old", old_trial()[1])
    adoption.adopt(tmp_path / "old", tmp_path / "new")
    again = adoption.adopt(tmp_path / "old", tmp_path / "new")
    assert not again.taken and len(again.present) == 1


def test_another_network_under_the_same_name_is_left(tmp_path):
    trial, record = old_trial()
    put(tmp_path / "old", record | {"num_parameters": record["num_parameters"] - 1268})
    done = adoption.adopt(tmp_path / "old", tmp_path / "new")
    assert not done.taken and "another network" in done.left[record["trial_id"]]


def test_what_shared_a_pack_with_code_of_a_user_is_left(tmp_path):
    _, mine = old_trial()
    _, theirs = old_trial()
    theirs |= {"trial_id": "Net+code=72f5769e__kettle__3v__s0__00000000", "variant": "Net+code=72f5769e"}
    theirs["identity"] = json.loads(json.dumps(theirs["identity"]))
    theirs["identity"]["method"]["field"]["type"] = "Net"
    for record in (mine, theirs, old_trial(seed=1)[1]):
        put(tmp_path / "old", record)
    done = adoption.adopt(tmp_path / "old", tmp_path / "new")
    assert len(done.taken) == 1 and set(done.left) == {mine["trial_id"], theirs["trial_id"]}


def test_what_set_named_in_a_users_module_is_left(tmp_path):
    record = json.loads(json.dumps(old_trial()[1]))
    record["variant"] += "+field=own-MLP"
    put(tmp_path / "old", record)
    done = adoption.adopt(tmp_path / "old", tmp_path / "new")
    assert not done.taken and "user's" in done.left[record["trial_id"]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda record: record["identity"]["method"]["field"].update(type="MyField"), "code of a user's"),
        (lambda record: record["identity"].update(fingerprint="0"), "changed since"),
        (lambda record: record["identity"]["method"].update(learning_rate=1.0), "changed since"),
        (lambda record: record.update(budget="enormous"), "enormous"),
        (lambda record: record["identity"]["method"].update(num_rays="many"), ""),
    ],
)
def test_what_is_not_certainly_the_same_is_left(tmp_path, change, reason):
    record = json.loads(json.dumps(old_trial()[1]))
    change(record)
    put(tmp_path / "old", record)
    done = adoption.adopt(tmp_path / "old", tmp_path / "new")
    assert not done.taken and reason in done.left[record["trial_id"]]


@pytest.mark.parametrize("as_numbers", [False, True])
def test_archives(tmp_path, as_numbers):
    trial, record = old_trial()
    files = {
        "record.json": json.dumps(record).encode(),
        "scores/std-v1.json": json.dumps(some_scores((1.0, 2.0))).encode(),
    }
    (tmp_path / "old").mkdir()
    archive.write_archive(tmp_path / "old" / f"toys{archive.END}", {record["trial_id"]: files})
    done = adoption.adopt(tmp_path / "old", tmp_path / "new", as_numbers=as_numbers)
    assert list(done.taken.values()) == [trial.id]
    assert Store.open(tmp_path / "new").scores(trial.id)["std-v1"]["per_view"] == some_scores((1.0, 2.0))["per_view"]
    with pytest.raises(UsageError, match="nothing is overwritten"):
        adoption.adopt(tmp_path / "old", tmp_path / "new", as_numbers=as_numbers)


def test_beside_a_run_nothing_is_taken_over(tmp_path):
    put(tmp_path / "old", old_trial()[1])
    out = tmp_path / "out"
    with driver_lock(out):
        with pytest.raises(UsageError, match="expected no other run to write here, got one in process"):
            adoption.adopt(tmp_path / "old", out)
        assert Store.open(out).ids() == []
        assert len(adoption.adopt(tmp_path / "old", out, is_dry=True).taken) == 1
    assert len(adoption.adopt(tmp_path / "old", out).taken) == 1


def test_a_dry_run_writes_nothing(tmp_path):
    put(tmp_path / "old", old_trial()[1])
    done = adoption.adopt(tmp_path / "old", tmp_path / "new", is_dry=True)
    assert len(done.taken) == 1 and not (tmp_path / "new").exists()


def test_folders_without_old_trials(tmp_path):
    with pytest.raises(UsageError, match="expected trials of schema version 1"):
        adoption.adopt(tmp_path, tmp_path / "new")
    with pytest.raises(UsageError, match="another folder"):
        adoption.adopt(tmp_path, tmp_path)


def test_a_doubtful_trial_of_today(tmp_path):
    trial, record = old_trial()
    put(tmp_path / "old", record)
    adoption.adopt(tmp_path / "old", tmp_path / "new")
    known = Store.open(tmp_path / "new").read(trial.id)
    assert adoption.is_doubtful(known) == ""
    assert "parameters" in adoption.is_doubtful(dataclasses.replace(known, num_parameters=3))
