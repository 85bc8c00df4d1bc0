"""The record: one cell's result, complete enough to judge, compare and run the cell again. `result_files` writes and reads it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from heistbench.bench.storage.blocks import Arm, RecordParts
from heistbench.bench.storage.exams import Exam
from heistbench.bench.storage.invariants import KIND, broken_rules
from heistbench.bench.storage.store import hash_of


class Record(RecordParts):
    """One cell's result."""

    exam: Exam

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        """What follows from other fields is worked out again: neither the harness nor anyone else makes a record that lies."""
        if faults := broken_rules(self, self.exam):
            message = "; ".join(f"{field}: {reason}" for field, reason in faults)
            raise PydanticCustomError(KIND, "{message}", {"message": message, "faults": faults})
        return self

    def path(self) -> Path:
        """Where the record lies under a results folder; reads as a sentence."""
        return path_of(self.arm)


def path_of(arm: Arm) -> Path:
    """Where the record of an arm lies, or would."""
    task = arm.task.spec if arm.exam.spec == arm.task.spec else f"{arm.task.spec}, examined on {arm.exam.spec}"
    parts = [task, f"{arm.victim}-{arm.release}" if arm.release else arm.victim, arm.defense, arm.attack.spec]
    return Path(*map(slug, parts), f"{arm.budget}-queries", slug(arm.student), f"seed-{arm.seed}.json")


def slug(text: str) -> str:
    """Text as one file name: letters, digits and `._=+,()-` stay and a slash becomes a dash.

    Whatever else it holds becomes dashes too, and a hash is added so that no two texts share a name.
    """
    plain = text.replace("/", "-")
    name = re.sub(r"[^A-Za-z0-9._=+,()-]", "-", plain).strip(".") or "-"
    return name if name == plain else f"{name}-{hash_of(text)[:8]}"
