"""A model behind an API, for tests: an OpenAI-compatible server on this machine that says what a test wants it to, or fails.

`with Server(model) as server:` runs it in a thread; `python -m servers` (in `tests`) as a process, see `__main__`.
"""

from servers.dialects import Query, Said, Says
from servers.faults import KINDS, Faults
from servers.server import Server

__all__ = ["KINDS", "Faults", "Query", "Said", "Says", "Server"]
