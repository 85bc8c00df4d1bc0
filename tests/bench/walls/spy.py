"""An attack that tries every way to what it should not have, and brings home what it got. Loaded by `test_spy.py` as a plugin."""

import ctypes
import gc
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from heistbench.bench import Attack, Prompt, Stolen, attack

MARKS = ("-DLOG", "-ECART", "e1c7-YEK")
"""Of what must not be had, backwards, so that the spy does not find itself."""


def marked(things: Iterable[object]) -> list[str]:
    """The texts of these things that hold a mark."""
    return [text for text in map(repr, things) if any(mark[::-1] in text for mark in MARKS)][:5]


def from_frames(about: dict) -> object:
    frame, seen = sys._getframe(), []
    while frame:
        seen.append(frame.f_locals)
        frame = frame.f_back
    return marked(seen)


def from_threads(about: dict) -> object:
    return marked([*(frame.f_locals for frame in sys._current_frames().values()), *threading.enumerate()])


def from_memory(about: dict) -> object:
    return marked(gc.get_objects())


def from_registry(about: dict) -> object:
    from heistbench.bench.contracts.registry import registry

    return [problem.gold for problem in registry.build("task", "pocket").problems("query", 2)]


def from_the_tasks_file(about: dict) -> object:
    from heistbench.bench.contracts.registry import load_plugin, registry

    load_plugin(Path(about["world"]))
    return [problem.gold for problem in registry.build("task", "marked", search=False).problems("query", 2)]


def from_the_store(about: dict) -> object:
    return [path.read_text(errors="replace") for path in Path(about["store"]).rglob("*") if path.is_file()]


def from_a_file(about: dict) -> object:
    return Path(about["file"]).read_text()


def into_a_file(about: dict) -> object:
    Path(about["file"] + ".written").write_text("here I was")
    return "written"


def into_the_harness(about: dict) -> object:
    import heistbench.bench.walls.thief as module

    with Path(module.__file__).open("a") as file:
        return file.name


def from_open_files(about: dict) -> object:
    links = Path("/proc/self/fd").iterdir()
    return [str(link.readlink()) for link in links if link.exists() and about["store"] in str(link.readlink())]


def from_the_environment(about: dict) -> object:
    return marked(os.environ.values())


def from_the_parents_environment(about: dict) -> object:
    return Path(f"/proc/{about['pid']}/environ").read_text()[:100]


def from_the_parents_memory(about: dict) -> object:
    with Path(f"/proc/{about['pid']}/mem").open("rb") as memory:
        start = int(Path(f"/proc/{about['pid']}/maps").read_text().split("-")[0], 16)
        memory.seek(start)
        return memory.read(4).hex()


def by_tracing(about: dict) -> object:
    return ctypes.CDLL(None).ptrace(0x4206, about["pid"], 0, 0) == 0  # PTRACE_SEIZE, which does not stop it


def by_signal(about: dict) -> object:
    os.kill(about["pid"], 0)
    return "it could be killed"


def by_socket(about: dict) -> object:
    with socket.create_connection(("127.0.0.1", about["port"]), timeout=2) as line:
        return line.recv(100).decode()


def by_unix_socket(about: dict) -> object:
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(2)
        line.connect(f"\0heist-spy-{about['pid']}")
        return line.recv(100).decode()


def by_lifting_its_limits(about: dict) -> object:
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return before != resource.getrlimit(resource.RLIMIT_AS)


WAYS: dict[str, Callable[[dict], object]] = {
    name.replace("_", " "): way for name, way in list(globals().items()) if name.startswith(("from_", "into_", "by_"))
}


def verbs(target: object, kit: object, questions: list) -> object:
    from heistbench.bench.walls.line import receive, send

    line, got = target._line._connection, []
    for verb in ("truth_gold", "truth_replies", "sealed", "bill", "_context", "_problems", "_budget", "__dict__"):
        send(line, verb, json.dumps([[q.id for q in questions]]).encode())
        word, body = receive(line)
        got += [body.decode()] if word != "refusal" else []
    return got


def budget(target: object, kit: object, questions: list) -> object:
    for holder in (target, target._line, kit):
        for name in ("budget", "_budget", "bill"):
            try:
                setattr(holder, name, 10**9)
            except AttributeError:
                continue
    target.ask([Prompt.of(q.text) for q in questions])
    return len(target.ask([Prompt.of("one more")]))


def grader(about: dict) -> object:
    """Replace whatever grades in this process."""
    from heistbench.bench import Grade, Task
    from heistbench.bench.contracts import checked

    Task.grade_all = lambda self, problems, answers: [Grade.of(True) for _ in answers]
    checked.check_grade = lambda task, grade: Grade.of(True)
    return []


@attack("spy", version="1-A")
class Spy(Attack):
    about: str = "{}"

    def steal(self, target, questions, kit):
        about, got = json.loads(self.about), {}
        tries = {name: (lambda way=way: way(about)) for name, way in WAYS.items()}
        tries["pipe verbs"] = lambda: verbs(target, kit, questions)
        tries["budget"] = lambda: budget(target, kit, questions)
        tries["grader"] = lambda: grader(about)
        for name, attempt in tries.items():
            try:
                got[name] = attempt()
            except BaseException as error:
                got[name + "!"] = f"{type(error).__name__}: {error}"
        return [Stolen(questions[0].id, "", None, json.dumps(got, default=repr))]
