"""Files for async code: a new one takes the place of the old one, or nothing changes."""

from __future__ import annotations

import os
from pathlib import Path

import aiofiles  # noqa: F401  # its import reads files, here before any loop runs
import anyio
import pytest

from snapdir.disk.async_files import AsyncReader, replacing
from snapdir.errors import LocalError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_bytes(b"before")
    (folder / "file").chmod(0o604)
    return folder / "file"


@pytest.mark.parametrize("fsync", [True, False])
async def test_a_file_is_replaced_and_keeps_its_mode(file: Path, fsync: bool) -> None:
    async with replacing(file, fsync=fsync) as opened:
        await opened.write(b"after")
        assert file.read_bytes() == b"before"
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"after", 0o604)
    assert list(file.parent.iterdir()) == [file]


async def test_an_error_in_the_block_changes_nothing(file: Path) -> None:
    async def fail() -> None:
        async with replacing(file, fsync=True) as opened:
            await opened.write(b"after")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert file.read_bytes() == b"before"
    assert list(file.parent.iterdir()) == [file]


async def test_a_cancellation_changes_nothing(file: Path) -> None:
    with anyio.CancelScope() as scope:
        async with replacing(file, fsync=True) as opened:
            scope.cancel()
            await opened.write(bytes(10_000_000))
            await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert file.read_bytes() == b"before"
    assert list(file.parent.iterdir()) == [file]


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocalError) as failed:
        async with replacing(tmp_path / "nowhere" / "file", fsync=True):
            pass
    assert failed.value.path == str(tmp_path / "nowhere" / "file")


async def test_a_fifo_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    async with replacing(tmp_path / "pipe", fsync=True) as opened:
        await opened.write(b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)


async def test_an_open_pipe_is_written_to_by_its_number() -> None:
    reader, writer = os.pipe()
    async with replacing(f"/dev/fd/{writer}", fsync=True) as opened:
        await opened.write(b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("place", ["/dev/fd/", "/proc/self/fd/"])
async def test_an_open_file_keeps_what_others_write_to_it(file: Path, place: str) -> None:
    with file.open("ab", buffering=0) as log:
        async with replacing(f"{place}{log.fileno()}", fsync=True) as opened:
            await opened.write(b", between, ")
        log.write(b"after")
    assert file.read_bytes() == b"before, between, after"
    assert list(file.parent.iterdir()) == [file]


async def test_a_descriptor_that_is_not_open_is_named() -> None:
    with pytest.raises(LocalError) as failed:
        async with replacing("/dev/fd/999999", fsync=True):
            pass
    assert failed.value.path == "/dev/fd/999999"


async def test_ranges_are_read_in_any_order(file: Path) -> None:
    with file.open("rb", buffering=0) as opened:
        reader = AsyncReader(opened)
        assert await reader.read_at(3, 2) == b"or"
        assert await reader.read_at(5, 100) == b"e"
        assert await reader.read_at(0, 3) == b"bef"
        assert await reader.read_at(100, 3) == b""


async def test_a_cancelled_read_leaves_no_thread_at_the_file(file: Path) -> None:
    with file.open("rb", buffering=0) as opened:
        reader = AsyncReader(opened)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await reader.read_at(0, 3)
        assert scope.cancelled_caught
        assert await reader.read_at(0, 3) == b"bef"
