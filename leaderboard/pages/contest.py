"""Contests: one task and exam, one victim in all its releases, one student. The site has a page for each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.failures import Failure
from heistbench.bench.storage.records import Record, slug
from heistbench.bench.storage.result_files import RecordReader, result_files
from heistbench.bench.storage.store import hash_of
from heistbench.leaderboard.board.build import Board, build
from heistbench.leaderboard.board.cells import PooledCell
from heistbench.leaderboard.board.measured import all_cells
from heistbench.leaderboard.board.panel import CellKey, Panel, victim_label
from heistbench.leaderboard.compare.releases import History, history_of, natural

LONGEST = 200
"""Characters of a folder's name: file systems end at 255, and a part of the table stands under the same name."""


class ContestName(NamedTuple):
    """What tells contests apart."""

    task: str
    exam: str
    victim: str
    student: str

    @classmethod
    def of(cls, record: Record | Failure) -> ContestName:
        """The contest that a record belongs to, or a cell that failed."""
        arm = record.arm
        return cls(arm.task.spec, arm.exam.spec, arm.victim, arm.student)

    @property
    def folder(self) -> str:
        """The folder of the contest's page."""
        task = self.task if self.exam == self.task else f"{self.task}, examined on {self.exam}"
        name = ",".join(map(slug, (task, self.victim, self.student)))
        return name if len(name) <= LONGEST else f"{name[:LONGEST]}-{hash_of(name)[:8]}"


@dataclass(frozen=True, slots=True)
class Release:
    """One release of the victim; its board has a panel per budget."""

    name: str
    board: Board


@dataclass(frozen=True, slots=True)
class Contest:
    """The results of a contest, newest release first; `arms` holds each cell's records in the order of seeds.

    `pages` says where each cell's page lies in the site: the sentence of its results' paths, without the seed.
    """

    name: ContestName
    releases: tuple[Release, ...]
    history: History | None
    arms: Mapping[CellKey, Sequence[Record]]
    pages: Mapping[CellKey, str]

    @property
    def board(self) -> Board:
        """All releases on one board, the largest budget of each first."""
        boards = [release.board for release in self.releases]
        return Board(
            tuple(panel for board in boards for panel in sorted(board.panels, key=lambda panel: -panel.budget)),
            tuple(sweep for board in boards for sweep in board.sweeps),
        )

    def records(self, panel: Panel, cell: PooledCell) -> Sequence[Record]:
        """The records of a panel's cell."""
        return self.arms[CellKey.of(panel, cell)]

    def page(self, panel: Panel, cell: PooledCell) -> str:
        """The page of a panel's cell."""
        return self.pages[CellKey.of(panel, cell)]


def contest_of(records: Sequence[Record]) -> Contest:
    """The contest of these records, whatever their order.

    Raises HeistError when they belong to several, when records of one panel were not made in the same way, and when two cells
    would share a page.
    """
    if len(names := sorted({ContestName.of(record) for record in records})) > 1:
        raise HeistError(f"two contests share a name in paths: {names[0]} and {names[1]}")
    releases, arms = defaultdict(list), defaultdict(list)
    for record in sorted(records, key=lambda record: record.arm.seed):
        releases[record.arm.release].append(record)
        arms[CellKey(victim_label(record), record.arm.budget, record.arm.attack.spec, record.arm.defense)].append(record)
    newest_first = sorted(releases, key=natural, reverse=True)
    boards = tuple(Release(release, build(releases[release])) for release in newest_first)
    pages = {key: f"cells/{arm[0].path().parent.as_posix()}.html" for key, arm in arms.items()}
    history = history_of(records, [panel for release in boards for panel in release.board.panels])
    contest = Contest(names[0], boards, history, arms, pages)
    for panel, cell in cells(contest):
        if len(contest.records(panel, cell)) != len(cell.seeds):
            raise HeistError(f"{contest.page(panel, cell)}: results of two versions of a task would share this page")
    return contest


def cells(contest: Contest) -> Iterator[tuple[Panel, PooledCell]]:
    """Every cell with its panel."""
    return ((panel, cell) for panel in contest.board.panels for cell in all_cells(panel))


def by_contest(results: Path) -> list[list[Path]]:
    """The result files under a folder, those of each contest together, whatever order the file system lists them in.

    Contests are told apart by the paths of their files and by one record of each release. Raises HeistError when there are none.
    """
    releases: dict[tuple[tuple[str, ...], str], list[Path]] = defaultdict(list)
    for path in result_files(results):
        releases[path.parts[:-5], path.parent.name].append(path)
    contests: dict[ContestName, list[Path]] = defaultdict(list)
    reader = RecordReader()
    for paths in releases.values():
        contests[ContestName.of(read(paths[0], reader))] += paths
    return [contests[name] for name in sorted(contests)]


def read(path: Path, reader: RecordReader) -> Record:
    """One record. Raises HeistError where it is not one, or does not lie where its arm says."""
    record = reader.read(path)
    place = record.path()
    if path.parts[-len(place.parts) :] != place.parts:
        raise HeistError(f"result file {path}: expected it at {place}")
    return record
