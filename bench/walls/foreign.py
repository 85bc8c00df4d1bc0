"""Attacks that are not ours: a confined process imports and describes them, and the harness never does.

So nothing that an attack's file does, at its top level or anywhere else, runs beside the truth, the graders, the store and the
keys. Defenses and tasks see the truth by nature: a plugin file in whose text a class is decorated by `@defense` or `@task` is
part of the harness, and is imported with the attacks that stand in it. Whoever is handed such a file should read it first.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from heistbench.bench.contracts.described import Built, DescribedAttack, Description, stand_in
from heistbench.bench.contracts.errors import HeistError, one_line
from heistbench.bench.contracts.failures import append_to
from heistbench.bench.contracts.places import foreign_points, nearby
from heistbench.bench.contracts.registry import LARGEST, check_file, load_plugin, module_of, registry, warned
from heistbench.bench.contracts.sources import code_digest
from heistbench.bench.walls.confined import Confined, OrderFailed, home_of, own_files
from heistbench.bench.walls.confinement import strongest
from heistbench.bench.walls.line import (
    BUILD,
    BUILT,
    DESCRIBE,
    HOLDINGS,
    HOME,
    PLAN,
    REFUSAL,
    TROUBLE,
    Frame,
    Home,
    Message,
    Plan,
    Trouble,
)

T = TypeVar("T")
SECONDS = 60.0
"""The time that an attack's file may take to be imported, and the attack to be built."""
LONGEST = 2**20
"""Bytes of a description."""


@dataclass(frozen=True, slots=True)
class ForeignAttack:
    """An attack that is not ours, and what became of it where it was built: a `Builder` that other processes can be given."""

    home: Home
    description: Description
    digest: str
    built: dict[str, Built] = field(default_factory=dict)

    def __call__(self, arguments: str, where: str) -> Built:
        """See `Builder`."""
        if arguments not in self.built:
            plan = Plan(self.home, self.description.info.name, arguments, where)
            try:
                self.built[arguments] = _ordered(self.home, Frame(BUILD, PLAN.write(plan)), BUILT)
            except OrderFailed as failed:
                raise _explained(failed, f"{where}: ") from failed
        return self.built[arguments]


def load_plugins(files: Iterable[Path]) -> tuple[Path, ...]:
    """Make the plugins of some files known: attacks by their description. Returns the files that were imported.

    Raises HeistError for a file that is none, fails on import, or declares what no plugin may.
    """
    imported = []
    for file in files:
        check_file(file)
        if _is_harness(file):
            load_plugin(file)
            imported.append(file)
        else:
            _describe(home_of(module_of(file), str(file.resolve())), f"--plugin {file}")
    return tuple(imported)


def find_packages() -> None:
    """Make the attacks of installed packages known, by their description; a broken package only warns."""
    for point in foreign_points("attack"):
        with warned():
            _describe(home_of(point.module), f"plugin {point.name} ({point.value})")


def known() -> tuple[ForeignAttack, ...]:
    """The attacks that are described here, for other processes to `know`."""
    builders = [cls.__builder__ for cls in registry.loaded() if issubclass(cls, DescribedAttack)]
    return tuple(builder for builder in builders if isinstance(builder, ForeignAttack))


def know(attacks: Sequence[ForeignAttack]) -> None:
    """Register stand-ins of these attacks. Raises HeistError for one that is none, or whose name another plugin has."""
    registry.all("attack")  # ours come first, so that none can be replaced
    for attack in attacks:
        cls = stand_in(attack.description, attack.home.module, attack.digest, attack)
        registry.add(cls.info, cls)


def _is_harness(file: Path) -> bool:
    """Whether a defense or a task is declared in the text of a file. Nothing is run to find out."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False  # its import will say what is wrong
    classes = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    return any(_called(decorator) in ("defense", "task") for cls in classes for decorator in cls.decorator_list)


def _called(decorator: ast.expr) -> str:
    """The name of what a decorator calls."""
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(function).rpartition(".")[2]


def _describe(home: Home, what: str) -> None:
    """Have the attacks of a home described, and register them."""
    try:
        holdings = _ordered(home, Frame(DESCRIBE, HOME.write(home)), HOLDINGS)
    except OrderFailed as failed:
        raise _explained(failed, f"{what}: ", "raises on import: ") from failed
    others = holdings.others if home.file else []  # those of a package come through their own entry points
    if others or not holdings.attacks:
        tail = ", and no class in its text is decorated by @defense or @task" if home.file else ""
        raise HeistError(one_line(f"{what}: holds {next(iter(others), 'no attack')}{tail}"))
    know([_foreign(home, description, what) for description in holdings.attacks])


def _foreign(home: Home, description: Description, what: str) -> ForeignAttack:
    file = Path(home.file or description.file)
    if not _is_own(home, file):
        raise HeistError(one_line(f"{what}: {file}: is no file of its own of at most {LARGEST // 1024} KiB"))
    return ForeignAttack(home, replace(description, file=str(file.resolve())), _digest(file))


def _is_own(home: Home, file: Path) -> bool:
    """Whether the harness, which reads it, believes that an attack of this home is written in a file."""
    try:
        inside = any(file.resolve().is_relative_to(own.resolve()) for own in own_files(home))
        return inside and file.is_file() and file.stat().st_size <= LARGEST
    except (OSError, ValueError):
        return False


def _digest(file: Path) -> str:
    """What `code_of` says of a file. Raises HeistError for one that cannot be read as Python."""
    try:
        return code_digest(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise HeistError(one_line(f"{file}: cannot be read as Python: {error}")) from None


def _ordered(home: Home, order: Frame, result: Message[T]) -> T:
    """What an order ends with, in a process of its own."""
    with Confined(home, strongest()) as process:
        return process.carry_out(order, result, _refused, SECONDS, LONGEST)


def _refused(verb: str, body: bytes) -> Frame:
    """The answer to calls, which an attack may make only while it steals."""
    return Frame(REFUSAL, TROUBLE.write(Trouble(PermissionError.__name__, "nobody is there to ask")))


def _explained(failed: OrderFailed, who: str, raised: str = "") -> HeistError:
    """A failed order as one line: mistakes in declarations are one already."""
    if failed.kind == HeistError.__name__:
        return HeistError(failed.reason)
    log = append_to(None, failed.details) if failed.details else None
    reason = f"{raised}{nearby(failed.reason)}" if failed.kind else failed.reason
    return HeistError(one_line(f"{who}{reason}") + (f" (traceback: {log})" if log else ""))
