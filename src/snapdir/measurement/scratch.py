"""A prefix of a store for temporary objects."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import islice
from pathlib import Path

import anyio.to_thread

from snapdir.errors import SnapdirError, StoreMissing
from snapdir.model.keys import PARTIAL
from snapdir.stores.base import Store

SCRATCH = ".bench/"
"""Prefix of all temporary objects."""
CLEANUP_SECONDS = 15
"""How long cleaning up may take. After that, objects that are left are reported."""
DELETE_AT_ONCE = 1000
LATE_SECONDS = 0.5
"""How late a cancelled request may still have its effect: its connection is closed at once."""


class Scratch:
    """A prefix of one store with a random name.

    Attributes:
        prefix: Ends with a slash.
        used: Set by the caller once it has written something; before that, failures of the clean-up do not matter.
        leftover: After the block: why the prefix could not be emptied; empty if it was.
    """

    def __init__(self) -> None:
        self.prefix = f"{SCRATCH}{os.urandom(8).hex()}/"
        self.used = False
        self.leftover = ""
        self._keys: dict[str, None] = {}

    def key(self, name: str) -> str:
        """The key of ``name``, to be removed afterwards, whether or not its write succeeds."""
        key = self.prefix + name
        self._keys[key] = None
        return key

    async def remove(self, store: Store) -> None:
        """Delete every key of ``key``, then the keys of listings, until a listing is empty.

        A server may still execute a request that was cancelled: the listing of a remote store waits for that.
        """
        keys = iter(self._keys)
        while batch := [*islice(keys, DELETE_AT_ONCE)]:
            await store.delete(batch)
        is_empty = False
        while not is_empty:
            if store.capabilities.remote:
                await anyio.sleep(LATE_SECONDS)
            is_empty = True
            with suppress(StoreMissing):
                async for page in store.list(self.prefix):
                    is_empty = False
                    await store.delete([info.key for info in page])


@asynccontextmanager
async def scratch_in(store: Store) -> AsyncIterator[Scratch]:
    """A Scratch that is emptied when the block ends, also by an error or a cancellation.

    An error of the block passes through, with a note if objects are left behind.
    """
    scratch = Scratch()
    absent = await anyio.to_thread.run_sync(_absent_directories, store, scratch.prefix)
    try:
        yield scratch
    except BaseException as error:
        await _clean(store, scratch, absent)
        if scratch.leftover and scratch.used:
            error.add_note(scratch.leftover)
        raise
    else:
        await _clean(store, scratch, absent)


async def _clean(store: Store, scratch: Scratch, absent: list[Path]) -> None:
    why = f"cleaning up took more than {CLEANUP_SECONDS} s"
    with anyio.move_on_after(CLEANUP_SECONDS, shield=True):
        try:
            await scratch.remove(store)
            if absent:
                await store.aclose()  # a local store: that removes its folder of temporaries
            await anyio.to_thread.run_sync(_remove_directories, absent)
        except SnapdirError as error:
            why = str(error)
        else:
            return
    scratch.leftover = f"objects may be left below {store.url}/{scratch.prefix}: {why}"


def _absent_directories(store: Store, prefix: str) -> list[Path]:
    """The directories that a store on this host has yet to make, the innermost first."""
    inside = store.local_path(prefix.rstrip("/"))
    if inside is None:
        return []
    root = inside.parents[prefix.count("/") - 1]
    candidates = [inside, inside.parent, root / PARTIAL, root, *root.parents]
    return [path for path in candidates if not path.exists()]


def _remove_directories(absent: list[Path]) -> None:
    for path in absent:
        with suppress(OSError):  # not empty: in use by another process
            os.rmdir(path)
