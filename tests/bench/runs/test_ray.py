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


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    with subprocess.Popen([sys.executable, "-c", CLUSTER], env=environment, **quiet) as process:
        assert process.stdout
        yield Nodes(process.stdout.readline().strip(), process)
        assert process.stdin
        process.stdin.close()


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("ray") / "tiny.yaml", **SMALL)


@pytest.fixture(scope="module")
def expected(suite: Path) -> dict[str, Any]:
    """The results of a run on this machine."""
    out = suite.parent / "local"
    ended = subprocess.run(
        [sys.executable, "-c", MAIN, "run", suite, "--out", out, "--jobs", "1"], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    return numbers(out)


def numbers(out: Path) -> dict[str, Any]:
    """All that a run's results say but when and where they were made."""
    records = read_records(out / "tiny" / "results")
    return {str(record.path()): json.loads(record.model_dump_json(exclude={"volatile"})) for record in records}


def start(nodes: Nodes, suite: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAIN, "run", str(suite), "--out", str(out), "--executor", "ray"]
    return subprocess.Popen(
        [*command, "--ray-address", nodes.address, *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def wait_for_work(out: Path) -> None:
    """Until a first artifact is there."""
    ends = time.monotonic() + 240
    while not list((out / "store").glob("*/*/manifest.json")):
        assert time.monotonic() < ends, "nothing was computed"
        time.sleep(0.2)


def test_a_cluster_that_loses_a_node_computes_the_same(
    nodes: Nodes, suite: Path, tmp_path: Path, expected: dict[str, Any]
) -> None:
    with start(nodes, suite, tmp_path / "out") as run:
        wait_for_work(tmp_path / "out")
        nodes.lose_one()
        _, err = run.communicate(timeout=500)
    assert run.returncode == 0, err
    assert numbers(tmp_path / "out") == expected


def test_a_run_whose_driver_is_killed_goes_on_without_a_shared_folder(
    nodes: Nodes, suite: Path, tmp_path: Path, expected: dict[str, Any]
) -> None:
    mirror = ("--mirror", (tmp_path / "mirror").as_uri())
    with start(nodes, suite, tmp_path / "out", *mirror) as run:
        ends = time.monotonic() + 240
        while not list((tmp_path / "mirror").glob("*/*/manifest.json")):
            assert time.monotonic() < ends, "nothing was computed"
            time.sleep(0.2)
        run.send_signal(signal.SIGKILL)
        run.communicate()
    with start(nodes, suite, tmp_path / "out", *mirror) as run:
        _, err = run.communicate(timeout=500)
    assert run.returncode == 0, err
    assert numbers(tmp_path / "out") == expected


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


def test_a_cluster_that_is_not_there_is_one_line(heist_process: Callable, suite: Path, tmp_path: Path) -> None:
    ended = heist_process("run", suite, "--out", tmp_path / "out", "--executor", "ray", "--ray-address", "127.0.0.1:1")
    assert ended.code == 2
    (line,) = [line for line in ended.err.splitlines() if line.startswith("heist: error")]
    assert "--ray-address 127.0.0.1:1" in line
