"""Uploads in parts, noted in the cache while they are under way: a later run goes on with them, or drops them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.to_thread

from snapdir.errors import SnapdirError
from snapdir.model.digest import Digest
from snapdir.repository.repository import Repository
from snapdir.stores.base import Body, Upload, body_length
from snapdir.transfer.commit import ABORT_SECONDS, committed
from snapdir.transfer.events import Counters
from snapdir.transfer.interruption import is_interruption
from snapdir.transfer.journal import JournalEntry, UploadJournal

__all__ = ["NotedUploads"]


class NotedUploads:
    """Uploads to one repository.

    An upload that is cancelled, or whose network fails, stays at the store with its note, and the next run sends the
    parts that are missing. One that fails otherwise is dropped. (A store that gives no tokens keeps nothing.)

    Args:
        resumable: What is sent was hashed before. Otherwise a part at the store may hold bytes that turned out wrong
            after they were sent: no run goes on with such an upload, and the next one drops it.
    """

    def __init__(
        self, to: Repository, journal: UploadJournal | None, counters: Counters, *, resumable: bool = True
    ) -> None:
        self._to = to
        self._journal = journal or UploadJournal(None, to.objects.url)
        self._counters = counters
        self._resumable = resumable

    @asynccontextmanager
    async def begin(self, digest: Digest, *, size: int, part_bytes: int) -> AsyncIterator[Upload]:
        """An upload that is committed when the block has ended well."""
        entry = await anyio.to_thread.run_sync(self._journal.open, digest, part_bytes if self._resumable else 0)
        keeps = False
        try:
            token = entry.token()
            if token is not None and not self._resumable:
                await self._drop(digest, token)
                token = None
            try:
                begun = await self._to.begin_object(digest, size=size, part_bytes=part_bytes, resume=token)
            except BaseException:
                keeps = token is not None  # nobody has looked at that upload yet
                raise
            upload = _CountedUpload(begun)
            entry.note(begun.resume_token)
            keepable = self._resumable and begun.resume_token is not None and begun.resume_token == entry.token()
            try:
                async with committed(upload, keepable=keepable):
                    yield upload
            except BaseException as error:
                keeps = keepable and is_interruption(error)
                if keeps and upload.bytes_held:
                    self._counters.keep(upload.bytes_held, self._to.objects.url)
                raise
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(entry.leave if keeps else entry.close)

    async def sweep(self, settled: Iterable[str]) -> None:
        """Drop the uploads of earlier runs that no run will go on with, once a run has ended well.

        Args:
            settled: Objects that are at the store.
        Cost: nothing without notes; two requests for each upload that is dropped.
        """
        abandoned = await anyio.to_thread.run_sync(self._journal.abandoned, settled)
        try:
            for digest, entry in abandoned:
                await self._drop_noted(digest, entry)
        finally:
            for _, entry in abandoned:
                entry.leave()  # those that a cancellation has left for the next run

    async def _drop_noted(self, digest: Digest, entry: JournalEntry) -> None:
        try:
            token = entry.token()
            if token is not None:
                await self._drop(digest, token)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(entry.close)

    async def _drop(self, digest: Digest, token: str) -> None:
        """One that cannot be dropped is left to the lifecycle rules of the store."""
        with anyio.move_on_after(ABORT_SECONDS), suppress(SnapdirError):
            upload = await self._to.begin_object(digest, size=0, part_bytes=1, resume=token)
            await upload.abort()


class _CountedUpload:
    """An upload that counts the bytes of the parts it holds."""

    def __init__(self, inner: Upload) -> None:
        self._inner = inner
        self._lengths: dict[int, int] = {}
        self.resume_token = inner.resume_token
        self.commit = inner.commit
        self.abort = inner.abort
        self.keep = inner.keep
        self.copy_part = inner.copy_part

    @property
    def bytes_held(self) -> int:
        return sum(self._lengths.values())

    async def write_part(self, number: int, body: Body) -> None:
        await self._inner.write_part(number, body)
        self._lengths[number] = body_length(body)
