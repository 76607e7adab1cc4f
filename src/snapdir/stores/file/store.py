"""A store in a directory: keys are paths."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TypeVar

from anyio import CancelScope

from snapdir.disk.descriptors import Handle
from snapdir.errors import StoreRefused
from snapdir.model.keys import PARTIAL
from snapdir.stores.base import Body, Capabilities, NoServerCopy, ObjectInfo, Page
from snapdir.stores.blocks import BlockSink, read_blocks
from snapdir.stores.file.batch import FileBatch
from snapdir.stores.file.failures import in_thread, require_file
from snapdir.stores.file.listing import folders, listed
from snapdir.stores.file.upload import FileUpload
from snapdir.stores.file.writing import FileWriter, final_mode
from snapdir.stores.settings import LOCAL_REQUESTS, StoreSettings

UNLIMITED = 2**63 - 1
READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

Result = TypeVar("Result")


class FileStore(NoServerCopy):
    """A directory on a filesystem of this host. The first write creates it, with its parents.

    With ``settings.fsync``, bytes are on the disk before they get a name, and names become durable in batches: by
    ``flush``, and before a manifest is written, so that a manifest that survives a power cut has all its objects.
    Temporaries are in ``.partial``, which is never listed; the first write removes those of killed runs. Symbolic links
    are followed, because an administrator may move parts of a store.

    Cost: a thread hop for each call, about 113 µs, besides the work itself. To read many objects, open the files at
    ``local_path``, many in a hop.
    """

    def __init__(self, root: Path, settings: StoreSettings | None = None) -> None:
        settings = settings or StoreSettings()
        self._root = os.fspath(root if root.is_absolute() else root.absolute())
        self._writer = FileWriter(self._root, settings)
        self._capabilities = Capabilities(
            max_concurrency=settings.concurrency(LOCAL_REQUESTS),
            part_size_range=(1, UNLIMITED),
            max_parts=UNLIMITED,
            max_object_bytes=UNLIMITED,
            conditional_write=True,
            remote=False,
        )

    def __repr__(self) -> str:
        return f"FileStore({self._root!r})"

    @property
    def url(self) -> str:
        return f"file://{self._root}"

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def stat(self, key: str) -> ObjectInfo:
        return await self._at(key, lambda path: _stat(key, path))

    async def list(
        self,
        prefix: str,
        *,
        start_after: str = "",
        resume: str | None = None,  # noqa: ARG002  # gives none
    ) -> AsyncIterator[Page]:
        size = self._capabilities.list_page_keys
        with closing(listed(self._root, prefix, start_after, hidden=PARTIAL)) as infos:
            while page := await in_thread(self._root, prefix, lambda: Page(islice(infos, size))):
                yield page

    async def folders(self, prefix: str) -> Sequence[str]:
        return await in_thread(self._root, prefix, lambda: folders(self._root, prefix, hidden=PARTIAL))

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        return await self._at(key, lambda path: _read(key, path, start, length))

    async def read_into(self, key: str, buffer: memoryview, *, start: int) -> int:
        return await self._at(key, lambda path: _read_into(key, path, buffer, start))

    async def read_through(self, key: str, sink: BlockSink, *, start: int, length: int) -> None:
        await read_blocks(lambda view, at: self.read_into(key, view, start=at), sink, start=start, length=length)

    async def write(self, key: str, body: Body, *, if_absent: bool = False) -> bool:
        return await self._at(key, lambda _: self._writer.write(key, body, if_absent), writing=True)

    async def swap(self, key: str, old: bytes | None, new: bytes) -> bool:
        return await self._at(key, lambda _: self._writer.swap(key, old, new), writing=True)

    async def begin_upload(
        self,
        key: str,
        *,
        size: int,
        part_bytes: int,
        resume: str | None = None,  # noqa: ARG002  # gives no tokens
    ) -> FileUpload:
        mode = final_mode(key)
        temporary, fd = await self._at(key, lambda _: self._writer.preallocate(size, mode), writing=True)
        return FileUpload(self._writer, self._root, temporary, Handle(fd), key=key, size=size, part_bytes=part_bytes)

    async def flush(self) -> None:
        await in_thread(self._root, "", self._writer.flush)

    async def delete(self, keys: Sequence[str]) -> None:
        paths = [_checked_path(self._root, key) for key in keys]
        await in_thread(self._root, "", lambda: _delete(paths))

    def local_path(self, key: str) -> Path | None:
        return Path(self._root, key)

    def batch_writer(self) -> FileBatch:
        return FileBatch(self._root, self._writer)

    async def aclose(self) -> None:
        """Remove the folder of temporaries; a later write creates another."""
        with CancelScope(shield=True):
            await in_thread(self._root, "", self._writer.close)

    async def _at(self, key: str, call: Callable[[str], Result], *, writing: bool = False) -> Result:
        path = _checked_path(self._root, key)
        return await in_thread(self._root, key, lambda: call(path), writing=writing)


def _checked_path(root: str, key: str) -> str:
    """The path of ``key``, checked to stay below ``root``."""
    names = key.split("/")
    if "" in names or "." in names or ".." in names or "\0" in key or names[0] == PARTIAL:
        raise StoreRefused(f"invalid key for a store in a directory: {key!r}", key=key)
    try:
        os.fsencode(key)
    except UnicodeEncodeError as error:
        raise StoreRefused(f"the key cannot be a file name: {key!r}", key=key) from error
    return os.path.join(root, key)


def _stat(key: str, path: str) -> ObjectInfo:
    status = os.stat(path)
    require_file(key, path, status.st_mode)
    return ObjectInfo(key, status.st_size, status.st_mtime)


def _read(key: str, path: str, start: int, length: int | None) -> bytes:
    with _opened(key, path) as (fd, size):
        rest = max(0, size - start) if length is None else min(length, max(0, size - start))
        blocks = []
        while rest and (block := os.pread(fd, rest, start)):
            blocks.append(block)
            start += len(block)
            rest -= len(block)
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)


def _read_into(key: str, path: str, buffer: memoryview, start: int) -> int:
    done = 0
    with _opened(key, path) as (fd, _):
        while done < len(buffer) and (received := os.preadv(fd, [buffer[done:]], start + done)):
            done += received
    return done


@contextmanager
def _opened(key: str, path: str) -> Iterator[tuple[int, int]]:
    fd = os.open(path, READ_FLAGS)
    try:
        status = os.fstat(fd)
        require_file(key, path, status.st_mode)
        yield fd, status.st_size
    finally:
        os.close(fd)


def _delete(paths: Sequence[str]) -> None:
    for path in paths:
        with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            os.unlink(path)
