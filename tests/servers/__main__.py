"""The server as a process: `python -m servers` in `tests` says its URL and serves until it is killed; GET gives the counts.

Its model thinks the prompt's words again and answers with their number.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import get_args

from servers.dialects import Form, Query, Said
from servers.faults import Faults
from servers.server import Server


async def serve(options: argparse.Namespace) -> None:
    """Serve for ever."""

    def says(asked: Query) -> Said:
        words = asked.prompt.split()
        return Said(f"The answer is {len(words)}.", trace=" ".join(words), form=options.form)

    server = Server(says, Faults(options.rate, seed=options.seed, hang=options.hang))
    listening = await server.listen(options.port)
    print(server.url, flush=True)
    await listening.serve_forever()


parser = argparse.ArgumentParser(prog="servers", description=__doc__)
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--form", choices=get_args(Form), default="reasoning")
parser.add_argument("--rate", type=float, default=0.0, help="share of requests that fail")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--hang", type=float, default=5.0, help="seconds of silence")
asyncio.run(serve(parser.parse_args()))
