"""The whole way, from the command line to tables and a page, as a user goes it."""

import dataclasses
import errno
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from bench import __main__ as command_line
from bench.errors import UsageError
from bench.import_paths import ROOT
from bench.report import build
from bench.storage import run_status, store
from bench.storage.store import Store
from bench.suites.selection import Selection
from bench.suites.trial import Trial
from bench.training import accelerators, run_suite
from bench.training.failure_policy import FailurePolicy
from bench.training.run_suite import TrainingOptions, train_missing
from bench.training.stopping import StopRequest
from models.nerf_ranges import NERF_RANGES
from tasks.budgets import BUDGETS
from tasks.data_dir import atomic_files
from tests.fixtures import toy_studies
from tests.fixtures.toys import ToyMethod, ToyTask

RUN = ["run", "--suite", "ablations", "--budget", "smoke", "--only", "scene=kettle"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


def bench(*words):
    return command_line.main([str(word) for word in words])


@pytest.fixture(scope="module")
def first(folder):
    """A first run, of one arm."""
    code = bench(*RUN, "--only", "arm=NeRF", "--results", folder, "--executor", "inline")
    return code, Store.open(folder).ids()


class TestTrainingOptions:
    def test_packs_are_of_the_size_asked_for_or_of_what_suits_the_device(self):
        trials = [
            Trial(task=ToyTask(), method=ToyMethod(), budget=BUDGETS["smoke"], seed=seed, variant="toy")
            for seed in range(8)
        ]
        assert [len(pack.trials) for pack in TrainingOptions(pack_size=8).make_packs(trials)] == [8]
        assert [len(pack.trials) for pack in TrainingOptions().make_packs(trials)] == [4, 4]  # on a CPU

    @pytest.mark.parametrize(
        ("executor", "num_devices", "num_trials", "expected"),
        [("ray", 1, 200, 32), ("inline", 1, 200, 32), ("inline", 4, 20, 128), ("ray", 4, 400, 32), ("ray", 4, 96, 12)]
        + [("ray", 4, 9, 8)],
    )
    def test_packs_keep_all_accelerators_busy(self, executor, num_devices, num_trials, expected, monkeypatch):
        monkeypatch.setattr(accelerators, "num_accelerators", lambda: num_devices)
        assert TrainingOptions(executor=executor).suitable_pack_size(num_trials) == expected

    @pytest.mark.parametrize("pack_size", [0, -3])
    def test_a_pack_has_a_trial(self, pack_size):
        with pytest.raises(UsageError, match=f"--pack-size: .* got {pack_size};"):
            TrainingOptions(pack_size=pack_size)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interrupted(ToyMethod):
    """Ctrl-C while it prepares its arrays."""

    def prepare(self, frozen, task):
        raise KeyboardInterrupt


class TestStopped:
    def test_ctrl_c_keeps_what_is_finished_and_the_next_run_trains_the_rest(self, tmp_path):
        arms = {"A": ToyMethod(label="a"), "B": Interrupted(label="b")}
        trials = [
            Trial(task=toy_studies.ToyScene(), method=method, budget=BUDGETS["smoke"], seed=seed, variant=name)
            for seed, (name, method) in enumerate(arms.items())
        ]
        chosen = Selection(suite=toy_studies.toy_suite(), budget=BUDGETS["smoke"], trials=trials, cells=[])
        trials_store = Store.open(tmp_path)
        with pytest.raises(KeyboardInterrupt), trials_store.lock():
            train_missing(TrainingOptions(executor="inline"), chosen, trials_store)
        assert Store.open(tmp_path).ids() == [trials[0].id]  # whole, and no failure of the other
        assert Store.open(tmp_path).read_status() is None  # nothing runs

    def test_a_run_stops_at_its_budget_of_failures(self, tmp_path, capsys):
        trials = [
            Trial(
                task=toy_studies.ToyScene(),
                method=ToyMethod(breaks_at=3.0),
                budget=BUDGETS["smoke"],
                seed=seed,
                variant="t",
            )
            for seed in range(3)
        ]
        chosen = Selection(suite=toy_studies.toy_suite(), budget=BUDGETS["smoke"], trials=trials, cells=[])
        policy = FailurePolicy(on_failure="stop")
        stop = StopRequest()
        options = TrainingOptions(executor="inline", pack_size=1, policy=policy)
        assert train_missing(options, chosen, Store.open(tmp_path), stop=stop) == 1
        assert stop.why == "1 trial failed (--on-failure stop)"
        assert "stopping: 1 trial failed (--on-failure stop); packs in training leave" in capsys.readouterr().err
        assert train_missing(options, chosen, Store.open(tmp_path)) == 1  # goes on with the next

    @pytest.mark.parametrize(
        ("name", "what"),
        [("parameters.safetensors", "store"), ("record.json", "store"), (".tmp", "rename"), ("status.json", "go on")],
    )
    def test_a_disk_that_becomes_full_blames_no_trial(self, name, what, tmp_path, capsys, monkeypatch):
        """At each write: nothing is half-written, and the same command continues."""
        trial = Trial(task=toy_studies.ToyScene(), method=ToyMethod(), budget=BUDGETS["smoke"], seed=0, variant="toy")
        chosen = Selection(suite=toy_studies.toy_suite(), budget=BUDGETS["smoke"], trials=[trial], cells=[])
        options = TrainingOptions(executor="inline")
        full = OSError(errno.ENOSPC, "No space left on device")

        def refuse_write(path, content, **options):
            if path.name.startswith(name):
                raise full
            return atomic_files.write_file(path, content, **options)

        def refuse_rename(temporary, final):
            raise full

        with monkeypatch.context() as disk:
            for module in (store, run_status):
                disk.setattr(module, "write_file", refuse_write)
            if what == "rename":
                disk.setattr(store.files, "publish_folder", refuse_rename)
            if what == "go on":
                assert train_missing(options, chosen, Store.open(tmp_path)) == 1
                assert capsys.readouterr().err.count("warning: status not written, training goes on") == 1
                return
            with pytest.raises(UsageError, match=f"expected to store {trial.id}, got No space left on device; free"):
                train_missing(options, chosen, Store.open(tmp_path))
        assert [path.name for path in tmp_path.iterdir()] == []
        assert train_missing(options, chosen, Store.open(tmp_path)) == 1
        assert Store.open(tmp_path).finished(trial.id)

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENAMETOOLONG])
    def test_results_that_cannot_be_written_are_refused_before_training(self, number, tmp_path, monkeypatch):
        trial = Trial(task=toy_studies.ToyScene(), method=ToyMethod(), budget=BUDGETS["smoke"], seed=0, variant="toy")
        chosen = Selection(suite=toy_studies.toy_suite(), budget=BUDGETS["smoke"], trials=[trial], cells=[])

        def refuse(root, trial_ids):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(run_suite, "probe_folder", refuse)
        monkeypatch.setattr(run_suite, "check_before_training", lambda trials: pytest.fail("it went on"))
        with pytest.raises(UsageError, match=f"can be written, got '{os.strerror(number)}'.* with --results"):
            train_missing(TrainingOptions(executor="inline"), chosen, Store.open(tmp_path))

    def test_a_failed_trial_is_stored_and_is_not_run_again(self, tmp_path, capsys):
        broken = ToyMethod(breaks_at=3.0)
        trial = Trial(task=toy_studies.ToyScene(), method=broken, budget=BUDGETS["smoke"], seed=0, variant="toy")
        chosen = Selection(suite=toy_studies.toy_suite(), budget=BUDGETS["smoke"], trials=[trial], cells=[])
        trials_store = Store.open(tmp_path)
        assert train_missing(TrainingOptions(executor="inline"), chosen, trials_store) == 1
        assert "not finite at step 3" in trials_store.read(trial.id).reason
        assert "failed: " in capsys.readouterr().err
        assert train_missing(TrainingOptions(executor="inline"), chosen, trials_store) == 0


class TestRun:
    def test_leaves_a_finished_trial(self, first, folder):
        code, ids = first
        assert code == 0
        assert [i.rsplit("__", 1)[0] for i in ids] == ["nerf__kettle__8v__s0"]
        record = Store.open(folder).read(ids[0])
        assert record.status == "finished"
        assert record.num_steps == 20
        assert record.identity["method"]["field"]["width"] == 16

    def test_the_same_command_trains_nothing(self, first, folder, capsys):
        before = {p: p.stat().st_mtime_ns for p in pathlib.Path(folder).glob("*/record.json")}
        assert bench(*RUN, "--only", "arm=NeRF", "--results", folder) == 0
        printed = capsys.readouterr().out
        assert "0 trials trained, 1 found finished" in printed
        assert {p: p.stat().st_mtime_ns for p in pathlib.Path(folder).glob("*/record.json")} == before

    def test_a_report_that_cannot_be_written_does_not_hide_the_tables(self, first, folder, capsys, monkeypatch):
        def refuse(contents, folder):
            raise OSError(errno.EROFS, "Read-only file system", "reports/x")

        monkeypatch.setattr(build, "draw_report", refuse)
        assert bench(*RUN, "--only", "arm=NeRF", "--results", folder) == 2
        printed = capsys.readouterr()
        assert "architectures, eight photos" in printed.out and "report: not written" in printed.out
        assert "reports/x: Read-only file system; python -m bench report" in printed.err

    def test_results_that_can_only_be_read_give_their_tables(self, first, folder, capsys, monkeypatch):
        monkeypatch.setattr(Store, "lock", lambda store: pytest.fail("it wants to write"))
        assert bench(*RUN, "--only", "arm=NeRF", "--results", folder) == 0
        assert "0 trials trained, 1 found finished" in capsys.readouterr().out

    def test_a_wider_command_trains_only_what_is_missing(self, first, folder, capsys):
        code = bench(*RUN, "--results", folder, "--executor", "inline", "--only", "variant=nerf", "--json")
        assert code == 0
        results = json.loads(capsys.readouterr().out)
        assert results[0]["table"] == "architectures, eight photos"
        assert len(Store.open(folder).ids()) == 2  # NeRF at 8 views, found, and at 12, trained

    def test_rescore_gives_the_same_digits(self, first, folder, capsys):
        trial = first[1][0]
        before = Store.open(folder).scores(trial)["std-v1"]
        assert bench("rescore", *RUN[1:], "--only", "arm=NeRF", "--results", folder) == 0
        assert Store.open(folder).scores(trial)["std-v1"] == before

    def test_rescore_under_another_protocol(self, first, folder):
        assert bench("rescore", *RUN[1:], "--only", "arm=NeRF", "--results", folder, "--protocol", "dietnerf-2021") == 0
        scores = Store.open(folder).scores(first[1][0])["dietnerf-2021"]
        assert "defined at 400 px" in scores["departs"]

    def test_report_writes_the_page_again(self, first, folder, tmp_path, capsys):
        words = ["report", *RUN[1:], "--only", "arm=NeRF", "--results", folder, "--out"]
        assert bench(*words, tmp_path / "a") == 0
        assert bench(*words, tmp_path / "b") == 0
        pages = [
            {
                p.relative_to(tmp_path / side): p.read_bytes()
                for p in sorted((tmp_path / side).rglob("*"))
                if p.is_file()
            }
            for side in "ab"
        ]
        assert pages[0] == pages[1]
        assert b"kettle" in pages[0][pathlib.Path("index.html")]

    def test_plan_counts(self, first, folder, capsys):
        assert bench("plan", *RUN[1:], "--results", folder, "--no-pilot", "--json") == 0
        planned = json.loads(capsys.readouterr().out)
        assert len(planned["trials"]) == 6
        missing = [trial for pack in planned["packs"] for trial in pack["trials"]]
        assert set(missing) <= set(planned["trials"]) - {first[1][0]}
        assert planned["differences"]["architectures, eight photos"]["raw coordinates"] == {
            "method.field.encoding": ["Raw", "Positional"],
            "method.field.encoding.identity": [None, True],
            "method.field.encoding.num_octaves": [None, 10],
        }

    def test_a_failure_is_a_row_and_exits_1_and_can_be_retried(self, folder, capsys, monkeypatch):
        monkeypatch.setitem(NERF_RANGES, "learning_rate", (0.0, 1e38))
        words = [*RUN, "--only", "arm=NeRF", "--seeds", "1", "--results", folder, "--executor", "inline"]
        broken = [*words, "--set", "nerf.learning_rate=1e38"]
        assert bench(*broken) == 1
        printed = capsys.readouterr()
        assert "failed" in printed.out
        assert "1 trial failed" in printed.err
        assert bench("retry", "--all", "--results", folder) == 0
        assert list(folder.glob("failed-1/*"))

    def test_a_record_that_does_not_parse_is_set_aside_and_run_again(self, first, folder, capsys):
        path = folder / first[1][0] / "record.json"
        path.write_text("{ half a rec")
        code = bench(*RUN, "--only", "arm=NeRF", "--results", folder, "--executor", "inline")
        printed = capsys.readouterr()
        assert code == 0
        assert "1 trial trained" in printed.out and "time of the device: trained " in printed.out
        assert printed.err.count("set aside, it did not parse") == 1

    def test_a_store_of_another_schema_is_refused(self, first, folder, tmp_path, capsys):
        other = tmp_path / "old" / first[1][0]
        other.mkdir(parents=True)
        text = json.dumps({"schema_version": 999})
        (other / "record.json").write_text(text)
        assert bench(*RUN, "--results", tmp_path / "old", "--executor", "inline") == 2
        assert "got 999" in capsys.readouterr().err
        assert (other / "record.json").read_text() == text


def test_a_run_whose_time_is_short_says_so_and_is_continued(tmp_path, capsys):
    words = [*RUN, "--only", "arm=NeRF", "--results", tmp_path, "--executor", "inline"]
    assert bench(*words, "--minutes", "1e-9") == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "trained in part: 1\n  4/20 steps: nerf__kettle__8v__s0__" in printed.err
    assert "time is up: 1 of 1 trials are not finished; the same command continues" in printed.err
    assert bench("status", "--results", tmp_path, "--json") == 0
    [(name, begun)] = json.loads(capsys.readouterr().out)["begun"].items()
    assert (begun["step"], begun["num_steps"]) == (4, 20) and begun["seconds"] > 0
    assert bench(*words) == 0
    assert "1 trial goes on from checkpoints" in capsys.readouterr().err
    assert Store.open(tmp_path).read(name).resumed_at == [4]
    assert bench("status", "--results", tmp_path) == 0
    assert "trained in part" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--on-failure", "stopp"], "--on-failure: expected one of continue, stop, got 'stopp'; the nearest is 'stop'"),
        (["--retries", "x"], "--retries: expected a whole number of at least 0, got 'x'"),
        (["--max-failures", "0"], "--max-failures: expected a whole number of at least 1, got '0'"),
        (["--trial-minutes", "-1"], "--trial-minutes: expected a number above 0, got '-1'"),
        (["--on-failure", "stop", "--max-failures", "2"], "--max-failures: expected --on-failure continue beside it"),
        (
            ["--on-failure=stop", "--checkpoint-minutes=0"],
            "--checkpoint-minutes: expected checkpoints beside --on-fail",
        ),
        (
            ["--max-failures=2", "--checkpoint-minutes=0"],
            "--checkpoint-minutes: expected checkpoints beside --max-fail",
        ),
    ],
)
def test_a_policy_that_makes_no_sense_is_one_line(words, message, tmp_path, capsys):
    assert bench(*RUN, "--only", "arm=NeRF", "--results", tmp_path, *words) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"bench: {message}") and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "got"), [("--minutes", "0"), ("--minutes", "x"), ("--checkpoint-minutes", "-1"), ("--minutes", "nan")]
)
def test_minutes_are_numbers(option, got, tmp_path, capsys):
    assert bench(*RUN, "--results", tmp_path, f"{option}={got}") == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"bench: {option}: expected a number ") and f"got '{got}'" in line


@pytest.mark.slow
def test_a_killed_driver_loses_nothing_that_is_finished(tmp_path):
    """`kill -9` in the middle, then the same command: what is finished is neither lost nor run again."""
    words = [sys.executable, "-m", "bench", *RUN, "--results", str(tmp_path), "--executor", "inline"]
    process = subprocess.Popen(words, cwd=ROOT, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob("*__*/record.json")) and process.poll() is None:
        time.sleep(0.1)  # until the first trial is stored; the run has five more to go
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finished = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*__*/record.json")}
    assert 0 < len(finished) < 6
    done = subprocess.run(words, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{len(finished)} found finished" in done.stdout
    after = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*__*/record.json")}
    assert len(after) == 6
    assert finished.items() <= after.items()
