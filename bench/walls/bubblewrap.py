"""The wall of namespaces: bubblewrap starts the process where neither other files nor a network nor other processes are."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from heistbench.bench.walls.confinement import WRITTEN

SYSTEM = (
    *("/usr", "/lib", "/lib64", "/bin", "/sbin", "/nix/store"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives"),
)
"""What programs of the system need; what is not there is left out."""


def obstacle() -> str:
    """See `Wall.obstacle`."""
    if shutil.which("bwrap") is None:
        return "bwrap is not installed (package bubblewrap)"
    tried = subprocess.run(command(["true"], [], []), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return "" if tried.returncode == 0 else (tried.stderr.strip().splitlines() or ["bwrap does not run"])[0]


def command(command: Sequence[str], readable: Sequence[Path], hidden: Sequence[Path]) -> list[str]:
    """See `Wall.command`."""
    seen = [str(path) for path in (*SYSTEM, *readable)]
    binds = [word for path in seen for word in ("--ro-bind-try", path, path)]
    covers = [word for path in hidden if _beneath(path, seen) for word in ("--tmpfs", str(path))]
    room = ["--proc", "/proc", "--dev", "/dev", "--size", str(WRITTEN), "--tmpfs", "/tmp", "--chdir", "/"]
    alone = ["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    return ["bwrap", *alone, *room, *binds, *covers, "--", *command]


def _beneath(path: Path, seen: Sequence[str]) -> bool:
    return path.exists() and any(path.is_relative_to(root) for root in seen)


def enter(readable: Sequence[Path], hidden: Sequence[Path]) -> None:
    """See `Wall.enter`: it stands since the start."""
