"""A process that asks a victim behind an API, through its ledger: `python -m servers.asker URL FOLDER N CONNECTIONS [BEGAN]`.

BEGAN is when its run began; default: now.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heistbench.bench.contracts.nouns import Prompt, Reply
from heistbench.bench.models import asking
from heistbench.bench.models.provider_engine import InspectEngine
from heistbench.bench.stages.budget import Budget
from heistbench.bench.stages.victim import VictimModel
from heistbench.bench.storage.store import Store
from heistbench.bench.suites.settings import Api, Victim

MODEL = "openai-api/heist/victim"


def unsummarized(traces: Sequence[str]) -> list[str | None]:
    """This provider shows no summaries."""
    return [None] * len(traces)


def victim(url: str, folder: Path, budget: Budget, **settings: Any) -> VictimModel:
    """The victim whose server is at `url`, with its ledger in `folder`."""
    api = Api(base_url=url, shows="trace", **settings)
    model = Victim(model=f"inspect:{MODEL}", api=api)
    return VictimModel(model, MODEL, lambda breaker: InspectEngine(MODEL, api, breaker), unsummarized, Store(folder), budget)


def ask(url: str, folder: Path, n: int, connections: int, began: float | None = None, **settings: Any) -> list[Reply]:
    """The replies to the questions 0 to n-1."""
    budget = Budget(began=time.time() if began is None else began)
    return victim(url, folder, budget, connections=connections, **settings).reply(
        [(Prompt.of(f"question {at}"), 0) for at in range(n)]
    )


if __name__ == "__main__":
    asking.FIRST_WAIT = 0.1
    url, folder, n, connections, *began = sys.argv[1:]
    print(len(ask(url, Path(folder), int(n), int(connections), *map(float, began))))
