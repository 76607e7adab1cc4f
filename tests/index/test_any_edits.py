"""Whatever is done to a tree, the index gives the manifest that a run without it gives."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from snapdir.index.files import IndexPlace
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.snapshot import snapshot_tree
from snapdir.transfer.tree_options import TreeOptions
from tests.index.conftest import SETTLED_NS, settle

folders = st.sampled_from(["", "a", "a.b", "a/c"])
names = st.sampled_from(["x", "y", "a!"])
contents = st.sampled_from([b"one", b"two", b"three", b""])


class Edits(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name, "tree")
        (self.root / "a" / "c").mkdir(parents=True)
        (self.root / "a.b").mkdir()
        self.place = IndexPlace(Path(self.folder.name, "cache"), 1 << 30)

    def teardown(self) -> None:
        self.folder.cleanup()

    def at(self, folder: str, name: str) -> Path:
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        return self.root / folder / name

    @rule(folder=folders, name=names, content=contents)
    def write(self, folder: str, name: str, content: bytes) -> None:
        self.at(folder, name).write_bytes(content)

    @rule(folder=folders, name=names)
    def rewrite_in_the_same_size_and_set_the_time_back(self, folder: str, name: str) -> None:
        file = self.at(folder, name)
        if file.is_file():
            status = file.stat()
            file.write_bytes(bytes(byte ^ 1 for byte in file.read_bytes()))
            os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    @rule(folder=folders, name=names)
    def touch(self, folder: str, name: str) -> None:
        if (file := self.at(folder, name)).is_file():
            os.utime(file)

    @rule(folder=folders, name=names, mode=st.sampled_from([0o600, 0o644]))
    def change_mode(self, folder: str, name: str, mode: int) -> None:
        if (file := self.at(folder, name)).is_file():
            file.chmod(mode)

    @rule(source=st.tuples(folders, names), place=st.tuples(folders, names))
    def rename(self, source: tuple[str, str], place: tuple[str, str]) -> None:
        if (file := self.at(*source)).exists():
            file.replace(self.at(*place))

    @rule(source=st.tuples(folders, names), place=st.tuples(folders, names))
    def copy_with_times(self, source: tuple[str, str], place: tuple[str, str]) -> None:
        if (file := self.at(*source)).is_file() and not self.at(*place).exists():
            shutil.copy2(file, self.at(*place))

    @rule(source=st.tuples(folders, names), place=st.tuples(folders, names))
    def link(self, source: tuple[str, str], place: tuple[str, str]) -> None:
        if source != place:
            self.at(*place).unlink(missing_ok=True)
            self.at(*place).symlink_to(self.at(*source))

    @rule(source=st.tuples(folders, names), place=st.tuples(folders, names))
    def link_hard(self, source: tuple[str, str], place: tuple[str, str]) -> None:
        if (file := self.at(*source)).is_file() and source != place:
            self.at(*place).unlink(missing_ok=True)
            os.link(file, self.at(*place))

    @rule(folder=st.sampled_from(["a", "a.b", "a/c"]), goal=st.sampled_from(["moved", "a.b", "a/c"]))
    def move_a_directory(self, folder: str, goal: str) -> None:
        moved, place = self.root / folder, self.root / goal
        if moved.is_dir() and not place.exists() and place.parent.is_dir() and not place.is_relative_to(moved):
            moved.rename(place)

    @rule(folder=st.sampled_from(["a", "a.b", "a/c", "moved"]))
    def remove(self, folder: str) -> None:
        shutil.rmtree(self.root / folder, ignore_errors=True)

    @rule()
    def wait(self) -> None:
        settle()

    @invariant()
    def the_manifests_agree(self) -> None:
        remembered = snapshot_tree(self.root, TreeOptions(tree_index=self.place), Counters())
        assert remembered == snapshot_tree(self.root, TreeOptions(), Counters())


class TestEdits(Edits.TestCase):
    settings = settings(max_examples=60, stateful_step_count=15)

    @pytest.fixture(autouse=True)
    def quick_index(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("snapdir.index.tree_index.keeps_states", lambda _: True)
            patch.setattr("snapdir.index.record.SETTLED_NS", SETTLED_NS)
            patch.setattr("anyio.from_thread.check_cancelled", lambda: None)
            yield
