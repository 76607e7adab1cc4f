"""Hashing one huge file with several threads: the digest of all its bytes, whatever its holes and its end."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from snapdir.disk.system import next_data
from snapdir.errors import InFluxError, LocalError
from snapdir.hashing.huge_files import BLOCK_BYTES, HUGE_FILE_BYTES, hash_huge_file
from snapdir.model.source import HashedFile, SourceFile, identity_of
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.snapshot import tree_id
from snapdir.transfer.tree_options import TreeOptions
from tests.refused_calls import python_with_refusals

pytestmark = pytest.mark.usefixtures("open_descriptors")

PAGE = 4096
LENGTHS = st.one_of(
    st.integers(1, 3), st.sampled_from([BLOCK_BYTES // 2, BLOCK_BYTES, 2 * BLOCK_BYTES]), st.integers(1, 3 * PAGE)
)


def found(file: Path) -> SourceFile:
    status = file.stat()
    return SourceFile(f"./{file.name}", str(file), "644", status.st_size, identity_of(status))


def hashed(source: SourceFile, threads: int = 3, on_bytes: Callable[[int], None] = lambda _length: None) -> HashedFile:
    return hash_huge_file(source, threads=threads, next_data=next_data, on_bytes=on_bytes)


@settings(max_examples=25)
@given(segments=st.lists(st.tuples(st.booleans(), LENGTHS), max_size=6), threads=st.integers(2, 7))
def test_the_digest_is_that_of_all_bytes(
    segments: list[tuple[bool, int]], threads: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("huge") / "file"
    with file.open("wb") as writing:
        for is_data, length in segments:
            if is_data:
                writing.write(bytes(number % 251 for number in range(256)) * (length // 256) + b"x" * (length % 256))
            else:
                writing.truncate(writing.tell() + length)
                writing.seek(0, os.SEEK_END)
    lengths: list[int] = []
    source = found(file)
    assert hashed(source, threads, lengths.append) == HashedFile(source, blake3(file.read_bytes()).hexdigest())
    assert sum(lengths) == source.size
    file.unlink()


@pytest.mark.parametrize("change", ["grown", "shorter", "written"])
def test_a_file_that_changes_is_an_error_that_names_it(tmp_path: Path, change: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * (3 * BLOCK_BYTES))
    source = found(file)

    def changing(_length: int) -> None:
        with file.open("r+b") as opened:
            if change == "shorter":
                opened.truncate(BLOCK_BYTES)
            else:
                opened.seek(0, os.SEEK_END if change == "grown" else os.SEEK_SET)
                opened.write(b"more")

    with pytest.raises(InFluxError, match=str(file)):
        hashed(source, on_bytes=changing)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    source = found(file)

    def failing(_path: str, _flags: int) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(LocalError, match=str(file)):
        hash_huge_file(source, threads=2, next_data=next_data, on_bytes=lambda _length: None, open_file=failing)


def test_an_exception_between_two_blocks_ends_the_reading(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * (5 * BLOCK_BYTES))
    seen: list[int] = []

    def stop(length: int) -> None:
        seen.append(length)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hashed(found(file), on_bytes=stop)
    assert seen == [BLOCK_BYTES]


async def test_the_id_of_a_tree_is_the_same_with_any_number_of_threads(tmp_path: Path) -> None:
    import anyio.to_thread

    for number in range(3):
        folder = tmp_path / "tree" / f"d{number}"
        folder.mkdir(parents=True)
        with (folder / "huge").open("wb") as file:
            file.write(b"begin")
            file.truncate(HUGE_FILE_BYTES + number)
    ids = set()
    for threads in (1, 2, 3):
        counters = Counters()
        limits = Limits(hash_threads=threads, worker_processes=0)
        ids.add(
            await anyio.to_thread.run_sync(lambda: tree_id(tmp_path / "tree", TreeOptions(), counters, limits=limits))  # noqa: B023
        )
        assert (counters.files_done, counters.bytes_done) == (3, counters.bytes_total)
    assert len(ids) == 1


def test_where_no_thread_can_start_one_hashes() -> None:
    program = f"""
{python_with_refusals(thread=errno.EAGAIN)}
from pathlib import Path
from snapdir.hashing.huge_files import threaded_blake3
print(threaded_blake3(2).hexdigest())
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == blake3().hexdigest()
