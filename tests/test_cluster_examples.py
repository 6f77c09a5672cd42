"""The examples for Slurm and KubeRay say what these ask for, and start what they say."""

import os
import re
import subprocess

import pytest

from bench.import_paths import ROOT

SLURM = ROOT / "clusters" / "slurm.sh"

STUB = """#!/bin/bash
echo "$(basename "$0") $*" >> "$LOG"
case "$(basename "$0") $*" in
  "scontrol show hostnames"*) printf 'one\\ntwo\\nthree\\n' ;;
  *"hostname --ip-address") echo "10.0.0.1 fe80::1" ;;
  "python -m bench run"*) exit "${CODE:-0}" ;;
esac
"""


def run_slurm(tmp_path, **variables):
    """Runs the script with commands that only write down how they were called."""
    for name in ("srun", "scontrol", "ray", "python", "sleep"):
        stub = tmp_path / ".venv" / "bin" / name
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.write_text(STUB)
        stub.chmod(0o755)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "LOG": str(tmp_path / "log"),
        "SLURM_SUBMIT_DIR": str(tmp_path),
        "SLURM_JOB_NODELIST": "host[1-3]",
        "SLURM_JOB_NUM_NODES": "3",
        "SLURM_JOB_ID": "41234",
        "SLURM_CPUS_PER_TASK": "16",
        "SLURM_GPUS_ON_NODE": "2",
        **variables,
    }
    done = subprocess.run(
        ["bash", str(SLURM), "--suite", "ablations", "--only", "a b=c"],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done, (tmp_path / "log").read_text().splitlines()


def test_slurm_starts_a_head_workers_and_the_run(tmp_path):
    done, calls = run_slurm(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    started = {call for call in calls if "ray start" in call}
    options = "--num-cpus 16 --disable-usage-stats --block --num-gpus 2"
    assert started == {
        "srun --nodes=1 --ntasks=1 --nodelist=one --overlap ray start --head --node-ip-address=10.0.0.1 --port=21234 "
        f"--include-dashboard=false {options}",
        f"srun --nodes=2 --ntasks=2 --exclude=one --overlap ray start --address=10.0.0.1:21234 {options}",
    }
    assert "python -m bench run --address 10.0.0.1:21234 --suite ablations --only a b=c" in calls
    assert "ray get-auth-token --generate" in calls
    assert not any("requeue" in call for call in calls)


@pytest.mark.parametrize(("code", "is_queued"), [("143", True), ("1", False), ("2", False)])
def test_slurm_queues_again_what_was_stopped(tmp_path, code, is_queued):
    done, calls = run_slurm(tmp_path, CODE=code, SLURM_JOB_NUM_NODES="1", SLURM_GPUS_ON_NODE="")
    assert done.returncode == int(code)
    assert ("scontrol requeue 41234" in calls) == is_queued
    assert sum("ray start" in call for call in calls) == 1 and not any("--num-gpus" in call for call in calls)


def test_slurm_is_lint_free():
    """The parts of a linter that matter here: syntax, strictness, quotes, options that Slurm reads."""
    assert subprocess.run(["bash", "-n", str(SLURM)], capture_output=True, check=False).returncode == 0
    lines = SLURM.read_text().splitlines()
    assert lines[0] == "#!/bin/bash"
    first = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    assert lines[first] == "set -euo pipefail"
    asked = [i for i, line in enumerate(lines) if line.startswith("#SBATCH ")]
    assert asked and max(asked) < first  # Slurm reads none behind the first command
    assert all(re.fullmatch(r"#SBATCH --[a-z-]+(=\S+)?", lines[i]) for i in asked)
    for line in lines[first:]:
        bare = re.sub(r"\$\(\([^()]*\)\)|'[^']*'", "", line.split("  # ")[0])
        bare = re.sub(r'"[^"]*"', "", bare)
        assert not re.search(r"\$\{?[A-Za-z_@]", bare), f"not quoted: {line}"


def containers(template):
    return template["spec"]["containers"]


def test_kuberay_has_what_its_operator_needs():
    yaml = pytest.importorskip("yaml")
    job = yaml.safe_load((ROOT / "clusters" / "kuberay.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob") and job["metadata"]["generateName"]
    cluster = job["spec"]["rayClusterSpec"]
    pinned = re.search(r"^ray==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert cluster["rayVersion"] == pinned.group(1)
    [group] = cluster["workerGroupSpecs"]
    assert group["groupName"] and group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for spec in (cluster["headGroupSpec"], group):
        assert all(isinstance(value, str) for value in spec["rayStartParams"].values())  # flags of `ray start`
        [container] = containers(spec["template"])
        assert container["image"] and container["resources"]["requests"] == container["resources"]["limits"]
        volumes = {volume["name"] for volume in spec["template"]["spec"]["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        assert all(isinstance(variable["value"], str) for variable in container["env"])
    [worker] = containers(group["template"])
    drain = worker["lifecycle"]["preStop"]["exec"]["command"][-1]
    grace_s = int(re.search(r"--deadline-remaining-seconds (\d+)", drain).group(1))
    assert 18 < grace_s < group["template"]["spec"]["terminationGracePeriodSeconds"]
    command = re.search(r"python -m bench (\S+) (.*)'", job["spec"]["entrypoint"])
    assert check_words(command.group(1), command.group(2).split())


def check_words(verb, words):
    """Parses a command as `python -m bench` does."""
    import importlib

    from bench.__main__ import module_of
    from bench.cli.argument_parser import ArgumentParser

    module = importlib.import_module(module_of(verb))
    parser = ArgumentParser(verb, module.HELP, module.EXAMPLE)
    module.add_arguments(parser)
    return parser.parse_words(words)
