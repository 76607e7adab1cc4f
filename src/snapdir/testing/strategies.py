"""Trees for snapshots, as a hypothesis strategy and as directories on disk."""

from __future__ import annotations

import os
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hypothesis import strategies as st

__all__ = ["OUTSIDE", "DirectoryNode", "FileNode", "HardLinkNode", "LinkNode", "Tree", "build_tree", "names", "trees"]

MAX_NAME_BYTES = 255
MAX_DEPTH = 4
MAX_CYCLE_NAME_BYTES = 20
"""Of directories in a cycle, which are followed up to 40 times: with longer names the paths would pass PATH_MAX."""
OUTSIDE = "{outside}"
"""Begins the target of a link that leaves the tree; ``build_tree`` puts ``<root>.outside`` in its place."""


@dataclass(frozen=True, slots=True)
class FileNode:
    path: str
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class DirectoryNode:
    path: str
    mode: int = 0o755


@dataclass(frozen=True, slots=True)
class LinkNode:
    """A symbolic link; ``target`` is its text, relative to its own directory unless it begins with OUTSIDE or /."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class HardLinkNode:
    """A second name of the file at ``of``."""

    path: str
    of: str


Option = TypeVar("Option")
Node = FileNode | DirectoryNode | LinkNode | HardLinkNode
Tree = tuple[Node, ...]
"""Nodes in an order in which they can be made. Paths are relative to the root, which is not listed."""

ODD_NAMES = [
    "a b",
    " leading",
    "trailing ",
    "é",
    "e\u0301",  # the same letter to the eye, another name
    "tab\there",
    "carriage\rreturn",
    "\x01",
    "\x7f",
    "\u2028",
    "日本語",
    "\U0001f600",
    "...",
    ".hidden",
    "-dash",
    "back\\slash",
    "quote'\"",
    "%41",
    "a+b",
    "a:b",
    "#hash?*[x]",
    "C 644 x 1 .",
    "n" * MAX_NAME_BYTES,
    "é" * (MAX_NAME_BYTES // 2),
]
MODES = [0o644, 0o600, 0o444, 0o400, 0o755, 0o777, 0o4755, 0o2755, 0o1644, 0o7777]
DIRECTORY_MODES = [0o755, 0o700, 0o777, 0o1777, 0o2755]
CONTENTS = [b"", b"\n", b"same", b"same", bytes(range(256)), b"\xff\xfe", b"x" * 5000]


def names() -> st.SearchStrategy[str]:
    """File names that a manifest can hold: no slash, NUL or newline, no CR at the end, at most 255 bytes."""
    characters = st.characters(exclude_characters="/\0\n", exclude_categories=["Cs"])
    free = st.text(characters, min_size=1, max_size=12)
    plain = st.text(string.ascii_lowercase, min_size=1, max_size=3)
    return st.one_of(plain, st.sampled_from(ODD_NAMES), free).filter(_is_name)


def _is_name(name: str) -> bool:
    return name not in (".", "..") and not name.endswith("\r") and len(name.encode()) <= MAX_NAME_BYTES


@st.composite
def trees(draw: st.DrawFn, *, links: bool = True, max_nodes: int = 12) -> Tree:
    """Small trees of everything: odd names, modes with special bits, empty and equal files, all kinds of links.

    The owner can read every file and search every directory, so any user can take a snapshot. Links lead to a file, a
    directory, nothing, themselves, outside, or through another link. At most one leads to a directory it lies in (the
    only cycle), and then none to another directory: the tree with its links followed stays small.

    Args:
        links: Whether there are symbolic links.
    """
    growth = _Growth(draw)
    for _ in range(draw(st.integers(0, max_nodes))):
        draw(st.sampled_from([growth.add_directory, growth.add_file, growth.add_file, growth.add_hard_link]))()
    if links:
        growth.add_links(draw(st.integers(0, max(1, max_nodes // 3))))
    return tuple(growth.nodes)


class _Growth:
    """A tree being drawn: its nodes so far, and methods that add one."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.nodes: list[Node] = []
        self._draw = draw
        self._taken: set[str] = set()
        self._directories = [""]
        self._files: list[str] = []
        self._links: list[str] = []

    def add_directory(self) -> None:
        shallow = [path for path in self._directories if path.count("/") < MAX_DEPTH - 1]
        if path := self._new_path(self._any_of(shallow)):
            self.nodes.append(DirectoryNode(path, self._any_of(DIRECTORY_MODES)))
            self._directories.append(path)

    def add_file(self) -> None:
        if path := self._new_path(self._any_of(self._directories)):
            content = self._draw(st.one_of(st.sampled_from(CONTENTS), st.binary(max_size=64)))
            self.nodes.append(FileNode(path, content, self._any_of(MODES)))
            self._files.append(path)

    def add_hard_link(self) -> None:
        if self._files and (path := self._new_path(self._any_of(self._directories))):
            self.nodes.append(HardLinkNode(path, self._any_of(self._files)))

    def add_links(self, count: int) -> None:
        cycle = self._draw(st.booleans())
        kinds: list[Callable[[str], str]] = [self._to_file, self._to_link, _to_nothing, _to_itself, _to_outside_file]
        if not cycle:
            kinds += [self._to_directory, _to_outside_directory]
        for _ in range(count):
            self._add_link(self._any_of(kinds), self._directories)
        if cycle:
            self._add_cycle(self._any_of(self._directories))

    def _add_link(self, target_from: Callable[[str], str], places: Sequence[str]) -> None:
        # A link to a directory lies in the root, and its target holds no such link: no cycle.
        leads_to_directory = target_from in (self._to_directory, self._to_link, _to_outside_directory)
        path = self._new_path("" if leads_to_directory else self._any_of(places))
        if path and (target := target_from(path)):
            self.nodes.append(LinkNode(path, target))
            self._links.append(path)

    def _to_file(self, path: str) -> str:
        return os.path.relpath(self._any_of(self._files), os.path.dirname(path) or ".") if self._files else ""

    def _to_directory(self, path: str) -> str:
        below = self._directories[1:]
        return os.path.relpath(self._any_of(below), os.path.dirname(path) or ".") if below else ""

    def _to_link(self, path: str) -> str:
        return os.path.relpath(self._any_of(self._links), os.path.dirname(path) or ".") if self._links else ""

    def _add_cycle(self, parent: str) -> None:
        path = f"{parent}/loop" if parent else "loop"
        if path not in self._taken:
            short = parent and len(os.path.basename(parent).encode()) <= MAX_CYCLE_NAME_BYTES
            self._taken.add(path)
            self.nodes.append(LinkNode(path, self._any_of([".", ".."] if short else ["."])))

    def _new_path(self, parent: str) -> str:
        """A free path in ``parent``; empty if the drawn name is taken there."""
        name = self._draw(names())
        path = f"{parent}/{name}" if parent else name
        if path in self._taken:
            return ""
        self._taken.add(path)
        return path

    def _any_of(self, options: Sequence[Option]) -> Option:
        return self._draw(st.sampled_from(options))


def _to_nothing(path: str) -> str:  # noqa: ARG001
    return "nothing/is/here"


def _to_itself(path: str) -> str:
    return os.path.basename(path)


def _to_outside_file(path: str) -> str:  # noqa: ARG001
    return f"{OUTSIDE}/file"


def _to_outside_directory(path: str) -> str:  # noqa: ARG001
    return f"{OUTSIDE}/folder"


def build_tree(tree: Tree, root: Path) -> None:
    """Make ``tree`` at ``root``, which must not exist, and the outside targets of its links at ``<root>.outside``."""
    outside = f"{root}.outside"
    os.makedirs(os.path.join(outside, "folder"), exist_ok=True)
    for place in ("file", "folder/inner"):
        with open(os.path.join(outside, place), "wb") as file:
            file.write(b"outside " + place.encode())
    os.mkdir(root)
    for node in tree:
        _build(node, root, outside)
    for node in reversed(tree):  # directories last, deepest first: they come after their parents in a tree
        if isinstance(node, DirectoryNode):
            os.chmod(os.path.join(root, node.path), node.mode)


def _build(node: Node, root: Path, outside: str) -> None:
    path = os.path.join(root, node.path)
    if isinstance(node, DirectoryNode):
        os.mkdir(path)
    elif isinstance(node, FileNode):
        with open(path, "wb") as file:
            file.write(node.content)
        os.chmod(path, node.mode)
    elif isinstance(node, LinkNode):
        os.symlink(node.target.replace(OUTSIDE, outside), path)
    else:
        os.link(os.path.join(root, node.of), path)
