"""The page of `python -m bench doctor`, its exit code and its file."""

import json

import pytest

from bench.__main__ import main
from bench.doctor import examination
from bench.doctor.check import Check, Section
from bench.storage.doctor_stamp import describe_stamp

FINE = Check("ok", "metric psnr", "off by 1.0e-07", "at most 3.1e-05 (float32)")

WRONG = Check(
    "FAIL", "metric ssim", "off by 1.0e-03", "at most 1.7e-06 (float32)", "as far as products in TF32 move it"
)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "cache"))


def examined(monkeypatch, *checks):
    asked = []

    def examine(results, address, *, is_quick):
        asked.append((address, is_quick))
        yield Section("golden values", checks)

    monkeypatch.setattr(examination, "examine", examine)
    return asked


def test_all_is_well(monkeypatch, capsys, tmp_path):
    asked = examined(monkeypatch, FINE)
    assert main(["doctor", "--quick", "--json", str(tmp_path / "found.json")]) == 0
    assert asked == [(None, True)]
    title, line, _, stamp = capsys.readouterr().out.splitlines()
    assert title == "golden values"
    assert line == "  ok    metric psnr  off by 1.0e-07  at most 3.1e-05 (float32)"
    assert stamp.startswith(describe_stamp()) and ", ok, " in stamp and stamp.endswith("and said in reports)")
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["sections"] == {"golden values": [FINE._asdict()]} and found["stamp"]["verdict"] == "ok"


def test_findings_are_printed_where_no_file_is_named(monkeypatch, capsys):
    examined(monkeypatch, FINE)
    assert main(["doctor", "--json", "--quick"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["sections"] == {"golden values": [FINE._asdict()]}
    assert printed.err.startswith("golden values\n  ok    metric psnr")


def test_what_fails_is_the_exit_code(monkeypatch, capsys):
    examined(monkeypatch, FINE, WRONG)
    assert main(["doctor", "--address", "10.0.0.1:6379"]) == 1
    assert "FAIL  metric ssim" in capsys.readouterr().out
    assert ", 1 failed, " in describe_stamp()


def test_a_warning_is_no_failure(monkeypatch):
    examined(monkeypatch, FINE._replace(status="warn"))
    assert main(["doctor"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--quick", "--address", "10.0.0.1:6379"], "doctor: expected --address or --quick, got both"),
        (["--results", "no-such-folder"], "--results: expected a folder of trials, got no-such-folder"),
        (["--json", "/dev/null/found.json"], "expected folders above it, got /dev/null, which is a file"),
    ],
)
def test_mistakes(monkeypatch, capsys, words, message):
    examined(monkeypatch, FINE)
    assert main(["doctor", *words]) == 2
    assert message in capsys.readouterr().err


def test_equal_findings_have_equal_digests():
    section = Section("golden values", [FINE])
    first = examination.make_stamp([section], is_quick=False)
    again = examination.make_stamp([Section("golden values", [FINE._replace(measured="equal")])], is_quick=False)
    other = examination.make_stamp([Section("golden values", [WRONG])], is_quick=False)
    assert first == again and first.digest != other.digest
