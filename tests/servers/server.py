"""The server itself: HTTP/1.1 over asyncio, some thousands of replies a second."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

from servers.dialects import Query, Said, Says, read, write
from servers.faults import Faults

BACKLOG = 1024
FAULTLESS = Faults()


class Server:
    """Counts, for each prompt, the requests that came and the whole 200 replies that left."""

    def __init__(self, says: Says, faults: Faults = FAULTLESS) -> None:
        self.says, self.faults = says, faults
        self.requests: Counter[str] = Counter()
        self.delivered: Counter[str] = Counter()
        self.met: Counter[str] = Counter()
        self.asked: list[Query] = []
        self.most_at_once = 0
        self._now = 0
        self._talks: set[asyncio.Task[Any]] = set()

    # running

    def __enter__(self) -> Self:
        started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        """The base URL, as clients of OpenAI's API take it."""
        return f"http://127.0.0.1:{self.port}/v1"

    def _run(self, started: threading.Event) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(started))

    async def _serve(self, started: threading.Event) -> None:
        self._over = asyncio.Event()
        listening = await self.listen()
        started.set()
        await self._over.wait()
        listening.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def listen(self, port: int = 0) -> asyncio.Server:
        """Start to accept connections in the running loop."""
        listening = await asyncio.start_server(self._talk, "127.0.0.1", port, backlog=BACKLOG)
        self.port: int = listening.sockets[0].getsockname()[1]
        return listening

    # one connection

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk
        self._talks.add(talk)
        try:
            while head := await _head(reader):
                path, headers = head
                raw = await reader.readexactly(int(headers.get("content-length", 0)))
                self._now += 1
                self.most_at_once = max(self.most_at_once, self._now)
                try:
                    open_still = await self._answer(path, headers, raw, writer)
                finally:
                    self._now -= 1
                if not open_still:
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._talks.discard(talk)
            writer.transport.abort()

    async def _answer(self, path: str, headers: Mapping[str, str], raw: bytes, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False when the connection is over."""
        if not raw:
            counts = {"requests": self.requests, "delivered": self.delivered, "met": self.met}
            return await _send(writer, 200, counts)
        body, prompt = read(path, raw)
        asked = Query(prompt, self.requests[prompt], body, headers)
        self.requests[prompt] += 1
        self.asked.append(asked)
        fault = self.faults.draw(prompt, asked.before)
        self.met[fault] += 1
        if fault in ("429", "500"):
            code = "rate_limit_exceeded" if fault == "429" else "server_error"
            return await _send(writer, int(fault), _error("not now", code), {"retry-after": str(self.faults.retry_after)})
        if fault == "hang":
            await asyncio.sleep(self.faults.hang)
            return False
        said = _spoilt(self.says(asked), fault)
        if said.delay:
            await asyncio.sleep(said.delay)
        if said.status != 200:
            return await _send(writer, said.status, _error(said.text, said.code), said.headers)
        reply = write(path, asked, said)
        if fault in ("cut", "truncated"):
            return await _send_half(writer, reply, whole_length=fault == "cut")
        await _send(writer, 200, reply)
        self.delivered[prompt] += 1
        return True


def _spoilt(said: Said, fault: str) -> Said:
    if fault == "empty":
        return replace(said, text="", trace="", summary="", form="nothing", arguments="")
    return replace(said, refusal="I cannot help with that.", arguments="") if fault == "refusal" else said


def _error(message: str, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": code, "code": code}}


async def _head(reader: asyncio.StreamReader) -> tuple[str, Mapping[str, str]] | None:
    """Path and headers of the next request; None when there is none."""
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    pairs = (line.split(":", 1) for line in lines[1:] if line)
    return lines[0].split()[1], {name.lower(): value.strip() for name, value in pairs}


async def _send(writer: asyncio.StreamWriter, status: int, body: object, headers: Mapping[str, str] | None = None) -> bool:
    raw = json.dumps(body).encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(raw)}\r\n{more}\r\n"
    writer.write(head.encode() + raw)
    await writer.drain()
    return True


async def _send_half(writer: asyncio.StreamWriter, body: object, whole_length: bool) -> bool:
    """Half of a body: under a header that promises all of it, or under one that is honest about it."""
    raw = json.dumps(body).encode()
    half = raw[: len(raw) // 2]
    length = len(raw if whole_length else half)
    writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n".encode() + half)
    await writer.drain()
    return not whole_length
