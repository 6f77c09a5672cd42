"""Which folders are scenes, and what is said of those that are none."""

from __future__ import annotations

import pytest

from bench.errors import UsageError
from tasks.sparse_views import scene_folders
from tasks.task import FolderScene
from tests.fixtures.photo_scenes import write_scene


def test_a_folder_of_scenes_and_one_scene(tmp_path):
    for name in ("ship", "lego"):
        write_scene(tmp_path / name, num_train=3, num_test=2)
    (tmp_path / "notes").mkdir()
    found = scene_folders.find_scene_folders(tmp_path)
    assert [folder.name for folder in found] == ["lego", "ship"]
    assert scene_folders.find_scene_folders(tmp_path / "lego") == [tmp_path / "lego"]


def test_a_link_carries_the_name(tmp_path):
    write_scene(tmp_path / "real" / "scan_0012", num_train=3, num_test=2)
    (tmp_path / "lego").symlink_to(tmp_path / "real" / "scan_0012")
    (task,) = map(scene_folders.open_scene, scene_folders.find_scene_folders(tmp_path / "lego"))
    assert task.scene == "lego"


def test_an_opened_scene_knows_its_photographs(tmp_path):
    task = scene_folders.open_scene(write_scene(tmp_path / "toy", num_train=3, num_test=2, px=6))
    assert isinstance(task, FolderScene)
    assert task.extent() == (3, 6, 0)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("leg", "which is not there; the nearest is 'lego'"),
        ("lego/transforms_train.json", "a file; name the folder that holds it"),
        ("lego/train", "which is a part of one; name "),
        ("lego/train", "/lego, which holds transforms_train.json"),
        ("empty", "where no folder holds transforms_train.json"),
    ],
)
def test_what_is_no_scene(tmp_path, path, told):
    write_scene(tmp_path / "lego", num_train=1, num_test=1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="--scenes: expected .* got ") as error:
        scene_folders.find_scene_folders(tmp_path / path)
    assert told in str(error.value) and "\n" not in str(error.value)


def test_a_name_that_is_no_text(tmp_path):
    """Of an archive that was packed with another encoding."""
    with pytest.raises(UsageError, match=r"expected a folder's name in UTF-8, got b'caf\\xe9'; rename the folder"):
        scene_folders.name_scenes([tmp_path / "caf\udce9"])


def test_two_scenes_of_one_name(tmp_path):
    folders = [write_scene(tmp_path / place / "lego", num_train=1, num_test=1) for place in "ab"]
    assert scene_folders.name_scenes([folders[0], folders[0]]) == {"lego": folders[0]}
    with pytest.raises(UsageError, match="'lego' twice, .*a/lego and .*b/lego; rename a folder"):
        scene_folders.name_scenes(folders)
