"""A place in a store for things that must be gone afterwards."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import islice
from pathlib import Path

import anyio.to_thread

from snapdir.disk.run_folder import PARTIAL_NAME
from snapdir.errors import SnapdirError, StoreMissing
from snapdir.stores.base import Store

__all__ = ["CLEANUP_SECONDS", "SCRATCH", "Scratch", "scratch"]

SCRATCH = ".bench/"
"""Prefix of everything that is written."""
CLEANUP_SECONDS = 15
"""How long cleaning up may take before what is left is only reported."""
DELETE_AT_ONCE = 1000
LATE_SECONDS = 0.5
"""How late a cancelled request may still have its effect: a connection is closed at once, and no more is on its way."""


class Scratch:
    """A prefix of one store that nobody else uses.

    Attributes:
        prefix: Ends with a slash.
        used: Set by whoever has written something: before that, a failure to clean up is not worth a word.
        leftover: After the block: why the prefix could not be emptied; empty if it was.
    """

    def __init__(self) -> None:
        self.prefix = f"{SCRATCH}{os.urandom(8).hex()}/"
        self.used = False
        self.leftover = ""
        self._keys: dict[str, None] = {}

    def key(self, name: str) -> str:
        """The key of ``name``, to be removed afterwards whether or not its write is known to have happened."""
        key = self.prefix + name
        self._keys[key] = None
        return key

    async def remove(self, store: Store) -> None:
        """Delete every key given out, then whatever listings still show, until one shows nothing.

        A server may still be at work on a request whose sender was cancelled: a remote store is given time for that.
        """
        keys = iter(self._keys)
        while batch := [*islice(keys, DELETE_AT_ONCE)]:
            await store.delete(batch)
        found = True
        while found:
            if store.capabilities.remote:
                await anyio.sleep(LATE_SECONDS)
            found = False
            with suppress(StoreMissing):
                async for page in store.list(self.prefix):
                    found = True
                    await store.delete([info.key for info in page])


@asynccontextmanager
async def scratch(store: Store) -> AsyncIterator[Scratch]:
    """A Scratch that is emptied when the block ends, also by an error or a cancellation.

    An error of the block stays the one that is raised, with a note if something had to be left behind.
    """
    place = Scratch()
    absent = await anyio.to_thread.run_sync(_absent_directories, store, place.prefix)
    try:
        yield place
    except BaseException as error:
        await _clean(store, place, absent)
        if place.leftover and place.used:
            error.add_note(place.leftover)
        raise
    else:
        await _clean(store, place, absent)


async def _clean(store: Store, place: Scratch, absent: list[Path]) -> None:
    why = f"cleaning up took more than {CLEANUP_SECONDS} s"
    with anyio.move_on_after(CLEANUP_SECONDS, shield=True):
        try:
            await place.remove(store)
            if absent:
                await store.aclose()  # a local one: its folder of temporaries goes, and it may be used again
            await anyio.to_thread.run_sync(_remove_directories, absent)
        except SnapdirError as error:
            why = str(error)
        else:
            return
    place.leftover = f"objects may be left below {store.url}/{place.prefix}: {why}"


def _absent_directories(store: Store, prefix: str) -> list[Path]:
    """The directories that a store on this host is going to make, the innermost first."""
    inside = store.local_path(prefix.rstrip("/"))
    if inside is None:
        return []
    root = inside.parents[prefix.count("/") - 1]
    candidates = [inside, inside.parent, root / PARTIAL_NAME, root, *root.parents]
    return [path for path in candidates if not path.exists()]


def _remove_directories(absent: list[Path]) -> None:
    for path in absent:
        with suppress(OSError):  # not empty: somebody else uses it by now
            os.rmdir(path)
