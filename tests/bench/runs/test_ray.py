"""A real Ray cluster of three nodes on this machine: the same results, whatever is lost on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'heistbench[ray]'")

from conftest import MAIN, write_tiny  # noqa: E402

from heistbench.bench.runs import ray_cluster  # noqa: E402
from heistbench.bench.runs.ray_cluster import slots_of  # noqa: E402
from heistbench.bench.storage.result_files import read_records  # noqa: E402

SMALL: dict[str, Any] = {
    "attacks": ["answer_only", "trace_inversion"],
    "controls": ["untrained"],
    "defenses": ["none", "noise_answers"],
    "sizes": {"query": 12, "surrogate": 16, "test": 8},
}
CLUSTER = """
import sys
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 80 * 2**20})
nodes = [cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20) for _ in range(2)]
print(cluster.address, flush=True)
for order in sys.stdin:
    cluster.remove_node(nodes.pop(), allow_graceful=False)
    nodes.append(cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20))
    print("lost one, and another joined", flush=True)
cluster.shutdown()
"""


class Nodes(NamedTuple):
    """A running cluster."""

    address: str
    process: subprocess.Popen[str]

    def lose_one(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("lose\n")
        self.process.stdin.flush()
        self.process.stdout.readline()


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    quiet: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    with subprocess.Popen([sys.executable, "-c", CLUSTER], env=environment, **quiet) as process:
        assert process.stdout
        yield Nodes(process.stdout.readline().strip(), process)
        assert process.stdin
        process.stdin.close()


def numbers(out: Path) -> dict[str, Any]:
    """All that a run's results say but when and where they were made."""
    records = read_records(out / "tiny" / "results")
    return {str(record.path()): json.loads(record.model_dump_json(exclude={"volatile"})) for record in records}


def start(nodes: Nodes, suite: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAIN, "run", str(suite), "--out", str(out), "--executor", "ray"]
    return subprocess.Popen(
        [*command, "--ray-address", nodes.address, *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def wait_for_work(folder: Path) -> None:
    """Until a first artifact is there."""
    ends = time.monotonic() + 240
    while not list(folder.glob("*/*/manifest.json")):
        assert time.monotonic() < ends, "nothing was computed"
        time.sleep(0.2)


def test_whatever_is_lost_a_cluster_computes_the_same(nodes: Nodes, tmp_path: Path, heist_process: Callable) -> None:
    """One test, for a cluster takes long to start. All share the processor: first here, then with a node that is lost, then
    without a shared folder and with a driver that is killed."""
    suite = write_tiny(tmp_path / "tiny.yaml", **SMALL)
    ended = heist_process("run", suite, "--out", tmp_path / "here", "--jobs", 2)
    assert ended.code == 0, ended.err
    expected = numbers(tmp_path / "here")

    with start(nodes, suite, tmp_path / "cluster") as run:
        wait_for_work(tmp_path / "cluster" / "store")
        nodes.lose_one()
        _, err = run.communicate(timeout=500)
    assert run.returncode == 0, err
    assert numbers(tmp_path / "cluster") == expected

    mirror = ("--mirror", (tmp_path / "mirror").as_uri())
    with start(nodes, suite, tmp_path / "far", *mirror) as run:
        wait_for_work(tmp_path / "mirror")
        run.send_signal(signal.SIGKILL)
        run.communicate()
    with start(nodes, suite, tmp_path / "far", *mirror) as run:
        _, err = run.communicate(timeout=500)
    assert run.returncode == 0, err
    assert numbers(tmp_path / "far") == expected


@pytest.mark.parametrize(
    ("has", "others", "gpus", "offers"),
    [
        ({"CPU": 2.0}, [{}], 1.0, [{"cpu", "gpu", "network"}] * 2),
        ({"CPU": 3.0, "GPU": 1.0}, [{}], 0.5, [{"cpu", "gpu", "network"}] * 2 + [{"cpu", "network"}]),
        ({"CPU": 2.0}, [{"GPU": 1.0}], 1.0, [{"cpu", "network"}] * 2),
        ({"CPU": 1.0}, [{"network": 1.0}], 1.0, [{"cpu", "gpu"}]),
        ({"CPU": 1.0, "network": 1.0}, [{}], 1.0, [{"cpu", "gpu", "network"}]),
        ({"GPU": 4.0}, [{}], 1.0, []),
    ],
)
def test_nodes_offer_slots_by_what_they_have(has: dict, others: list, gpus: float, offers: list) -> None:
    assert [set(slot.offers) for slot in slots_of("node", has, gpus, [has, *others])] == offers


def test_a_cluster_that_is_not_there_is_one_line(heist_process: Callable, tmp_path: Path) -> None:
    suite = write_tiny(tmp_path / "tiny.yaml", **SMALL)
    ended = heist_process("run", suite, "--out", tmp_path / "out", "--executor", "ray", "--ray-address", "127.0.0.1:1")
    assert ended.code == 2
    (line,) = [line for line in ended.err.splitlines() if line.startswith("heist: error")]
    assert "--ray-address 127.0.0.1:1" in line


FAKE = """#!/bin/sh
echo "$(basename "$0") $*" >> "$LOG"
case "$(basename "$0") $*" in
    "scontrol show hostnames nodes[1-2]") echo node1; echo node2;;
    *"hostname --ip-address") echo 10.0.0.1;;
    "heist "*) timeout 30 sh -c 'until [ "$(grep -c "ray start" "$LOG")" -ge 2 ]; do sleep 0.1; done';;
esac
"""
"""A run lasts until both nodes have been started: the script starts them beside it, and ends them with it."""


def test_the_script_for_slurm_starts_a_cluster_and_a_run_on_it(tmp_path: Path) -> None:
    for name in ("scontrol", "srun", "ray", "heist"):
        (tmp_path / name).write_text(FAKE)
        (tmp_path / name).chmod(0o755)
    log = tmp_path / "log"
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(log), "SLURM_JOB_NODELIST": "nodes[1-2]"}
    script = Path(ray_cluster.__file__).with_name("slurm.sh")
    subprocess.run(["bash", script, "pocket-full", "--out", "/shared/out"], env=environment, check=True, timeout=60)
    lines = log.read_text().splitlines()
    assert any(
        line.startswith("srun --nodes=1 --ntasks=1 -w node1 ray start --head --node-ip-address=10.0.0.1") for line in lines
    )
    assert any(line.startswith("srun --nodes=1 --ntasks=1 -w node2 ray start --address=10.0.0.1:6379") for line in lines)
    assert "heist run pocket-full --out /shared/out --executor ray --ray-address 10.0.0.1:6379" in lines
