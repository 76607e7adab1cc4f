"""Small files are written and hashed on the loop while that is quick, and in threads when it is not."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from pathlib import Path

import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.disk.destination import Destination
from snapdir.hashing.tree import digest_of
from snapdir.model.keys import object_key
from snapdir.model.source import HashedFile, SourceFile
from snapdir.repository.repository import Repository
from snapdir.stores.base import Buffer
from snapdir.stores.memory import MemoryStore
from snapdir.transfer.download import LOOP_BYTES, LOOP_COPIES, PLACE_SECONDS, download
from snapdir.transfer.events import Counters
from snapdir.transfer.hashed_batches import LOOP_FILE_BYTES, LOOP_FILES, READ_SECONDS, HashedBatches
from snapdir.transfer.landing import TreeLanding
from snapdir.transfer.limits import Limits
from snapdir.transfer.loop_time import DEBT_SECONDS, PIECES_AWAY, LoopTime
from snapdir.transfer.plan import Target, Wanted
from snapdir.transfer.snapshot import TreeOptions, TreeReader

LOOP_THREAD = threading.main_thread()
ALLOWED_SECONDS = 1e-4


@given(st.lists(st.floats(min_value=0.0, max_value=ALLOWED_SECONDS), max_size=200))
def test_quick_work_stays(pieces: list[float]) -> None:
    time = LoopTime(ALLOWED_SECONDS)
    for seconds in pieces:
        assert time.admits()
        time.took(seconds)


@given(st.lists(st.floats(min_value=0.0, max_value=1.0), max_size=100))
def test_the_loop_never_stands_still_for_long(pieces: list[float]) -> None:
    """Beyond what is allowed a piece, a debt and the piece that ends it: then pieces go away, and come back."""
    time = LoopTime(ALLOWED_SECONDS)
    kept = allowed = 0.0
    for seconds in pieces:
        assert time.admits()
        time.took(seconds)
        kept, allowed = kept + seconds, allowed + ALLOWED_SECONDS
        if kept > allowed + DEBT_SECONDS:
            assert not any(time.admits() for _ in range(PIECES_AWAY))
            assert time.admits()
            return


@given(st.integers(1, 2 * PIECES_AWAY))
def test_pieces_are_counted_where_they_come_together(pieces: int) -> None:
    time = LoopTime(ALLOWED_SECONDS)
    time.took(pieces * ALLOWED_SECONDS + 0.9 * DEBT_SECONDS, pieces)
    assert time.admits(pieces)
    time.took(pieces * ALLOWED_SECONDS + 0.2 * DEBT_SECONDS, pieces)
    away = 0
    while not time.admits(pieces):
        away += pieces
    assert PIECES_AWAY <= away < PIECES_AWAY + pieces


def test_one_hiccup_is_forgiven_once_it_is_paid_back() -> None:
    time = LoopTime(ALLOWED_SECONDS)
    for _ in range(20):
        time.took(0.9 * DEBT_SECONDS)
        for _ in range(round(DEBT_SECONDS / ALLOWED_SECONDS)):
            assert time.admits()
            time.took(0.0)


class Disk(TreeLanding):
    """Takes ``seconds`` for each object, by its own clock, and notes which threads write."""

    def __init__(self, destination: Destination, seconds: float) -> None:
        super().__init__(destination)
        self._seconds = seconds
        self._now = 0.0
        self.on_loop = self.in_threads = 0

    def clock(self) -> float:
        return self._now

    def place_bytes(self, wanted: Wanted, data: Buffer) -> None:
        super().place_bytes(wanted, data)
        self._now += self._seconds
        if threading.current_thread() is LOOP_THREAD:
            self.on_loop += 1
        else:
            self.in_threads += 1


async def pulled(tmp_path: Path, contents: list[bytes], *, seconds: float, copies: int = 1) -> Disk:
    """Bring ``contents`` to a disk that takes ``seconds`` for each, and make sure that all of it is there."""
    store = MemoryStore()
    wanted, files = [], {}
    for number, content in enumerate(contents):
        digest = digest_of(content)
        await store.write(object_key(digest), content)
        names = [f"{number}-{copy}" for copy in range(copies)]
        files |= dict.fromkeys(names, content)
        wanted.append(Wanted(digest, len(content), f"./{number}", [Target((name,), 0o640) for name in names]))
    counters = Counters()
    with await anyio.to_thread.run_sync(Destination.open, tmp_path / "out") as destination:
        disk = Disk(destination, seconds)
        await download(Repository(store), wanted, disk, limits=Limits(), counters=counters, clock=disk.clock)
    assert {name: (tmp_path / "out" / name).read_bytes() for name in files} == files
    assert {(tmp_path / "out" / name).stat().st_mode & 0o7777 for name in files} == {0o640}
    assert counters.objects_received == len(contents)
    return disk


async def test_a_quick_disk_is_written_on_the_loop(tmp_path: Path) -> None:
    disk = await pulled(tmp_path, [b"%d" % number for number in range(500)], seconds=PLACE_SECONDS / 2)
    assert (disk.on_loop, disk.in_threads) == (500, 0)


async def test_a_slow_disk_is_written_in_threads(tmp_path: Path) -> None:
    disk = await pulled(tmp_path, [b"%d" % number for number in range(500)], seconds=DEBT_SECONDS / 4)
    assert (disk.on_loop, disk.in_threads) == (5, 495)


async def test_long_work_is_done_in_threads(tmp_path: Path) -> None:
    disk = await pulled(tmp_path, [bytes(LOOP_BYTES), bytes(LOOP_BYTES + 1)], seconds=0.0)
    assert (disk.on_loop, disk.in_threads) == (1, 1)


@pytest.mark.parametrize(("copies", "on_loop"), [(LOOP_COPIES, 1), (LOOP_COPIES + 1, 0)])
async def test_many_copies_are_written_in_threads(tmp_path: Path, copies: int, on_loop: int) -> None:
    disk = await pulled(tmp_path, [b"content"], seconds=0.0, copies=copies)
    assert (disk.on_loop, disk.in_threads) == (on_loop, 1 - on_loop)


class Reader(TreeReader):
    """Notes where it hashes."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, TreeOptions(), Counters())
        self.on_loop: list[bool] = []

    def hash_small(self, sources: list[SourceFile], *, keep_data: bool) -> list[HashedFile]:
        self.on_loop.append(threading.current_thread() is LOOP_THREAD)
        return super().hash_small(sources, keep_data=keep_data)


async def hashed(
    root: Path, *, slice_seconds: float = 0.0, store: Callable[[list[HashedFile]], None] | None = None
) -> list[bool]:
    """Hash a tree, three slices a batch, by a clock that moves so much between two looks; where each was hashed."""
    reader = await anyio.to_thread.run_sync(Reader, root)
    steps = itertools.count()
    found = {}
    async for small, large in HashedBatches(
        reader, 3 * LOOP_FILES, store=store, clock=lambda: next(steps) * slice_seconds
    ):
        assert not large
        found |= {file.source.file: file.data for file in small}
        assert all(file.checksum == digest_of(file.data or b"") for file in small)
    assert found == {os.fspath(file): file.read_bytes() for file in root.iterdir()}
    return reader.on_loop


def made(root: Path, files: int, size: int) -> Path:
    for number in range(files):
        (root / f"{number}").write_bytes(b"%d" % number + bytes(size))
    return root


async def test_a_tree_that_is_read_quickly_is_hashed_on_the_loop(tmp_path: Path) -> None:
    tree = made(tmp_path, 9 * LOOP_FILES, 10)
    assert await hashed(tree, slice_seconds=LOOP_FILES * READ_SECONDS) == [True] * 9


async def test_a_tree_that_is_read_slowly_is_hashed_in_threads(tmp_path: Path) -> None:
    """Also the rest of the batch in which that is found out."""
    tree = made(tmp_path, 9 * LOOP_FILES, 10)
    assert await hashed(tree, slice_seconds=DEBT_SECONDS) == [True, True, False, False, False]


async def test_longer_files_are_hashed_in_threads(tmp_path: Path) -> None:
    assert await hashed(made(tmp_path, 4 * LOOP_FILES, LOOP_FILE_BYTES)) == [False, False]


async def test_what_is_stored_at_once_is_hashed_in_threads(tmp_path: Path) -> None:
    stored: list[HashedFile] = []
    assert await hashed(made(tmp_path, 4 * LOOP_FILES, 10), store=stored.extend) == [False, False]
    assert len(stored) == 4 * LOOP_FILES
