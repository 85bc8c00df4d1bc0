"""What checking a submission finds: faults, each of which refuses it, and what nobody could check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from heistbench.bench.storage.invariants import Rule

FAULTS = 40
"""Problems that are kept of one file."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a record, or a group of them, is refused; `field` is empty where it is about the whole."""

    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unchecked:
    """Something that is only stated, or that this machine lacks the means to check."""

    what: str


Finding = Fault | Unchecked


@dataclass(frozen=True, slots=True)
class LocatedFault:
    """A fault and the file it is in, by its path in the submission; no path where it is about several files."""

    path: str
    field: str
    reason: str


@dataclass
class Verification:
    """The findings about a submission: `problems` refuse it, `unchecked` has to be believed."""

    files: int = 0
    cells: int = 0
    panels: int = 0
    problems: list[LocatedFault] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """True when nothing refuses the submission."""
        return not self.problems

    def note(self, path: str, findings: Iterable[Finding]) -> None:
        """Keep the findings about one file, of its faults the first `FAULTS`: after those nobody reads on."""
        faults = 0
        for finding in findings:
            if isinstance(finding, Unchecked):
                self.unchecked.append(finding.what)
            elif (faults := faults + 1) <= FAULTS:
                self.problems.append(LocatedFault(path, finding.field, finding.reason))

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {"sound": self.sound, **asdict(self)}


def broken(rules: Iterable[Rule]) -> Iterator[Fault]:
    """A fault for each rule that does not hold."""
    return (Fault(where, reason) for holds, where, reason in rules if not holds)
