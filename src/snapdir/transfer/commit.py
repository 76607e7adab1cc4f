"""An upload in parts that is published whole, or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio

from snapdir.errors import StoreError
from snapdir.stores.base import Upload
from snapdir.transfer.interruption import is_interruption

__all__ = ["ABORT_SECONDS", "committed"]

ABORT_SECONDS = 10
"""How long a failed upload may take to be dropped at the store before it is left to the store's lifecycle rules."""


@asynccontextmanager
async def committed(upload: Upload, *, keepable: bool = False) -> AsyncIterator[Upload]:
    """Commit ``upload`` when the block has ended well; otherwise drop it, while a cancellation waits.

    Args:
        keepable: Its token is noted: leave it where a later run can go on with it (see ``is_interruption``).
    """
    try:
        yield upload
        await upload.commit()
    except BaseException as error:
        if keepable and is_interruption(error):
            upload.keep()
            raise
        # Should that fail too, the store tries it again when it is closed; the cause is what has gone wrong here.
        with anyio.move_on_after(ABORT_SECONDS, shield=True), suppress(StoreError):
            await upload.abort()
        raise
