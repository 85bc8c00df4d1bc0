"""The executor of many machines: worker processes on the nodes of a Ray cluster, one for each core or share of a GPU.

Each node that is alive offers slots by what it has. A worker stays on its node and takes one job after the other. When a node is
lost, so are its slots, and their jobs are run again elsewhere; a node that joins is used from then on.
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.models.process import held
from heistbench.bench.runs.ray_keeper import FarOwner, Keeper
from heistbench.bench.runs.worker import Conditions, Failed, Job, Lost, Note, Outcome, prepare, run_job
from heistbench.bench.stages.stage import Need
from heistbench.bench.storage.damage import to_stderr
from heistbench.bench.storage.data_files import SETTING
from heistbench.bench.storage.failures import DETAILS

T = TypeVar("T")
LOOK = 2.0
"""Seconds between two looks at which nodes are alive."""
PROCESS_DIED = "worker process has died"
"""How Ray tells a worker that died from one whose node did."""
NETWORK = "network"
"""The custom resource of nodes that may ask providers; where no node declares it, all may."""
_PASSED_ON = (SETTING, "HF_HUB_OFFLINE", "HEIST_DEBUG")
"""What workers inherit of this process's environment. Keys are not among it: Ray would write them into its logs."""


def _holder() -> str:
    """The name under which a worker holds locks."""
    return os.urandom(8).hex()


@dataclass
class _Slot:
    """A place for one worker on a node."""

    node: str
    gpus: float
    offers: frozenset[Need]
    alive: bool = True
    reason: str = ""
    actor: Any = None
    holder: str = field(default_factory=_holder)


class RayCluster:
    """Implements `Executor`. `conditions.address` is that of a cluster; without one, Ray starts on this machine alone."""

    def __init__(self, conditions: Conditions, jobs: int, note: Note) -> None:
        ray = connected(conditions.address, jobs)
        plugins = tuple(path.absolute() for path in conditions.plugins)  # workers start in other folders
        conditions = replace(conditions, root=conditions.root.absolute(), plugins=plugins)
        self._conditions, self._jobs, self._note, self._ray = conditions, jobs, note, ray
        here = ray.get_runtime_context().get_node_id()
        self._keeper = ray.remote(Keeper).options(num_cpus=0, scheduling_strategy=_on(here)).remote(conditions.root)
        self._slots, self._looked, self._closed = list[_Slot](), 0.0, threading.Event()
        self._threads = ThreadPoolExecutor(jobs + 1)
        _check_path(ray, conditions)
        self._threads.submit(self._listen)

    @property
    def slots(self) -> Sequence[frozenset[Need]]:
        """See `Executor.slots`."""
        if time.monotonic() - self._looked > LOOK:
            self._look()
        return [slot.offers if slot.alive else frozenset() for slot in self._slots]

    def submit(self, slot: int, job: Job) -> Future[Outcome]:
        """See `Executor.submit`."""
        return self._threads.submit(self._run, self._slots[slot], job)

    def end(self, slot: int, reason: str) -> None:
        """See `Executor.end`."""
        ended = self._slots[slot]
        ended.reason = reason
        if ended.actor is not None:
            self._ray.kill(ended.actor)

    def close(self) -> None:
        """See `Executor.close`."""
        self._closed.set()
        for slot in self._slots:
            if slot.actor is not None:
                self._ray.kill(slot.actor)
        self._threads.shutdown(cancel_futures=True)
        self._ray.shutdown()

    def _look(self) -> None:
        """Take up the slots of nodes that have joined, and no longer offer those of nodes that are gone."""
        self._looked, nodes = time.monotonic(), {node["NodeID"]: node for node in self._ray.nodes() if node["Alive"]}
        if not nodes and any(slot.alive for slot in self._slots):
            to_stderr("no node of the cluster is alive; waiting for one")
        for slot in self._slots:
            slot.alive = slot.node in nodes
        known = {slot.node for slot in self._slots}
        anywhere = [node["Resources"] for node in nodes.values()]
        for name, node in nodes.items():
            if name not in known:
                fresh = slots_of(name, node["Resources"], self._conditions.gpus, anywhere)
                room = self._jobs - sum(slot.alive for slot in self._slots)
                self._slots += fresh[: max(0, room)]

    def _run(self, slot: _Slot, job: Job) -> Outcome:
        """Have a job done by the worker of a slot, which is started if need be."""
        slot.reason = ""
        try:
            if slot.actor is None:
                slot.actor = self._start(slot)
            outcome: Outcome = self._ray.get(slot.actor.run.remote(job))
            return outcome
        except self._ray.exceptions.RayError as error:
            lost = error
        try:
            return self._bury(slot, lost)
        except self._ray.exceptions.RayError as error:
            return Failed(f"the owner of the run's locks is gone: {str(error).splitlines()[0]}")

    def _start(self, slot: _Slot) -> Any:
        resources = {"num_cpus": 1, "num_gpus": slot.gpus, "scheduling_strategy": _on(slot.node)}
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment = {"env_vars": {**passed_on, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}}
        worker = self._ray.remote(_Worker).options(**resources, runtime_env=environment)
        return worker.remote(self._conditions, self._keeper, slot.holder)

    def _bury(self, slot: _Slot, error: Exception) -> Outcome:
        """What becomes of the job of a worker that is gone: a failure, unless its node is gone or cannot be reached."""
        if slot.actor is not None:
            self._ray.kill(slot.actor)  # it may still be there, behind a broken line
        slot.actor, holder, slot.holder = None, slot.holder, _holder()
        self._ray.get(self._keeper.bury.remote(holder))
        if reason := slot.reason or self._ray.get(self._keeper.farewell.remote(holder)):
            return Failed(reason)
        if PROCESS_DIED in str(error):
            return Failed("its worker process died (out of memory, or killed)", details=str(error)[:DETAILS])
        self._looked = 0.0
        return Lost(f"node {slot.node[:8]} was lost")

    def _listen(self) -> None:
        """Pass on what workers leave with the keeper."""
        while not self._closed.wait(1.0):
            try:
                notes, notices = self._ray.get(self._keeper.news.remote())
            except self._ray.exceptions.RayError:
                return
            for note in notes:
                self._note(*note)
            for line in notices:
                to_stderr(line)


class _Worker:
    """The actor that runs jobs on a node."""

    def __init__(self, conditions: Conditions, keeper: Any, holder: str) -> None:
        self._keeper, self._owner = keeper, FarOwner(keeper, holder, conditions.root)
        own = Path(tempfile.gettempdir()) / f"heist-{holder}"  # where no file system is shared
        self._conditions = replace(conditions, root=own) if conditions.mirror else conditions
        prepare(self._conditions)
        if conditions.memory is not None:
            threading.Thread(target=self._watch, args=(holder, conditions.memory), daemon=True).start()

    def run(self, job: Job) -> Outcome:
        """Run a job."""
        last = 0.0

        def progress(what: str, done: int, total: int) -> None:
            nonlocal last
            if done >= total or time.monotonic() - last > 1:
                last = time.monotonic()
                self._keeper.note.remote(job.at, what, done, total)

        return run_job(job, self._conditions, progress, self._owner)

    def _watch(self, holder: str, most: float) -> None:
        """End this process when it holds more GiB of memory than it may."""
        while held(os.getpid()) <= most:
            time.sleep(1)
        self._owner.call("leave", holder, f"it held more than {most:g} GiB of memory")
        os._exit(1)


def connected(address: str | None, jobs: int) -> Any:
    """Ray, connected to a cluster, or started on this machine. Raises HeistError where it is not installed or not there."""
    try:
        import ray
    except ImportError:
        raise HeistError("--executor ray: Ray is not installed: pip install 'heistbench[ray]'") from None
    if address:
        _reach(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    about = {"address": address} if address else {"num_cpus": jobs, "include_dashboard": False}
    try:
        ray.init(**about, log_to_driver=False, namespace="heistbench", logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise HeistError(f"--ray-address {address}: {str(error).splitlines()[0]}") from None
    return ray


def _reach(address: str) -> None:
    """Raise HeistError where nobody listens at an address with a port: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except (OSError, OverflowError) as error:
            raise HeistError(f"--ray-address {address}: nobody answers there ({error})") from None


def slots_of(node: str, has: dict[str, float], gpus: float, anywhere: Sequence[dict[str, float]]) -> list[_Slot]:
    """The slots of a node: one a core, as many of them with a share of a GPU as there are shares.

    Where the cluster has no GPU at all, cores stand in for them; where no node declares the resource `network`, all have it.
    """
    cores, shares = int(has.get("CPU", 0)), int(has.get("GPU", 0) / gpus)
    no_gpus = not any("GPU" in other for other in anywhere)
    asks = NETWORK in has or not any(NETWORK in other for other in anywhere)
    slots = []
    for at in range(cores):
        offers: set[Need] = {"cpu"}
        offers |= {"gpu"} if no_gpus or at < shares else set()
        offers |= {"network"} if asks else set()
        slots.append(_Slot(node, gpus if at < shares else 0, frozenset(offers)))
    return slots


def _on(node: str) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node, soft=False)


def on_every_node(ray: Any, function: Callable[..., T], *arguments: object) -> list[tuple[str, dict[str, float], T]]:
    """Each node that is alive, by name, with its resources and what a function says there."""
    nodes, remote = [node for node in ray.nodes() if node["Alive"]], ray.remote(function)
    there = [remote.options(num_cpus=0, scheduling_strategy=_on(node["NodeID"])) for node in nodes]
    answers = ray.get([each.remote(*arguments) for each in there])
    return [(node["NodeManagerHostname"], node["Resources"], said) for node, said in zip(nodes, answers, strict=True)]


def _sees(path: Path) -> bool:
    return path.is_file()


def _check_path(ray: Any, conditions: Conditions) -> None:
    """Raise HeistError where a node does not see the store, unless there is a mirror."""
    if conditions.mirror:
        return
    probe = conditions.root / f"probe-{os.getpid()}"
    probe.parent.mkdir(parents=True, exist_ok=True)
    probe.touch()
    try:
        blind = [name for name, _, sees in on_every_node(ray, _sees, probe.absolute()) if not sees]
    finally:
        probe.unlink()
    if blind:
        raise HeistError(
            f"nodes {', '.join(sorted(blind))} do not see {conditions.root}: put --out on a file system that all nodes share,"
            " or give a --mirror"
        )
