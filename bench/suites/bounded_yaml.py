"""YAML from anywhere, read within bounds: its size, its depth and what its aliases unfold to are known before it is built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from heistbench.bench.contracts.errors import HeistError, one_line

BYTES = 1 << 16
"""Of a file."""
DEPTH = 40
"""Lists and mappings within each other, aliases unfolded."""
VALUES = 10_000
"""Keys, values, lists and mappings in all, aliases unfolded."""


@dataclass(frozen=True, slots=True)
class Document:
    """The value that a file holds, and the lines of its parts."""

    value: Any
    root: yaml.Node | None

    def line(self, location: tuple[int | str, ...]) -> int:
        """The line of the deepest part of a path of keys and places that the file holds."""
        node: Any = self.root
        line = 1
        for step in location:
            if isinstance(node, yaml.MappingNode):
                pairs = {key.value: (key, value) for key, value in node.value}
                if step not in pairs:
                    break
                key, node = pairs[str(step)]
                line = key.start_mark.line + 1
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line + 1
            else:
                break
        return line


def read_yaml(path: Path) -> Document:
    """Read a YAML file. Raises HeistError that names file and line for what is too large, no YAML, or has a key twice."""
    text = _text(path)
    try:
        _check_events(text)
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        for key in _repeated(root):
            raise HeistError(f"line {key.start_mark.line + 1}: {key.value!r} stands twice in one mapping")
        return Document(loader.construct_document(root) if root else None, root)
    except HeistError as error:
        raise HeistError(f"{path}, {error}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # numbers and dates that are none raise plain ValueErrors
        raise HeistError(f"{path}: not YAML: {one_line(error)}") from None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(BYTES + 1)
        if len(content) > BYTES:
            raise HeistError(f"{path}: is larger than {BYTES // 1024} KiB")
        return content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HeistError(f"{path}: cannot be read ({error})") from None


@dataclass(slots=True)
class _Extent:
    """The size of an open list or mapping so far: values in all, and their depth. `anchor` is the name that aliases use."""

    anchor: str | None
    values: int = 1
    depth: int = 1


@dataclass(slots=True)
class _Bounds:
    """Adds up events as they come; nothing is built."""

    open: list[_Extent] = field(default_factory=list)
    anchors: dict[str, _Extent] = field(default_factory=dict)

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.CollectionStartEvent):
            self.open.append(_Extent(event.anchor))
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close(self.open.pop())
        elif isinstance(event, yaml.ScalarEvent):
            self._close(_Extent(event.anchor, depth=0))
        elif isinstance(event, yaml.AliasEvent):
            if any(extent.anchor == event.anchor for extent in self.open):
                raise HeistError(f"alias *{event.anchor} stands within what it names")
            self._close(self.anchors.get(event.anchor or "", _Extent(None, depth=0)))
        if len(self.open) > DEPTH:
            raise HeistError(f"lists and mappings are nested more than {DEPTH} deep")

    def _close(self, extent: _Extent) -> None:
        if extent.anchor:
            self.anchors[extent.anchor] = extent
        if self.open:
            self.open[-1].values += extent.values
            self.open[-1].depth = max(self.open[-1].depth, extent.depth + 1)
        if len(self.open) + extent.depth > DEPTH:
            raise HeistError(f"lists and mappings are nested more than {DEPTH} deep")
        if sum(part.values for part in self.open) > VALUES:
            raise HeistError(f"holds more than {VALUES} values, aliases unfolded")


def _check_events(text: str) -> None:
    bounds = _Bounds()
    for event in yaml.parse(text, yaml.SafeLoader):
        try:
            bounds.take(event)
        except HeistError as error:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise HeistError(f"line {line}: {error}") from None


def _repeated(root: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    """The keys that stand a second time in their mapping, in the order of the file."""
    waiting, visited = [root], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in visited or not isinstance(node, yaml.CollectionNode):
            continue
        visited.add(id(node))
        if isinstance(node, yaml.MappingNode):
            keys = set[tuple[str, str]]()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in keys:
                    yield key
                keys.add((key.tag, str(key.value)))
            waiting.extend(value for _, value in reversed(node.value))
        else:
            waiting.extend(reversed(node.value))
