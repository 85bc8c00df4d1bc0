"""Models that somebody made: safetensors and nothing else, and no code that lies beside them.

Weights in `.bin`, `.pt`, `.pth` or `.ckpt` files are pickles, and to read a pickle can run anything. A configuration can name
code too: classes beside it, kernels on a hub, weights elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from heistbench.bench.contracts.errors import HeistError, one_line
from heistbench.bench.storage.regular_files import read_regular

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
ADAPTER = "adapter_config.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
MOST = 64 * 2**20
"""Bytes of an index or a configuration: the index of the largest models has some 10 MB."""
HARMLESS = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]
"""Files of a repository that are downloaded: weights, and what configures model and tokenizer."""
LEFT_OUT = ["*/*", "consolidated*"]
"""Those of them that no engine here reads: other formats of the same weights."""


def downloaded(repository: str, revision: str) -> Path:
    """The folder with a hub repository's harmless files. Raises HeistError where it cannot be obtained."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=HARMLESS, ignore_patterns=LEFT_OUT))
    except Exception as error:  # the hub's client has a dozen kinds, and passes on those of the network
        raise HeistError(f"model {repository}@{revision}: cannot be downloaded: {one_line(error)}") from error


def check_folder(folder: Path) -> None:
    """Raise HeistError for weights that are no safetensors, and for a configuration that leads to code or elsewhere."""
    if problem := next(_problems(folder), None):
        raise HeistError(f"model {folder}: {one_line(problem)}")


@contextmanager
def loading(model: str) -> Iterator[None]:
    """Turn what libraries raise over a model's files into one line; too little memory is for the caller to explain."""
    import torch

    try:
        yield
    except (HeistError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # of files that anybody wrote, read by code that nobody here did
        raise HeistError(f"model {model}: cannot be loaded: {one_line(error)}") from error


def _problems(folder: Path) -> Iterator[str]:
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        yield f"cannot be read ({error.strerror})"
        return
    pickles = [name for name in names if name.endswith(PICKLES)]
    if ADAPTER in names:
        yield f"has an adapter ({ADAPTER}); expected a model that it is merged into"
    if WEIGHTS not in names and INDEX not in names:
        instead = f" instead of {pickles[0]}, a pickle, which can run code when it is read" if pickles else ""
        yield f"expected {WEIGHTS}{instead}"
    for name, check in ((CONFIG, _leads_to_code), (INDEX, _leads_elsewhere)):
        if name in names:
            yield from (f"{name}: {problem}" for problem in _checked(folder / name, check))


def _checked(file: Path, check: Callable[[Any], Iterator[str]]) -> Iterator[str]:
    try:
        facts = from_json(read_regular(file.resolve(), MOST))  # a hub's client links files to where it keeps their content
    except ValueError as error:
        yield str(error)
    else:
        yield from check(facts)


def _leads_elsewhere(index: Any) -> Iterator[str]:
    files = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(files, dict):
        yield "expected weight_map, with the file of each weight"
        return
    for file in files.values():
        if not isinstance(file, str) or not file.endswith(".safetensors") or Path(file).name != file:
            yield f"weight_map names {file!r}; expected *.safetensors in the same folder"


def _leads_to_code(config: Any) -> Iterator[str]:
    """What transformers would fetch because a configuration says so, `trust_remote_code` or not."""
    for name, value in _fields(config):
        if name == "transformers_weights" and value is not None:
            yield f"{name} names other weights than {WEIGHTS}"
        if name.endswith("_implementation") and any("/" in text for text in _texts(value)):
            yield f"{name} names a kernel on a hub, which is code"


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Every field of an object, and of all objects in it."""
    if isinstance(value, dict):
        yield from value.items()
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _fields(inner)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    yield from (text for _, inner in _fields(value) for text in ([inner] if isinstance(inner, str) else []))
