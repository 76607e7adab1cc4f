"""A store in a directory: the key is the path."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TypeVar

from anyio.lowlevel import checkpoint
from anyio.to_thread import run_sync

from snapdir.stores.base import Body, Capabilities, ObjectInfo
from snapdir.stores.file_failures import translate
from snapdir.stores.file_writing import FileWriter
from snapdir.stores.settings import StoreSettings

__all__ = ["FileStore", "FileUpload"]

DEFAULT_CONCURRENCY = 8
UNLIMITED = 2**63 - 1
READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

Result = TypeVar("Result")


class FileStore:
    """A directory on a filesystem of this host; it and what is above it are made by the first write.

    Objects become durable in batches: with ``settings.fsync``, writing a key below ``.manifests/`` first flushes the
    filesystem once, so that a manifest that survives a power cut has all its objects. Temporaries lie in ``.partial``
    and are never listed. Links are followed (whoever administers a store may move parts of it).

    Cost: one hop to a worker thread a call, about 113 µs, besides the work itself. Whoever reads many objects goes to
    the files by ``local_path``, many to a hop.
    """

    def __init__(self, root: Path, settings: StoreSettings | None = None) -> None:
        settings = settings or StoreSettings()
        self._root = os.path.abspath(root)
        self._writer = FileWriter(self._root, settings)
        self._capabilities = Capabilities(
            max_concurrency=settings.max_concurrency or DEFAULT_CONCURRENCY,
            part_size_range=(1, UNLIMITED),
            max_parts=UNLIMITED,
            max_write_bytes=UNLIMITED,
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
        return await self._in_thread(key, self._stat)

    async def list(self, prefix: str, *, start_after: str = "") -> AsyncIterator[Sequence[ObjectInfo]]:
        _check_key(prefix or "a")
        with closing(self._listed(prefix, start_after)) as found:
            while page := await self._in_thread(prefix, lambda _: list(islice(found, self._capabilities.list_page_keys))):
                yield page

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        return await self._in_thread(key, lambda path: _read(path, key, start, length))

    async def read_into(self, key: str, buffer: memoryview, *, start: int) -> int:
        return await self._in_thread(key, lambda path: _read_into(path, key, buffer, start))

    async def write(self, key: str, body: Body, *, if_absent: bool = False) -> bool:
        return await self._in_thread(key, lambda _: self._writer.write(key, body, if_absent))

    async def begin_upload(self, key: str, *, size: int, part_bytes: int) -> FileUpload:
        temporary = await self._in_thread(key, lambda _: self._begin(key, size))
        return FileUpload(self, self._writer, temporary, key=key, size=size, part_bytes=part_bytes)

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            _check_key(key)
        await run_sync(self._delete, keys)

    def local_path(self, key: str) -> Path | None:
        return Path(self._root, key)

    async def aclose(self) -> None:
        """Nothing is held open."""
        await checkpoint()

    async def _in_thread(self, key: str, call: Callable[[str], Result]) -> Result:
        """Run ``call`` on the key's path in a worker thread. A cancelled caller waits for it: nothing runs on."""
        _check_key(key or "a")

        def work() -> Result:
            with translate(self._root, key):
                return call(os.path.join(self._root, key))

        return await run_sync(work)
