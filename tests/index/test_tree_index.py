"""With an index, only what has changed is read, and the manifest is what it is without one."""

from __future__ import annotations

import logging
import mmap
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from snapdir.disk.filesystems import IN_MEMORY, KEEPS_STATES
from snapdir.errors import InFluxError
from snapdir.index.files import MAGIC, IndexPlace, index_files
from snapdir.model.ignoring import IgnoreRules
from snapdir.model.patterns import exclusion
from snapdir.transfer import snapshot
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.snapshot import snapshot_tree
from snapdir.transfer.tree_options import TreeOptions
from tests.index.conftest import Reads, settle

ALL = {f"./{folder}{name}" for folder in ("", "a/", "a/b/") for name in "xyz"}


def index_file(tmp_path: Path) -> Path:
    (found,) = index_files(tmp_path / "cache")
    return found.file


def counters_of(tree: Path, cache: Path) -> Counters:
    counters = Counters()
    snapshot_tree(tree, TreeOptions(tree_index=IndexPlace(cache, 1 << 30)), counters)
    return counters


class TestReading:
    def test_a_second_look_opens_no_file(self, tree: Path, reads: Reads) -> None:
        assert reads(tree)[1] == ALL
        assert reads(tree)[1] == set()

    def test_exactly_the_changed_files_are_opened(self, tree: Path, reads: Reads) -> None:
        reads(tree)
        (tree / "a" / "y").write_text("new")
        (tree / "c" / "new").write_text("new")
        (tree / "z").unlink()
        shutil.rmtree(tree / "a" / "b")
        settle()
        assert reads(tree)[1] == {"./a/y", "./c/new"}
        assert reads(tree)[1] == set()

    def test_an_unchanged_run_leaves_the_file_as_it_is(self, tree: Path, reads: Reads, tmp_path: Path) -> None:
        reads(tree)
        before = index_file(tmp_path).stat()
        reads(tree)
        assert index_file(tmp_path).stat().st_ino == before.st_ino
        assert index_file(tmp_path).stat().st_mtime_ns > before.st_mtime_ns

    def test_the_counters_are_those_of_a_first_run(self, tree: Path, tmp_path: Path) -> None:
        (tree / "a" / "large").write_bytes(bytes(2 << 20))
        settle()
        first, again = (counters_of(tree, tmp_path / "cache") for _ in range(2))
        assert first == again
        assert (again.files_done, again.bytes_done) == (again.files_total, again.bytes_total)

    def test_options_have_memories_of_their_own(self, tree: Path, reads: Reads, tmp_path: Path) -> None:
        (tree / "link").symlink_to("a")
        reads(tree)
        for options in (
            {"follow": False},
            {"absolute": True},
            {"dereference": True},
            {"excluded": exclusion([r"/x$"])},
            {"ignored": IgnoreRules(["x"])},
        ):
            assert reads(tree, **options)[1], options
            reads(tree, **options)
        assert len(list(index_files(tmp_path / "cache"))) == 6

    def test_what_a_link_leads_to_is_always_read(self, tree: Path, reads: Reads) -> None:
        (tree / "link").symlink_to("a/x")
        settle()
        reads(tree)
        assert reads(tree)[1] == {"./link"}
        (tree / "a" / "x").write_text("other")
        settle()
        assert reads(tree)[1] == {"./link", "./a/x"}

    def test_directories_that_leave_something_out_are_remembered_file_by_file(self, tree: Path, reads: Reads) -> None:
        os.mkfifo(tree / "fifo")
        (tree / "broken").symlink_to("nowhere")
        settle()
        reads(tree)
        assert reads(tree)[1] == set()
        assert reads(tree, ignored=IgnoreRules(["y"]))[1]
        assert reads(tree, ignored=IgnoreRules(["y"]))[1] == set()

    def test_a_rehash_reads_everything_and_remembers_it(self, tree: Path, reads: Reads) -> None:
        reads(tree)
        assert reads(tree, rehash=True)[1] == ALL
        assert reads(tree)[1] == set()


class TestTimes:
    def test_a_file_that_changed_just_now_is_read_again(self, tree: Path, reads: Reads) -> None:
        reads(tree)
        (tree / "a" / "x").write_text("one")
        assert reads(tree)[1] == {"./a/x"}
        (tree / "a" / "x").write_text("two")  # the same size, perhaps within the same step of the clock
        assert reads(tree)[1] == {"./a/x"}
        settle()
        assert reads(tree)[1] == {"./a/x"}
        assert reads(tree)[1] == set()

    def test_times_set_back_do_not_hide_a_change(self, tree: Path, reads: Reads) -> None:
        reads(tree)
        before = (tree / "x").stat()
        (tree / "x").write_text("tree X")
        os.utime(tree / "x", ns=(before.st_atime_ns, before.st_mtime_ns))
        (tree / "a" / "copy").write_text("a q")
        os.utime(tree / "a" / "copy", ns=(before.st_atime_ns, (tree / "a" / "y").stat().st_mtime_ns))
        (tree / "a" / "copy").replace(tree / "a" / "y")
        settle()
        assert reads(tree)[1] == {"./x", "./a/y"}

    def test_a_time_in_the_future_is_never_remembered(self, tree: Path, reads: Reads) -> None:
        future = time.time() + 1000
        os.utime(tree / "x", (future, future))
        settle()
        reads(tree)
        assert reads(tree)[1] == {"./x"}

    def test_a_clock_that_was_set_back_makes_every_file_unknown(
        self, tree: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = time.time_ns
        monkeypatch.setattr("snapdir.transfer.snapshot.time.time_ns", lambda: now() - 86_400 * 10**9)
        reads(tree)
        assert reads(tree)[1] == ALL


class TestMappedWriters:
    """A program that has mapped a file moves its times at its first write to a page, until the page is written back."""

    def test_a_write_that_moves_no_time_is_seen(
        self, tmp_path: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("snapdir.index.record.SETTLED_NS", 60 * 10**9)
        file = tmp_path / "mapped" / "file"
        file.parent.mkdir()
        file.write_bytes(bytes(4096))
        with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 4096) as mapped:
            mapped[0:1] = b"1"
            before = reads(file.parent)[0]
            mapped[0:1] = b"2"
            assert reads(file.parent)[0] != before

    def test_nothing_is_remembered_in_memory_where_nothing_is_written_back(self) -> None:
        assert IN_MEMORY.isdisjoint(KEEPS_STATES)


class TestDamage:
    def test_a_file_cut_at_any_length_is_rebuilt(self, tree: Path, reads: Reads, tmp_path: Path) -> None:
        expected, _ = reads(tree)
        whole = index_file(tmp_path).read_bytes()
        place = IndexPlace(tmp_path / "cache", 1 << 30)
        for length in range(0, len(whole), 7):
            index_file(tmp_path).write_bytes(whole[:length])
            assert snapshot_tree(tree, TreeOptions(tree_index=place), Counters()) == expected
            assert index_file(tmp_path).read_bytes() == whole

    def test_a_changed_byte_is_never_believed(self, tree: Path, reads: Reads, tmp_path: Path) -> None:
        expected, _ = reads(tree)
        whole = index_file(tmp_path).read_bytes()
        place = IndexPlace(tmp_path / "cache", 1 << 30)
        for position in range(0, len(whole), 5):
            index_file(tmp_path).write_bytes(whole[:position] + bytes([whole[position] ^ 64]) + whole[position + 1 :])
            assert snapshot_tree(tree, TreeOptions(tree_index=place), Counters()) == expected

    def test_another_version_has_files_of_its_own(
        self, tree: Path, reads: Reads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reads(tree)
        monkeypatch.setattr("snapdir.index.files.MAGIC", MAGIC[:-1] + b"2")
        assert reads(tree)[1] == ALL
        assert len(os.listdir(tmp_path / "cache" / ".index")) == 2

    def test_another_machine_has_files_of_its_own(
        self, tree: Path, reads: Reads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reads(tree)
        (tmp_path / "machine-id").write_text("another")
        monkeypatch.setattr("snapdir.index.files._MACHINE", tmp_path / "machine-id")
        assert reads(tree)[1] == ALL

    @pytest.mark.parametrize("obstacle", ["no directory", "full"])
    def test_without_a_writable_cache_everything_is_read(
        self, obstacle: str, tree: Path, reads: Reads, tmp_path: Path, open_descriptors: None
    ) -> None:
        if obstacle == "no directory":
            (tmp_path / "cache").write_text("a file")
        max_bytes = 600 if obstacle == "full" else 1 << 30
        assert reads(tree, max_bytes=max_bytes)[1] == ALL
        assert reads(tree, max_bytes=max_bytes)[1] == ALL

    def test_a_bound_that_is_too_small_is_said_once(
        self, tree: Path, reads: Reads, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO, "snapdir"):
            reads(tree, max_bytes=600)
        assert caplog.messages == ["what this run reads is not remembered: the index would be larger than --index-size"]

    def test_a_filesystem_without_steady_states_is_said_and_not_remembered(
        self, tree: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("snapdir.index.tree_index.keeps_states", lambda _: False)
        with caplog.at_level(logging.INFO, "snapdir"):
            reads(tree)
            assert reads(tree)[1] == ALL
        assert (
            caplog.messages
            == [f"{tree} is on a filesystem whose inodes or times may change: its files are read each time"] * 2
        )


class TestRuns:
    def test_the_trees_used_last_stay_within_the_bound(self, tree: Path, reads: Reads, tmp_path: Path) -> None:
        trees = [Path(shutil.copytree(tree, tmp_path / name)) for name in ("one", "two", "three")]
        settle()
        reads(trees[0])
        size = index_file(tmp_path).stat().st_size
        reads(trees[1])
        settle()
        reads(trees[0])
        reads(trees[2], max_bytes=5 * size // 2)
        assert {found.root for found in index_files(tmp_path / "cache")} == {str(trees[0]), str(trees[2])}

    def test_runs_at_the_same_time_are_right(self, tree: Path, tmp_path: Path) -> None:
        expected = snapshot_tree(tree, TreeOptions(), Counters())
        options = TreeOptions(tree_index=IndexPlace(tmp_path / "cache", 1 << 30))
        found = []

        def run() -> None:
            found.extend(snapshot_tree(tree, options, Counters()) for _ in range(20))

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [expected] * 80
        assert os.listdir(tmp_path / "cache" / ".partial") == []

    def test_a_file_that_changes_while_it_is_read_is_not_remembered(
        self, tree: Path, reads: Reads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reads(tree)
        hash_small_files = snapshot.hash_small_files

        def changing(sources: list, **options: object) -> object:
            (tree / "x").write_text("changed meanwhile")
            return hash_small_files(sources, **options)

        (tree / "x").write_text("changed before")
        monkeypatch.setattr(snapshot, "hash_small_files", changing)
        with pytest.raises(InFluxError):
            reads(tree)
        monkeypatch.setattr(snapshot, "hash_small_files", hash_small_files)
        settle()
        reads(tree)

    def test_a_failed_run_keeps_what_it_has_learned(self, tree: Path, reads: Reads) -> None:
        (tree / "a" / "b" / "bad\nname").touch()
        for _ in range(2):
            with pytest.raises(Exception, match="newline"):
                reads(tree)
        (tree / "a" / "b" / "bad\nname").unlink()
        settle()
        assert reads(tree)[1] <= ALL

    def test_a_killed_run_leaves_the_file_as_it_was(self, tree: Path, reads: Reads, tmp_path: Path) -> None:
        reads(tree)
        before = index_file(tmp_path).read_bytes()
        (tree / "x").write_text("changed")
        settle()
        code = (
            "import os, sys; from pathlib import Path; from snapdir.index.tree_index import TreeIndex;"
            "TreeIndex._commit = lambda self: os.kill(os.getpid(), 9);"
            "from snapdir.cli.main import main; sys.argv = ['snapdir', 'id', sys.argv[1]]; main()"
        )
        environment = os.environ | {"SNAPDIR_CACHE_DIR": str(tmp_path / "cache")}
        killed = subprocess.run([sys.executable, "-c", code, str(tree)], env=environment, check=False)
        assert killed.returncode == -signal.SIGKILL
        assert index_file(tmp_path).read_bytes() == before
        assert reads(tree)[1] == {"./x"}
        assert os.listdir(tmp_path / "cache" / ".partial") == []
