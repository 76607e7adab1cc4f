"""Uploads in parts, recorded in the cache while they run: a later run resumes or drops them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress

import anyio.to_thread

from snapdir.errors import SnapdirError, StoreError
from snapdir.model.digest import Digest
from snapdir.model.source import SourceFile
from snapdir.repository.repository import Repository
from snapdir.stores.base import ABORT_SECONDS, Upload
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.interruption import is_interruption
from snapdir.transfer.upload.journal import JournalEntry, UploadJournal


class NotedUploads:
    """Uploads to one repository.

    An upload that is cancelled, or whose network fails, stays at the store with its note, and the next run sends the
    parts that are missing. An upload that fails otherwise is dropped. (A store that gives no tokens keeps nothing.)

    Args:
        resumable: The content was hashed before it is sent. Otherwise a part at the store may hold bytes that turned
            out wrong after they were sent: such an upload is not resumed, and the next run drops it, unless the store
            was already completing it: then it held right bytes only.
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
        """An upload that is committed if the block succeeds, and otherwise kept or dropped. Cancellation waits for it.

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
            keeps = token is not None  # if the store fails now, the noted upload may still be there
            upload = await self._to.begin_object(digest, size=size, part_bytes=part_bytes, resume=token)
            keeps = False
            note = _UploadNote(entry, upload, source, resumable=self._resumable)
            try:
                yield upload
                note.completing()
                with self._counters.store_at_work():
                    await upload.commit()
            except BaseException as error:
                keeps = note.keepable and is_interruption(error)
                if keeps:
                    upload.keep()
                    note.update()
                else:
                    # If this fails, the store tries again when it is closed; the error of the block says more.
                    with anyio.move_on_after(ABORT_SECONDS, shield=True), suppress(StoreError):
                        await upload.abort()
                raise
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(entry.leave if keeps else entry.close)

    @asynccontextmanager
    async def counting_kept(self, tree: str, part_bytes: Callable[[int], int]) -> AsyncIterator[None]:
        """If the block fails, count the bytes that the store keeps for the next push of ``tree``, from all runs.

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
        """After a successful run, drop uploads of earlier runs that will not be resumed.

        Args:
            settled: Objects that are at the store.
        Cost: nothing without notes; two requests for each upload that is dropped.
        """
        abandoned = await anyio.to_thread.run_sync(self._journal.abandoned, settled)
        try:
            for digest, entry in abandoned:
                try:
                    if (token := entry.token()) is not None:
                        await self._drop(digest, token)
                finally:
                    with anyio.CancelScope(shield=True):
                        await anyio.to_thread.run_sync(entry.close)
        finally:
            for _, entry in abandoned:
                entry.leave()  # those that a cancellation has left for the next run

    async def _drop(self, digest: Digest, token: str) -> None:
        """Abort an upload; if that fails, the lifecycle rules of the store remove it."""
        with anyio.move_on_after(ABORT_SECONDS) as scope, suppress(SnapdirError):
            upload = await self._to.begin_object(digest, size=0, part_bytes=1, resume=token)
            scope.shield = True  # a cancellation waits for the abort
            await upload.abort()


class _UploadNote:
    """The note of one upload for a later run.

    Attributes:
        keepable: A later run may resume the upload.
    """

    def __init__(self, entry: JournalEntry, upload: Upload, source: SourceFile | None, *, resumable: bool) -> None:
        self._entry = entry
        self._upload = upload
        entry.note(upload.resume_token, upload.held_bytes if resumable else 0, source)
        self._is_written = upload.resume_token is not None and upload.resume_token == entry.token()
        self.keepable = resumable and self._is_written

    def completing(self) -> None:
        """All parts are at the store, and right: from now on any run may resume it."""
        self.keepable = self._is_written
        self.update()

    def update(self) -> None:
        """Note how much of the upload the store holds."""
        if self.keepable and self._upload.resume_token is not None:
            self._entry.note_held(self._upload.resume_token, self._upload.held_bytes)
