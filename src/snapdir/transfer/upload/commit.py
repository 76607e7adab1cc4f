"""An upload in parts that is published whole, or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio

from snapdir.errors import StoreError
from snapdir.model.source import SourceFile
from snapdir.stores.base import Upload
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.interruption import is_interruption
from snapdir.transfer.upload.journal import JournalEntry

__all__ = ["ABORT_SECONDS", "UploadNote", "committed"]

ABORT_SECONDS = 10
"""How long a failed upload may take to be dropped at the store before it is left to the store's lifecycle rules."""


class UploadNote:
    """The note of one upload for a later run.

    Args:
        source: The file that is sent, if one is.
        resumable: What is sent was hashed before.

    Attributes:
        keepable: A later run may go on with the upload.
    """

    def __init__(self, entry: JournalEntry, upload: Upload, source: SourceFile | None, *, resumable: bool) -> None:
        self._entry = entry
        self._upload = upload
        entry.note(upload.resume_token, upload.held_bytes if resumable else 0, source)
        self._is_written = upload.resume_token is not None and upload.resume_token == entry.token()
        self.keepable = resumable and self._is_written

    def completing(self) -> None:
        """All parts are at the store, and right: from now on any run may go on with it."""
        self.keepable = self._is_written
        self.update()

    def update(self) -> None:
        """Write down how much of the upload the store holds."""
        if self.keepable and self._upload.resume_token is not None:
            self._entry.note_held(self._upload.resume_token, self._upload.held_bytes)


@asynccontextmanager
async def committed(upload: Upload, note: UploadNote, counters: Counters) -> AsyncIterator[Upload]:
    """Commit ``upload`` when the block has ended well; otherwise drop it, while a cancellation waits.

    One that a later run can go on with is left where it is (see ``is_interruption``).
    """
    try:
        yield upload
        note.completing()
        with counters.store_at_work():
            await upload.commit()
    except BaseException as error:
        if note.keepable and is_interruption(error):
            upload.keep()
            note.update()
            raise
        # Should that fail too, the store tries it again when it is closed; the cause is what has gone wrong here.
        with anyio.move_on_after(ABORT_SECONDS, shield=True), suppress(StoreError):
            await upload.abort()
        raise
