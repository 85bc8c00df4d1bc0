"""The process that a model runs in: one thread, one GPU if any, no hub traffic, no chatter."""

from __future__ import annotations

import logging
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

VISIBLE = "CUDA_VISIBLE_DEVICES"


def one_thread() -> None:
    """One thread per process: two multi-threaded torch processes on two cores run many times slower than two single ones.

    Must run before torch is imported.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")


def hush() -> None:
    """Silence progress bars and notices of the libraries underneath; errors still show."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for name in ("lm_eval", "lm-eval", "datasets", "accelerate"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # TRL turns checkpointing on under its old name; the new one is unknown to older transformers.
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing.* is deprecated")


@contextmanager
def stderr_to(file: int) -> Iterator[None]:
    """Send what this process and its children write to stderr into an open file."""
    kept = os.dup(2)
    os.dup2(file, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def no_exit() -> Iterator[None]:
    """Make `os._exit` raise SystemExit: whatever a plugin or library calls, this process ends by its own rules."""

    def refuse(code: int = 0) -> None:
        if os.getpid() != process:  # a forked child ends as it likes
            leave(code)
        raise SystemExit(code)

    leave, process = os._exit, os.getpid()
    os._exit = refuse  # type: ignore[assignment]
    try:
        yield
    finally:
        os._exit = leave


def held(process: int) -> float:
    """GiB of memory that a process holds, with those that it has started; 0 for one that is gone."""
    import psutil

    total = 0
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process)
        for each in (parent, *parent.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += each.memory_info().rss
    return total / 2**30


def gpus() -> list[str]:
    """The GPUs this process may use, as CUDA_VISIBLE_DEVICES names them; none on most machines."""
    if VISIBLE in os.environ:
        return [name for name in os.environ[VISIBLE].split(",") if name.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    import torch

    return list(map(str, range(torch.cuda.device_count())))


def use_gpu(name: str) -> None:
    """Use one GPU and no other; an empty name changes nothing. Must run before torch is imported."""
    if name:
        os.environ[VISIBLE] = name


def default_jobs(share: float = 1.0) -> int:
    """One process per GPU, or per share of one; where there is none, one per core."""
    return int(len(gpus()) / share) or os.cpu_count() or 1
