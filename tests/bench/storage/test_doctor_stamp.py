"""The doctor's stamp is kept on the machine, and counts for the versions that were examined."""

import pytest

from bench.storage import doctor_stamp, environment
from bench.storage.doctor_stamp import NOT_RUN, Stamp

STAMP = Stamp("3f9c1a2b", "ok", "2026-11-27", False, environment.installed_packages())


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_is_read_as_it_was_written():
    assert doctor_stamp.describe_stamp() == NOT_RUN
    doctor_stamp.write_stamp(STAMP)
    assert doctor_stamp.describe_stamp() == "3f9c1a2b, ok, 2026-11-27"


def test_other_versions_were_not_examined():
    doctor_stamp.write_stamp(STAMP._replace(packages=STAMP.packages | {"jax": "0.1"}))
    assert doctor_stamp.describe_stamp() == "not run with these versions"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"digest": 3}', b"\xff\xfe"])
def test_a_damaged_stamp_is_none(cache, content):
    doctor_stamp.write_stamp(STAMP).write_bytes(content)
    assert doctor_stamp.describe_stamp() == NOT_RUN
