"""The command line of `heist store`: each verb is a thin function, as in `cli`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from heistbench.bench.cli_leaderboard import Json

store_app = App(name="store", help="What runs keep: artifacts, and the replies of victims.")

Out = Annotated[Path, Parameter(help="The folder that was given to `heist run`.")]


@store_app.command(name="ls")
def list_store(*, out: Out = Path("out"), json: Json = False) -> None:
    """Say what a store holds: artifacts by kind, victims and what they cost, what was set aside, what killed runs left."""
    from heistbench.bench.verbs.store import list_store as show

    show(out, json)


@store_app.command
def verify(
    *,
    out: Out = Path("out"),
    repair: Annotated[bool, Parameter(negative="", help="Set aside what is damaged; accepts the loss of paid replies.")] = False,
    json: Json = False,
) -> None:
    """Check every file and every reply of a store; exit code 1 where something is damaged, and left so."""
    from heistbench.bench.verbs.store import verify_store

    if not verify_store(out, repair, json):
        sys.exit(1)


@store_app.command
def gc(
    *,
    out: Out = Path("out"),
    dry_run: Annotated[bool, Parameter(negative="", help="Say what would be freed, and stop.")] = False,
    json: Json = False,
) -> None:
    """Free what no record needs: artifacts of runs that never ended, leftovers of killed runs, old logs. Replies are kept."""
    from heistbench.bench.verbs.store import free_store

    free_store(out, dry_run, json)
