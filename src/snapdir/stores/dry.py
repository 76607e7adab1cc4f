"""A store for dry runs: it is read as usual, and what would be written is only counted."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Sequence

from snapdir.errors import ObjectNotFound
from snapdir.stores.base import BatchWriter, Body, Buffer, NotResumable, ObjectInfo, Page, Store, Upload
from snapdir.stores.blocks import BlockSink
from snapdir.stores.wrapper import StoreWrapper


class DryStore(StoreWrapper):
    """Passes reads on to ``inner``. Writes succeed and do nothing.

    Attributes:
        requests: That were sent, and that would have been sent.
    """

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.requests = 0

    async def stat(self, key: str) -> ObjectInfo:
        self.requests += 1
        return await super().stat(key)

    async def list(self, prefix: str, *, start_after: str = "", resume: str | None = None) -> AsyncIterator[Page]:
        pages = super().list(prefix, start_after=start_after, resume=resume)
        self.requests += 1
        async for page in pages:
            yield page
            self.requests += page.resume is not None

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        self.requests += 1
        return await super().read(key, start=start, length=length)

    async def read_through(self, key: str, sink: BlockSink, *, start: int, length: int) -> None:
        self.requests += 1
        await super().read_through(key, sink, start=start, length=length)

    async def write(self, key: str, body: Body, *, if_absent: bool = False) -> bool:  # noqa: ARG002  # no body is read
        self.requests += 1
        return not (if_absent and await self._has(key))

    async def _has(self, key: str) -> bool:
        try:
            await self.inner.stat(key)
        except ObjectNotFound:
            return False
        return True

    async def copy_from(self, key: str, source: str) -> None:  # noqa: ARG002
        self.requests += 1

    async def begin_upload(
        self,
        key: str,  # noqa: ARG002
        *,
        size: int,  # noqa: ARG002
        part_bytes: int,  # noqa: ARG002
        resume: str | None = None,  # noqa: ARG002
    ) -> Upload:
        self.requests += 1
        return _DryUpload(self)

    async def flush(self) -> None:
        """Nothing was written."""

    async def delete(self, keys: Sequence[str]) -> None:
        """Nothing is deleted."""

    def batch_writer(self) -> BatchWriter | None:
        return None if self.inner.batch_writer() is None else _DryBatch(self.inner)


class _DryUpload(NotResumable):
    def __init__(self, store: DryStore) -> None:
        self._store = store

    async def write_part(self, number: int, body: Body) -> None:  # noqa: ARG002
        self._store.requests += 1

    async def copy_part(self, number: int, source: str, *, start: int, length: int) -> None:  # noqa: ARG002
        self._store.requests += 1

    async def commit(self) -> None:
        self._store.requests += 1

    async def abort(self) -> None:
        """Nothing to drop."""


class _DryBatch:
    """A batch writer of a store on this host that writes nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, key: str, data: Buffer, *, replace: bool) -> bool:
        path = self._store.local_path(key)
        if replace or path is None:
            return True
        try:
            status = os.stat(path)
        except OSError:
            return True
        return not stat.S_ISREG(status.st_mode) or status.st_size != len(data)

    def publish(self) -> None:
        """Nothing was put."""
