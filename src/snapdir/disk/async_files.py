"""Files of this machine for async code, by aiofiles. Every call is a hop to a thread, so no hot path uses it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import IO, TYPE_CHECKING, Literal

import aiofiles
import aiofiles.os
import anyio
import anyio.lowlevel
import anyio.to_thread
from aiofiles.threadpool import wrap

from snapdir.disk.durable import sync_directory
from snapdir.disk.staging import name_beside
from snapdir.errors import local_errors

if TYPE_CHECKING:
    from aiofiles.threadpool.binary import AsyncBufferedIOBase, AsyncFileIO

_STANDARD = {"/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/([0-9]{1,9})", re.ASCII).fullmatch


class AsyncReader:
    """Reads an open file in ranges; closes it. For one task at a time.

    A cancelled read ends when its thread is done, so that the file may then be closed.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file: AsyncFileIO = wrap(file)
        self._position = 0

    async def read_at(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset``; fewer at the end of the file."""
        pieces = []
        with anyio.CancelScope(shield=True):
            if offset != self._position:
                await self._file.seek(offset)
            self._position = offset
            while length and (piece := await self._file.read(length)):
                pieces.append(piece)
                self._position += len(piece)
                length -= len(piece)
        await anyio.lowlevel.checkpoint_if_cancelled()
        return b"".join(pieces)


@asynccontextmanager
async def replacing(file: str | os.PathLike[str], *, fsync: bool) -> AsyncIterator[AsyncBufferedIOBase]:
    """A new file that takes the place of ``file`` when the block has ended; if the block fails, ``file`` stays.

    A link is followed. What is no regular file (a FIFO, ``/dev/null``) is written to as it is, and so is an open
    descriptor (``/dev/stdout``, ``/dev/fd/3``): a file that others write to as well keeps what is in it.

    Raises:
        LocalError: it cannot be written.
    """
    with local_errors(file):
        descriptor = _descriptor_of(os.fspath(file))
        if descriptor is not None:
            async with _opened(descriptor, "wb", closefd=False) as opened:
                yield opened
            return
        try:
            mode: int | None = (await aiofiles.os.stat(file)).st_mode
        except FileNotFoundError:
            mode = None
        if mode is not None and not stat.S_ISREG(mode):
            async with _opened(file, "wb") as opened:
                yield opened
            return
        final = await anyio.to_thread.run_sync(os.path.realpath, file)
        beside = os.path.join(os.path.dirname(final), name_beside())
        try:
            async with _opened(beside, "xb") as opened:
                yield opened
                await opened.flush()
                await anyio.to_thread.run_sync(_settle, opened.fileno(), mode, fsync)
            await anyio.to_thread.run_sync(_rename, beside, final, fsync)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_remove, beside)
            raise


@asynccontextmanager
async def _opened(
    file: str | os.PathLike[str] | int, mode: Literal["wb", "xb"], *, closefd: bool = True
) -> AsyncIterator[AsyncBufferedIOBase]:
    """An open file, which is closed also if the block is cancelled."""
    opened = await aiofiles.open(file, mode, closefd=closefd)
    try:
        yield opened
    finally:
        with anyio.CancelScope(shield=True):
            await opened.close()


def _descriptor_of(file: str) -> int | None:
    """The number of the descriptor of this process that ``file`` stands for."""
    number = _DESCRIPTOR(file)
    return int(number[1]) if number is not None else _STANDARD.get(file)


def _settle(descriptor: int, mode: int | None, fsync: bool) -> None:
    """Give a new file the mode of the one that it replaces, and make its bytes durable."""
    if mode is not None:
        os.fchmod(descriptor, stat.S_IMODE(mode))
    if fsync:
        os.fsync(descriptor)


def _rename(beside: str, final: str, fsync: bool) -> None:
    os.replace(beside, final)
    if fsync:
        directory = os.open(os.path.dirname(final), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sync_directory(directory)
        finally:
            os.close(directory)


def _remove(beside: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(beside)
