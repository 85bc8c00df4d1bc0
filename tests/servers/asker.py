"""A process that asks a victim behind an API, through its ledger: `python -m servers.asker URL FOLDER N CONNECTIONS`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from heistbench.bench.contracts.nouns import Prompt, Reply
from heistbench.bench.models.provider_engine import InspectEngine
from heistbench.bench.stages.victim import VictimModel
from heistbench.bench.storage.store import Store
from heistbench.bench.suites.settings import Api, Victim

MODEL = "openai-api/heist/victim"


def unsummarized(traces: Sequence[str]) -> list[str | None]:
    """This provider shows no summaries."""
    return [None] * len(traces)


def victim(url: str, folder: Path, connections: int) -> VictimModel:
    """The victim whose server is at `url`, with its ledger in `folder`."""
    api = Api(base_url=url, shows="trace", connections=connections)
    settings = Victim(model=f"inspect:{MODEL}", api=api)
    return VictimModel(settings, MODEL, lambda: InspectEngine(MODEL, api), unsummarized, Store(folder))


def ask(url: str, folder: Path, n: int, connections: int) -> list[Reply]:
    """The replies to the questions 0 to n-1."""
    return victim(url, folder, connections).reply([(Prompt.of(f"question {at}"), 0) for at in range(n)])


if __name__ == "__main__":
    print(len(ask(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))
