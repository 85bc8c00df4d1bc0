"""Who waits for whom: steps, slots, and what becomes of a step that fails."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from heistbench.bench import HeistError
from heistbench.bench.contracts.errors import Busy
from heistbench.bench.runs import schedule as running
from heistbench.bench.runs.worker import Conditions, Done, Failed, Job, Outcome, Waiting, run_job
from heistbench.bench.stages.pipeline import Step, StoredCell, steps
from heistbench.bench.stages.record import RecordStage, cell_spec
from heistbench.bench.stages.stage import Need, quietly
from heistbench.bench.storage.store import Store
from heistbench.bench.suites.cells import Cell, cells
from heistbench.bench.suites.files import load_suite

ANYTHING: frozenset[Need] = frozenset({"cpu", "gpu", "network"})
REMOTE = {"model": "inspect:openai/some-model", "api": {"shows": "trace"}}


class FakeExecutor:
    """Ends each job at once, as `outcome` says; remembers which slot had which job."""

    def __init__(self, outcome: Callable[[Job], Outcome], slots: Sequence[frozenset[Need]] = (ANYTHING,)) -> None:
        self.outcome, self.slots = outcome, slots
        self.jobs: list[tuple[int, Job]] = []
        self.closed = False

    def submit(self, slot: int, job: Job) -> Future[Outcome]:
        self.jobs.append((slot, job))
        future: Future[Outcome] = Future()
        future.set_result(self.outcome(job))
        return future

    def end(self, slot: int, reason: str) -> None:
        raise AssertionError("nothing runs for long")

    def close(self) -> None:
        self.closed = True


class Watcher:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, str]] = []
        self.done: list[int] = []
        self.failures: list[tuple[int, str, str]] = []
        self.lines: list[str] = []

    def begun(self, at: int, step: str) -> None:
        self.steps.append((at, step))

    def noted(self, at: int, what: str, done: int, total: int) -> None: ...

    def finished(self, at: int) -> None:
        self.done.append(at)

    def failed(self, at: int, step: str, why: Failed) -> None:
        self.failures.append((at, step, why.reason))

    def told(self, line: str) -> None:
        self.lines.append(line)


class ThreadedExecutor(FakeExecutor):
    """The same with a thread per slot."""

    def __init__(self, outcome: Callable[[Job], Outcome], slots: Sequence[frozenset[Need]]) -> None:
        super().__init__(outcome, slots)
        self.pool, self.busy, self.overlaps = ThreadPoolExecutor(len(slots)), Counter[int](), 0

    def submit(self, slot: int, job: Job) -> Future[Outcome]:
        self.jobs.append((slot, job))
        self.busy[slot] += 1
        self.overlaps += self.busy[slot] > 1

        def work() -> Outcome:
            try:
                return self.outcome(job)
            finally:
                self.busy[slot] -= 1

        return self.pool.submit(work)

    def close(self) -> None:
        self.pool.shutdown()


def name_of(job: Job) -> str:
    return steps(job.cell)[job.step].name


@pytest.fixture
def planned(tiny_run: Any) -> running.Plan:
    """Three cells to compute, whose records are there all the same, for who collects them."""
    return running.Plan(cells(load_suite(str(tiny_run.suite)))[:3], [0, 1, 2])


@pytest.fixture
def run(planned: running.Plan, tmp_path: Path) -> Callable[..., Watcher]:
    """Runs the plan; returns what a watcher was told."""

    def run(executor: FakeExecutor, limits: running.Limits = running.NO_LIMITS) -> Watcher:
        watcher = Watcher()
        running.run(planned, Store(tmp_path), executor, watcher, limits)
        return watcher

    return run


@pytest.fixture
def remote_cells(suite_file: Callable[..., Path]) -> list[Cell]:
    """Two cells whose victim is behind an API."""
    return cells(load_suite(str(suite_file(victims=[REMOTE], attacks=["answer_only", "rep"], controls=[], defenses=["none"]))))


# steps and slots


def test_every_step_of_every_cell_is_run_in_order(planned: running.Plan, run: Callable) -> None:
    executor = FakeExecutor(lambda job: Done())
    watcher = run(executor)
    assert watcher.done == [0, 1, 2]
    assert watcher.steps == [(job.at, name_of(job)) for _, job in executor.jobs]
    for at, cell in enumerate(planned.cells):
        names = [name_of(job) for _, job in executor.jobs if job.at == at]
        assert names == [step.name for step in steps(cell)] == ["collect", "train", "examine", "ask plainly", "record"]
    assert executor.closed


def test_a_cell_that_was_begun_comes_before_the_next(run: Callable) -> None:
    executor = FakeExecutor(lambda job: Done())
    run(executor)
    assert [job.at for _, job in executor.jobs] == [0] * 5 + [1] * 5 + [2] * 5


def test_all_students_are_trained_before_an_engine_that_is_slow_to_start_examines_the_first(
    suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    few, executor = cells(load_suite(str(suite_file(engine="vllm"))))[:3], FakeExecutor(lambda job: Done())
    running.run(running.Plan(few, [0, 1, 2]), Store(tmp_path), executor, Watcher())
    assert [(job.step, job.at) for _, job in executor.jobs] == [(step, at) for step in range(5) for at in range(3)]


def test_steps_go_to_slots_that_have_what_they_need(remote_cells: list[Cell], tmp_path: Path) -> None:
    slots: list[frozenset[Need]] = [frozenset({"network", "cpu"}), frozenset({"gpu"})]
    training, side_by_side = threading.Event(), list[bool]()

    def outcome(job: Job) -> Outcome:
        if name_of(job) == "train":
            training.set()
        if job.at == 1 and name_of(job) == "collect":
            side_by_side.append(training.wait(10))  # the first cell trains while the second asks its victim
        return Done()

    executor, watcher = ThreadedExecutor(outcome, slots), Watcher()
    running.run(running.Plan(remote_cells, [0, 1]), Store(tmp_path), executor, watcher)
    assert sorted(watcher.done) == [0, 1]
    assert side_by_side == [True]
    assert executor.overlaps == 0
    taken = {(name_of(job), slot) for slot, job in executor.jobs}
    assert taken == {("collect", 0), ("train", 1), ("examine", 1), ("ask plainly", 0), ("record", 0)}


@pytest.mark.parametrize(("victims", "need"), [([REMOTE], "network"), ([{"model": "pocket/victim-1"}], "gpu")])
def test_asking_needs_the_network_where_the_victim_is_behind_an_api(suite_file: Callable, victims: list, need: Need) -> None:
    by_name = {step.name: step.needs for step in steps(cells(load_suite(str(suite_file(victims=victims))))[0])}
    assert by_name == {"collect": need, "train": "gpu", "examine": "gpu", "ask plainly": need, "record": "cpu"}


# waiting


def test_a_parked_step_is_taken_up_again_when_any_step_is_done(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running.time, "sleep", lambda seconds: pytest.fail("slept although its own work was left"))
    tries: Counter[tuple[int, int]] = Counter()

    def outcome(job: Job) -> Outcome:
        tries[job.at, job.step] += 1
        held = job.at == 0 and tries[1, 1] == 0  # until the second cell has trained
        return Waiting("victims/held") if held else Done()

    assert run(FakeExecutor(outcome)).done in ([1, 0, 2], [1, 2, 0])
    assert tries[0, 0] <= 4


def test_a_step_that_waits_for_an_artifact_is_not_tried_before_it_is_there(run: Callable, tmp_path: Path) -> None:
    target, tries = tmp_path / "train" / "0123", Counter[tuple[int, int]]()

    def outcome(job: Job) -> Outcome:
        tries[job.at, job.step] += 1
        if (job.at, job.step) == (1, 3):
            target.mkdir(parents=True)
            (target / "manifest.json").write_text("{}")
        return Waiting(str(target)) if job.at == 0 and not target.exists() else Done()

    run(FakeExecutor(outcome))
    assert tries[0, 0] == 2


def test_an_idle_slot_takes_up_a_step_as_soon_as_its_artifact_is_there(planned: running.Plan, tmp_path: Path) -> None:
    target, taken_up, ended = tmp_path / "inverter" / "0123", threading.Event(), list[bool]()

    def outcome(job: Job) -> Outcome:
        if (job.at, job.step) == (0, 0):
            target.mkdir(parents=True)
            threading.Timer(0.2, (target / "manifest.json").write_text, ("{}",)).start()
            ended.append(taken_up.wait(20))  # the theft goes on when its inverter is trained
        elif (job.at, job.step) == (1, 0):
            if not (target / "manifest.json").exists():
                return Waiting(str(target))
            taken_up.set()
        return Done()

    slots = [frozenset[Need]({"cpu", "gpu", "network"})] * 2
    two = running.Plan(planned.cells, [0, 1])
    running.run(two, Store(tmp_path), ThreadedExecutor(outcome, slots), Watcher())
    assert ended == [True]


def test_a_run_that_waits_for_another_sleeps(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    tries: Counter[int] = Counter()

    def outcome(job: Job) -> Outcome:
        tries[job.at] += 1
        return Done() if len(slept) >= 3 else Waiting("elsewhere")

    monkeypatch.setattr(running.time, "sleep", slept.append)
    assert sorted(run(FakeExecutor(outcome)).done) == [0, 1, 2]
    assert slept == [running.PATIENCE] * 3
    assert max(tries.values()) == 3 + 5  # once before each sleep, and then its five steps


def test_a_cell_held_elsewhere_is_busy(tiny_copy: Any) -> None:
    cell, store = cells(load_suite(str(tiny_copy.suite)))[0], Store(tiny_copy.out / "store")
    folder = store.path("record", cell_spec(cell))
    shutil.rmtree(folder)
    context = StoredCell(cell, store)
    with FileLock(f"{folder}.lock"), pytest.raises(Busy):
        context.ensure(RecordStage(context))


def test_the_user_is_told_what_workers_notice_of_the_store(run: Callable[..., Watcher]) -> None:
    watcher = run(FakeExecutor(lambda job: Done((f"cell {job.at}",)) if job.step == 2 else Done()))
    assert sorted(watcher.lines) == ["cell 0", "cell 1", "cell 2"]


@pytest.mark.parametrize("error", [None, Busy("elsewhere"), HeistError("bad file"), KeyError("x")])
def test_what_a_step_notices_of_the_store_is_part_of_its_outcome(
    planned: running.Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException | None
) -> None:
    def work(context: StoredCell) -> None:
        context.store.notice("something is damaged")
        if error:
            raise error

    monkeypatch.setattr("heistbench.bench.runs.worker.steps", lambda cell: [Step("collect", "gpu", work)])
    assert run_job(Job(0, planned.cells[0], 0, {}), Conditions(tmp_path), quietly).notices == ("something is damaged",)


# failing


@pytest.mark.parametrize(
    ("failed", "message"),
    [
        (Failed("bad file"), "bad file$"),
        (Failed("KeyError: 'x'", "", "/store/log/worker-1.log"), r"KeyError: 'x' \(traceback in /store/log/worker-1\.log\)$"),
    ],
)
def test_the_first_failure_ends_a_run_that_asks_for_it(
    planned: running.Plan, run: Callable, failed: Failed, message: str
) -> None:
    executor = FakeExecutor(lambda job: failed if job.at == 1 else Done())
    with pytest.raises(HeistError, match=f"^cell {planned.cells[1].attack} x none, seed 0: {message}"):
        run(executor, running.Limits(fail_fast=True))
    assert executor.closed


@pytest.mark.parametrize("step", range(5))
def test_a_cell_that_fails_fails_alone(run: Callable, step: int) -> None:
    executor = FakeExecutor(lambda job: Failed("bad file") if (job.at, job.step) == (1, step) else Done())
    watcher = run(executor)
    assert watcher.done == [0, 2]
    name = ["collect", "train", "examine", "ask plainly", "record"][step]
    assert watcher.failures == [(1, name, "bad file")]
    assert [job.step for _, job in executor.jobs if job.at == 1] == list(range(step + 1))
    assert executor.closed


def test_what_waited_for_a_failed_step_is_tried_again(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running.time, "sleep", lambda seconds: pytest.fail("slept although its own work was left"))
    ended = list[int]()

    def outcome(job: Job) -> Outcome:
        if job.at == 1:
            ended.append(1)
            return Failed("it held what the first cell needs")
        return Done() if ended else Waiting("train/of-the-second-cell")

    watcher = run(FakeExecutor(outcome))
    assert sorted(watcher.done) == [0, 2]


def test_a_step_that_no_slot_can_run_fails(remote_cells: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "PATIENCE", 0.0)
    watcher = Watcher()
    executor = FakeExecutor(lambda job: Done(), [frozenset({"network", "cpu"})])
    running.run(running.Plan(remote_cells, [0, 1]), Store(tmp_path), executor, watcher)
    assert sorted(watcher.failures) == [(at, "train", "its step train needs gpu, which no worker has") for at in (0, 1)]


class Hanging(FakeExecutor):
    """Some jobs end only when they are ended."""

    def __init__(self, hangs: Callable[[Job], bool]) -> None:
        super().__init__(lambda job: Done(), [ANYTHING, ANYTHING])
        self.hangs, self.futures = hangs, dict[int, Future[Outcome]]()

    def submit(self, slot: int, job: Job) -> Future[Outcome]:
        if not self.hangs(job):
            return super().submit(slot, job)
        self.futures[slot] = Future()
        return self.futures[slot]

    def end(self, slot: int, reason: str) -> None:
        if not self.futures[slot].done():
            self.futures[slot].set_result(Failed(reason))


def test_a_cell_that_takes_too_long_is_ended(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LOOK", 0.01)
    watcher = run(Hanging(lambda job: job.at == 1 and job.step == 2), running.Limits(cell_seconds=0.2))
    assert sorted(watcher.done) == [0, 2]
    assert watcher.failures == [(1, "examine", "it ran for more than 0.00333333 min")]


def test_a_run_ends_when_its_time_is_over(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LOOK", 0.01)
    executor = Hanging(lambda job: job.at == 1)
    watcher = run(executor, running.Limits(run_seconds=0.2))
    assert sorted(watcher.done) == [0, 2]
    assert watcher.failures == []
    assert executor.closed


@pytest.mark.parametrize(("seconds", "done"), [(1e-9, [0]), (3600.0, [0, 1, 2]), (None, [0, 1, 2])])
def test_after_a_while_no_cell_is_begun_and_those_that_were_are_finished(
    run: Callable, seconds: float | None, done: list[int]
) -> None:
    executor = FakeExecutor(lambda job: Done())
    watcher = run(executor, running.Limits(begin_seconds=seconds))
    assert watcher.done == done
    assert watcher.failures == []
    assert executor.closed


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Busy("elsewhere"), Waiting("elsewhere")),
        (HeistError("bad file"), Failed("bad file")),
        (KeyError("x"), Failed("KeyError: 'x'", log="log")),
        (MemoryError("no room"), Failed("MemoryError: no room", log="log")),
        (SystemExit(0), Failed("it called sys.exit(0)", log="log")),
        (RuntimeError("key KEY-7c1e-planted"), Failed("RuntimeError: key [key]", log="log")),
    ],
)
def test_whatever_a_step_raises_is_its_outcome(
    planned: running.Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, outcome: Outcome
) -> None:
    def fail(context: object) -> None:
        raise error

    monkeypatch.setenv("SOME_API_KEY", "KEY-7c1e-planted")
    monkeypatch.setattr("heistbench.bench.runs.worker.steps", lambda cell: [Step("collect", "gpu", fail)])
    ended = run_job(Job(0, planned.cells[0], 0, {}), Conditions(tmp_path), quietly)
    if isinstance(outcome, Failed) and outcome.log:
        assert isinstance(ended, Failed)
        assert ended.reason == outcome.reason
        assert ended.details.startswith("Traceback")
        assert "KEY-7c1e" not in ended.details
        log = Path(ended.log)
        assert log.is_relative_to(tmp_path)
        assert log.read_text().startswith("Traceback")
    else:
        assert ended == outcome


def test_only_ctrl_c_passes_through(planned: running.Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(context: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("heistbench.bench.runs.worker.steps", lambda cell: [Step("collect", "gpu", stop)])
    with pytest.raises(KeyboardInterrupt):
        run_job(Job(0, planned.cells[0], 0, {}), Conditions(tmp_path), quietly)


# plans


def test_a_plan_knows_what_is_missing(tiny_run: Any, tmp_path: Path) -> None:
    every = cells(load_suite(str(tiny_run.suite)))
    fresh, done = running.plan(every, Store(tmp_path)), running.plan(every, Store(tiny_run.out / "store"))
    assert (fresh.missing, fresh.work) == (list(range(20)), every)
    assert (done.missing, done.work) == ([], [])
    (lacking,) = (cell for cell in every if cell.attack == "untrained")
    assert running.Plan(every, [every.index(lacking)]).work == [lacking]
