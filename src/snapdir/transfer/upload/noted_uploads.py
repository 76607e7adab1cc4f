"""Uploads in parts, noted in the cache while they are under way: a later run goes on with them, or drops them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.to_thread

from snapdir.errors import SnapdirError
from snapdir.model.digest import Digest
from snapdir.model.source import SourceFile
from snapdir.repository.repository import Repository
from snapdir.stores.base import Upload
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.interruption import is_interruption
from snapdir.transfer.upload.commit import ABORT_SECONDS, UploadNote, committed
from snapdir.transfer.upload.journal import JournalEntry, UploadJournal

__all__ = ["NotedUploads"]


class NotedUploads:
    """Uploads to one repository.

    An upload that is cancelled, or whose network fails, stays at the store with its note, and the next run sends the
    parts that are missing. One that fails otherwise is dropped. (A store that gives no tokens keeps nothing.)

    Args:
        resumable: What is sent was hashed before. Otherwise a part at the store may hold bytes that turned out wrong
            after they were sent: no run goes on with such an upload, and the next one drops it. One that was being
            completed held right bytes only.
    """

    def __init__(
        self, to: Repository, journal: UploadJournal | None, counters: Counters, *, resumable: bool = True
    ) -> None:
        self._to = to
        self._journal = journal or UploadJournal(None, to.objects.url)
        self._counters = counters
        self._resumable = resumable

    @asynccontextmanager
    async def begin(
        self, digest: Digest, *, size: int, part_bytes: int, source: SourceFile | None = None
    ) -> AsyncIterator[Upload]:
        """An upload that is committed when the block has ended well.

        Args:
            source: The file that is sent, for ``counting_kept``.
        """
        entry = await anyio.to_thread.run_sync(self._journal.open, digest, part_bytes if self._resumable else 0)
        keeps = False
        try:
            token = entry.token()
            if token is not None and not (self._resumable or entry.held_bytes() == size):
                await self._drop(digest, token)
                token = None
            try:
                upload = await self._to.begin_object(digest, size=size, part_bytes=part_bytes, resume=token)
            except BaseException:
                keeps = token is not None  # nobody has looked at that upload yet
                raise
            note = UploadNote(entry, upload, source, resumable=self._resumable)
            try:
                async with committed(upload, note, self._counters):
                    yield upload
            except BaseException as error:
                keeps = note.keepable and is_interruption(error)
                raise
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(entry.leave if keeps else entry.close)

    @asynccontextmanager
    async def counting_kept(self, tree: str, part_bytes: Callable[[int], int]) -> AsyncIterator[None]:
        """Count what the store keeps for the next push of ``tree`` if the block fails, whichever run has sent it.

        Args:
            part_bytes: The size of the parts in which a file of a size is sent.
        """
        try:
            yield
        except BaseException:
            with anyio.CancelScope(shield=True):
                held = await anyio.to_thread.run_sync(self._journal.kept, tree, part_bytes)
            begun = [held_bytes for held_bytes in held if held_bytes] or held
            for held_bytes in begun:
                self._counters.keep(held_bytes, self._to.objects.url)
            raise

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
