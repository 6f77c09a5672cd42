"""Captions whose list is not here: they are counted, and all else about them is refused."""

import pytest

from bench.errors import UsageError
from tasks.budgets import BUDGETS, sized
from tasks.captions import unlisted
from tasks.captions.caption_task import tasks_of


def test_a_list_that_is_here_is_read(tmp_path):
    (tmp_path / "own.txt").write_text("a cat\na dog\n")
    name = f"file:{tmp_path / 'own.txt'}"
    assert unlisted.tasks_or_places(name, 2) == tasks_of(name)


def test_a_list_that_is_not_here_leaves_places(tmp_path):
    tasks = unlisted.tasks_or_places(f"file:{tmp_path / 'own.txt'}", 3)
    assert [task.name for task in tasks] == ["caption-1-of-3", "caption-2-of-3", "caption-3-of-3"]
    assert sized(tasks[0], BUDGETS["smoke"]).layout() == (0, 17, 16, 16)
    for ask in (tasks[0].fingerprint, tasks[0].load, lambda: unlisted.check_listed(tasks)):
        with pytest.raises(UsageError, match="own.txt: expected a text file of captions, got none there"):
            ask()
