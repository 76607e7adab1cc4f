"""Small files are written and hashed on the loop while that is quick, and in threads when it is not."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio.to_thread
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from snapdir.disk.destination import Destination
from snapdir.errors import LocalError
from snapdir.hashing.tree import digest_of
from snapdir.model.keys import object_key
from snapdir.model.source import HashedFile, SourceFile
from snapdir.repository.repository import Repository
from snapdir.stores.base import Buffer
from snapdir.stores.memory import MemoryStore
from snapdir.transfer.download.object_sink import DirectorySink
from snapdir.transfer.download.objects import LOOP_BYTES, LOOP_COPIES, WRITE_SECONDS, download
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.loop_budget import DEBT_SECONDS, PIECES_AWAY, LoopBudget
from snapdir.transfer.engine.planned_objects import PlannedObject, Target
from snapdir.transfer.snapshot import TreeReader
from snapdir.transfer.tree_options import TreeOptions
from snapdir.transfer.upload.hashed_batches import LOOP_FILE_BYTES, LOOP_FILES, READ_SECONDS, HashedBatches

LOOP_THREAD = threading.main_thread()
ALLOWED_SECONDS = 1e-4


@given(st.lists(st.floats(min_value=0.0, max_value=ALLOWED_SECONDS), max_size=200))
def test_quick_work_stays(pieces: list[float]) -> None:
    time = LoopBudget(ALLOWED_SECONDS)
    for seconds in pieces:
        assert time.admits()
        time.took(seconds)


@given(st.lists(st.floats(min_value=0.0, max_value=1.0), min_size=1, max_size=50))
@example([0.0, DEBT_SECONDS + ALLOWED_SECONDS / 2, 0.0])
@example([0.0, DEBT_SECONDS + 2 * ALLOWED_SECONDS, 0.0])
def test_no_run_of_pieces_holds_the_loop_up_for_long(pieces: list[float]) -> None:
    """Work moves to threads exactly when its pieces exceed their allowed time."""
    time = LoopBudget(ALLOWED_SECONDS)
    for number, seconds in enumerate(pieces, 1):
        time.took(seconds)
        beyond = max(sum(pieces[first:number]) - (number - first) * ALLOWED_SECONDS for first in range(number))
        assume(abs(beyond - DEBT_SECONDS) > 1e-9)
        if beyond > DEBT_SECONDS:
            assert not any(time.admits() for _ in range(PIECES_AWAY))
            assert time.admits()
            return
        assert time.admits()


@given(st.integers(1, 2 * PIECES_AWAY))
def test_pieces_are_counted_where_they_come_together(pieces: int) -> None:
    time = LoopBudget(ALLOWED_SECONDS)
    time.took(pieces * ALLOWED_SECONDS + 0.9 * DEBT_SECONDS, pieces)
    assert time.admits(pieces)
    time.took(pieces * ALLOWED_SECONDS + 0.2 * DEBT_SECONDS, pieces)
    away = 0
    while not time.admits(pieces):
        away += pieces
    assert PIECES_AWAY <= away < PIECES_AWAY + pieces


def test_one_hiccup_is_forgiven_once_it_is_paid_back() -> None:
    time = LoopBudget(ALLOWED_SECONDS)
    for _ in range(20):
        time.took(0.9 * DEBT_SECONDS)
        for _ in range(round(DEBT_SECONDS / ALLOWED_SECONDS)):
            assert time.admits()
            time.took(0.0)


class Disk(DirectorySink):
    """Takes ``seconds`` for each object, by its own clock, and notes which threads write."""

    def __init__(self, destination: Destination, seconds: float) -> None:
        super().__init__(destination)
        self._seconds = seconds
        self._now = 0.0
        self.on_loop = self.in_threads = 0

    def clock(self) -> float:
        return self._now

    def write_quickly(self, planned: PlannedObject, data: Buffer) -> bool:
        assert threading.current_thread() is LOOP_THREAD
        placed = super().write_quickly(planned, data)
        self._now += self._seconds
        self.on_loop += placed
        return placed

    def write(self, planned: PlannedObject, data: Buffer) -> None:
        assert threading.current_thread() is not LOOP_THREAD
        super().write(planned, data)
        self.in_threads += 1


class Damaging(MemoryStore):
    """Gives wrong bytes the first time an object is read."""

    def __init__(self) -> None:
        super().__init__()
        self.damaged: set[str] = set()

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        data = await super().read(key, start=start, length=length)
        if key in self.damaged:
            self.damaged.remove(key)
            return bytes(len(data))
        return data


@asynccontextmanager
async def opened(root: Path, *, staging: bool = True) -> AsyncIterator[Destination]:
    """A destination whose staging directory is open, unless the first object is to open it."""
    with await anyio.to_thread.run_sync(Destination.open, root) as destination:
        if staging:
            await anyio.to_thread.run_sync(lambda: destination.staging.handle)
        yield destination


async def pulled(
    root: Path,
    contents: list[bytes],
    *,
    seconds: float,
    copies: int = 1,
    staging: bool = True,
    damaged: bool = False,
    limits: Limits | None = None,
) -> Disk:
    """Bring ``contents`` to a disk that takes ``seconds`` for each, and make sure that all of it is there."""
    store = Damaging()
    planned, files = [], {}
    for number, content in enumerate(contents):
        digest = digest_of(content)
        await store.write(object_key(digest), content)
        names = [f"{number}-{copy}" for copy in range(copies)]
        files |= dict.fromkeys(names, content)
        planned.append(PlannedObject(digest, len(content), f"./{number}", [Target((name,), 0o640) for name in names]))
    if damaged:
        store.damaged = {object_key(one.digest) for one in planned}
    counters = Counters()
    async with opened(root, staging=staging) as destination:
        disk = Disk(destination, seconds)
        with anyio.fail_after(20):
            await download(
                Repository(store), planned, disk, limits=limits or Limits(), counters=counters, clock=disk.clock
            )
    assert {name: (root / name).read_bytes() for name in files} == files
    assert {(root / name).stat().st_mode & 0o7777 for name in files} == {0o640}
    assert counters.objects_received == len(contents)
    assert (counters.files_done, counters.bytes_done) == (len(files), sum(map(len, files.values())))
    return disk


def numbered(count: int) -> list[bytes]:
    return [b"%08d" % number for number in range(count)]


async def test_a_quick_disk_is_written_on_the_loop(tmp_path: Path) -> None:
    disk = await pulled(tmp_path, numbered(500), seconds=WRITE_SECONDS / 2)
    assert (disk.on_loop, disk.in_threads) == (500, 0)


async def test_a_slow_disk_is_written_in_threads(tmp_path: Path) -> None:
    disk = await pulled(tmp_path, numbered(500), seconds=DEBT_SECONDS / 4)
    assert (disk.on_loop, disk.in_threads) == (5, 495)


async def test_who_opens_the_staging_directory_is_a_thread(tmp_path: Path) -> None:
    """To lock it may take as long as another process takes to remove its own."""
    disk = await pulled(tmp_path, numbered(500), seconds=0.0, staging=False)
    assert disk.in_threads >= 1
    assert disk.on_loop + disk.in_threads == 500


async def test_an_empty_directory_in_the_way_is_removed_in_a_thread(tmp_path: Path) -> None:
    (tmp_path / "7-0").mkdir()
    disk = await pulled(tmp_path, numbered(20), seconds=0.0)
    assert (disk.on_loop, disk.in_threads) == (19, 1)


async def test_long_work_is_done_in_threads(tmp_path: Path) -> None:
    disk = await pulled(tmp_path, [bytes(LOOP_BYTES), bytes(LOOP_BYTES + 1)], seconds=0.0)
    assert (disk.on_loop, disk.in_threads) == (1, 1)


@pytest.mark.parametrize(("copies", "on_loop"), [(LOOP_COPIES, 1), (LOOP_COPIES + 1, 0)])
async def test_many_copies_are_written_in_threads(tmp_path: Path, copies: int, on_loop: int) -> None:
    disk = await pulled(tmp_path, [b"content"], seconds=0.0, copies=copies)
    assert (disk.on_loop, disk.in_threads) == (on_loop, 1 - on_loop)


@pytest.mark.parametrize("seconds", [0.0, DEBT_SECONDS])
@pytest.mark.parametrize("damaged", [False, True])
async def test_memory_is_given_back_and_damage_is_fetched_again(tmp_path: Path, seconds: float, damaged: bool) -> None:
    """On the loop and in threads: there is room for two objects, and fifty come, each wrong at first or right."""
    two = Limits(memory_bytes=16, part_bytes=8, large_bytes=8)
    await pulled(tmp_path, numbered(50), seconds=seconds, damaged=damaged, limits=two)


async def test_what_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    store = MemoryStore()
    digest = digest_of(b"content")
    await store.write(object_key(digest), b"content")
    planned = PlannedObject(digest, 7, "./a", [Target(("a" * 300,), 0o640)])
    with pytest.raises(ExceptionGroup) as raised:
        async with opened(tmp_path) as destination:
            await download(
                Repository(store), [planned], DirectorySink(destination), limits=Limits(), counters=Counters()
            )
    (error,) = raised.value.exceptions
    while isinstance(error, ExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, LocalError)
    assert not hasattr(error, "__notes__")


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
