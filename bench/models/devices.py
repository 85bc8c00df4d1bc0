"""The GPUs of this machine, and which worker process has which: each works with one model on one device."""

from __future__ import annotations

import os
import shutil
from multiprocessing.context import SpawnContext
from typing import Any

VISIBLE = "CUDA_VISIBLE_DEVICES"


def gpus() -> list[str]:
    """The GPUs this process may use, as CUDA_VISIBLE_DEVICES names them; none on most machines."""
    if VISIBLE in os.environ:
        return [name for name in os.environ[VISIBLE].split(",") if name.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    import torch

    return list(map(str, range(torch.cuda.device_count())))


def default_jobs() -> int:
    """One process a GPU, or one a core where there is none."""
    return len(gpus()) or os.cpu_count() or 1


def deal(context: SpawnContext, jobs: int) -> Any:
    """A queue from which each of `jobs` workers takes the GPU it is to use; empty texts where there is none."""
    devices: Any = context.Queue()
    names = gpus() or [""]
    for at in range(jobs):
        devices.put(names[at % len(names)])
    return devices


def take(devices: Any) -> None:
    """Use the next GPU of the queue and no other."""
    if name := devices.get():
        os.environ[VISIBLE] = name
