"""The fake trainer where a user would have it, and Ray as a run starts it."""

import shutil
import sys

import pytest

from bench.import_paths import ROOT


@pytest.fixture(scope="module")
def fake(tmp_path_factory):
    """The fake trainer, in the folder where a user stands who has a `models/` of their own."""
    folder = tmp_path_factory.mktemp("user")
    shutil.copy(ROOT / "tests" / "fixtures" / "fake_trainer.py", folder)
    (folder / "models").mkdir()
    (folder / "models" / "__init__.py").write_text("raise AssertionError('the models of the user')")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [str(ROOT), str(folder), *sys.path])
        import fake_trainer

        yield fake_trainer
        del sys.modules["fake_trainer"]


@pytest.fixture(scope="module")
def ray(fake):
    """Ray, started once as a run starts it."""
    from bench.training import ray_connection

    with ray_connection.connect_ray(None) as is_local:
        assert is_local
        yield ray_connection.ray
