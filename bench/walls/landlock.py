"""The wall of rules: Landlock lets the process read what it needs and no more, seccomp takes its sockets and signals away.

Through the packages landlock (files) and pyseccomp (system calls), which come along on Linux.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/nix/store", "/etc/ld.so.cache", "/dev/null", "/dev/zero", "/dev/urandom")
FORBIDDEN = (
    *("socket", "connect", "bind", "listen", "io_uring_setup"),
    *("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open", "pidfd_getfd", "pidfd_send_signal"),
    *("ptrace", "process_vm_readv", "process_vm_writev", "setrlimit", "prlimit64", "sched_setaffinity", "setpriority"),
    *("bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key", "shmget", "msgget", "semget", "mq_open"),
)
"""System calls that reach a network, another process, or the bounds of this one."""


def obstacle() -> str:
    """See `Wall.obstacle`."""
    if sys.platform != "linux":
        return "only Linux has Landlock"
    try:
        from landlock import landlock_abi_version
        from pyseccomp import SyscallFilter  # noqa: F401 - finds the system's libseccomp

        landlock_abi_version()
    except ImportError as error:
        return f"{error.name} is not installed"
    except (OSError, RuntimeError) as error:
        return f"this kernel or system has none: {error}"
    return ""


def command(command: Sequence[str], readable: Sequence[Path], hidden: Sequence[Path]) -> list[str]:
    """See `Wall.command`: it is put up from inside."""
    return list(command)


def enter(readable: Sequence[Path], hidden: Sequence[Path]) -> None:
    """See `Wall.enter`. Rules hold for all threads and processes that this one starts, and cannot be taken back."""
    from landlock import FSAccess, Ruleset
    from pyseccomp import ALLOW, ERRNO, SyscallFilter

    rules = Ruleset()
    folder = FSAccess.READ_FILE | FSAccess.READ_DIR | FSAccess.EXECUTE
    for path in _open([*map(Path, SYSTEM), *readable], hidden):
        rules.allow(path, rules=folder if path.is_dir() else FSAccess.READ_FILE)
    rules.apply()
    calls = SyscallFilter(ALLOW)
    for name in FORBIDDEN:
        calls.add_rule(ERRNO(errno.EPERM), name)
    calls.load()


def _open(readable: Sequence[Path], hidden: Sequence[Path]) -> Iterator[Path]:
    """What may be read: a folder with something hidden in it stands for all else that it holds."""
    for path in readable:
        if any(path.is_relative_to(other) for other in hidden) or not path.exists():
            continue
        if any(other.is_relative_to(path) for other in hidden):
            yield from _open(sorted(path.iterdir()), hidden)
        else:
            yield path
