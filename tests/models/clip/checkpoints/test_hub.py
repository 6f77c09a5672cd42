"""Repositories fetched from a hub that runs on this machine, and hashes that are remembered."""

import os
import time

import pytest

from bench.errors import UsageError
from models import clip
from models.clip.checkpoints import hub
from models.clip.encoder import OPENAI_MEAN
from tests.fixtures import clip_checkpoints
from tests.fixtures.clip_checkpoints import COMMIT

NAME = f"hf:me/small@{COMMIT}"
ADDRESS = "ENDPOINT/{repo_id}/resolve/{revision}/{filename}"
SAID = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A hub that serves a folder, and the real client with an empty cache that knows no other hub."""
    import huggingface_hub
    from huggingface_hub import constants

    path = clip_checkpoints.folder(tmp_path / "repository")
    with clip_checkpoints.serve(path) as server:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", ADDRESS.replace("ENDPOINT", server.endpoint))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(tmp_path / "harnesses.json"), raising=False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        # It waits before it asks again, 23 s in all.
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
        huggingface_hub.close_session()
        yield server
        huggingface_hub.close_session()


def test_normalisation_is_fetched_with_the_tensors(served):
    clip_checkpoints.write(served.root / "preprocessor_config.json", SAID)
    first = clip.load(NAME)
    assert (first.mean, first.std) == ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    num_asked = len(served.asked)
    again = clip.load(NAME)
    assert (again.mean, again.std, again.sha256) == (first.mean, first.std, first.sha256)
    assert len(served.asked) == num_asked  # also that there is no processor_config.json came from the cache


def test_the_file_of_version_5_is_fetched(served):
    clip_checkpoints.write(served.root / "processor_config.json", {"image_processor": SAID})
    assert clip.load(NAME).mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("answer", [None, "bare 404"])
def test_only_where_the_hub_has_no_file_are_the_pixels_clips(served, answer):
    served.answers = {"preprocessor_config.json": answer, "processor_config.json": answer}
    assert clip.load(NAME).mean == OPENAI_MEAN


@pytest.mark.parametrize("file", ["preprocessor_config.json", "processor_config.json"])
@pytest.mark.parametrize("answer", [401, 403, 429, 500, 503])
def test_any_other_answer_is_a_failure(served, file, answer):
    served.answers = {file: answer}
    message = (
        f"{NAME}: expected me/small/{file} on disk or over the network, got .*{answer}.*; where there is a network"
    )
    with pytest.raises(UsageError, match=message) as raised:
        clip.load(NAME)
    assert "\n" not in str(raised.value)


def test_a_repository_that_is_not_there(served):
    served.answers = {"config.json": 404}
    with pytest.raises(UsageError, match="me/small/config.json .*got .*404"):
        clip.load(NAME)


def test_without_a_network_a_file_not_asked_for_before_is_a_failure(served, monkeypatch):
    from huggingface_hub import constants, hf_hub_download

    for file in ("config.json", "model.safetensors"):
        hf_hub_download("me/small", file, revision=COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match="me/small/processor_config.json .*give the folder it prints"):
        clip.load(NAME)


def test_a_page_in_place_of_the_file(served):
    clip_checkpoints.write(served.root / "preprocessor_config.json", b"<html>sign in</html>")
    with pytest.raises(UsageError, match=f"{NAME}: preprocessor_config.json: .*whole JSON file"):
        clip.load(NAME)


def test_tensors_that_break_off(served):
    served.answers = {"model.safetensors": "cut"}
    with pytest.raises(UsageError, match="me/small/model.safetensors on disk or over the network"):
        clip.load(NAME)


def test_shards_are_fetched(served):
    whole = clip.load(f"hf:{served.root}")
    clip_checkpoints.split(served.root)
    encoder = clip.load(NAME)
    assert encoder.sha256 == clip.load(f"hf:{served.root}").sha256 != whole.sha256
    assert {f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)} <= {file for _, file in served.asked}


def test_a_shard_that_the_hub_has_not_is_named(served):
    clip_checkpoints.split(served.root)
    (served.root / "model-00003-of-00003.safetensors").unlink()
    with pytest.raises(UsageError, match="model-00003-of-00003.safetensors .*got RemoteEntryNotFound"):
        clip.load(NAME)


def test_an_index_asks_the_hub_for_no_path(served):
    clip_checkpoints.split(served.root)
    index = served.root / "model.safetensors.index.json"
    clip_checkpoints.write(index, {"weight_map": {"logit_scale": "../../other/main/model.safetensors"}})
    num_asked = len(served.asked)
    with pytest.raises(UsageError, match="weight_map.logit_scale to be the name of a .safetensors file"):
        clip.load(NAME)
    assert all(file in ("model.safetensors", "config.json", index.name) for _, file in served.asked[num_asked:])


def test_a_repository_without_safetensors(served):
    (served.root / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="model.safetensors or .* in the repository, got neither"):
        clip.load(NAME)


class TestRememberedHashes:
    """Hashes of big files."""

    @pytest.fixture
    def path(self, tmp_path, monkeypatch):
        monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "cache"))
        monkeypatch.setattr(hub, "_REMEMBERED_BYTES", 8)
        monkeypatch.setattr(hub, "_SETTLED_S", 0.0)
        path = tmp_path / "weights"
        path.write_bytes(b"0123456789")
        time.sleep(0.01)
        return path

    @pytest.fixture
    def reads(self, monkeypatch):
        """Counts how often a file is read through."""
        counted = []
        digest = hub.hashlib.file_digest
        monkeypatch.setattr(hub.hashlib, "file_digest", lambda *given: counted.append(1) or digest(*given))
        return counted

    def test_a_second_start_reads_nothing(self, path, reads):
        assert hub.remembered_sha256(path) == hub.remembered_sha256(path)
        assert len(reads) == 1

    def test_a_changed_file_is_read_again(self, path, reads):
        first = hub.remembered_sha256(path)
        times = path.stat().st_atime_ns, path.stat().st_mtime_ns
        path.write_bytes(b"9876543210")
        os.utime(path, ns=times)  # the same size and time: only the time of the change of its entry tells
        assert hub.remembered_sha256(path) != first
        assert len(reads) == 2

    def test_another_file_of_the_same_name_is_read(self, path, reads, tmp_path):
        first = hub.remembered_sha256(path)
        path.write_bytes(b"something else")
        assert hub.remembered_sha256(path) != first

    def test_a_memory_that_was_damaged_is_not_believed(self, path, reads, tmp_path):
        first = hub.remembered_sha256(path)
        [memory] = (tmp_path / "cache" / "file_hashes").iterdir()
        memory.write_bytes(b"\xff not a hash")
        assert hub.remembered_sha256(path) == first
        assert len(reads) == 2

    def test_a_file_that_changed_a_moment_ago_is_not_remembered(self, path, reads, monkeypatch):
        monkeypatch.setattr(hub, "_SETTLED_S", 100.0)
        hub.remembered_sha256(path)
        hub.remembered_sha256(path)
        assert len(reads) == 2

    def test_a_cache_that_cannot_be_written_does_not_stop_it(self, path, monkeypatch, tmp_path):
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "file"))
        assert len(hub.remembered_sha256(path)) == 64

    def test_small_files_are_simply_read(self, path, monkeypatch, tmp_path):
        monkeypatch.setattr(hub, "_REMEMBERED_BYTES", 11)
        hub.remembered_sha256(path)
        assert not (tmp_path / "cache").exists()
