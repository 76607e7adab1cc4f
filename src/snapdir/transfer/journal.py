"""Uploads under way, written down so that a killed push can go on where it stopped. Blocking.

One file an upload below ``<cache>/.uploads/``, named by store, object and part size; it holds the store's token and is
locked while a process works on it. A journal is never trusted for correctness: the store's own list of parts, their
sizes and their checksums decide.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from blake3 import blake3

from snapdir.disk.claims import open_locked
from snapdir.disk.run_folder import KEPT_SECONDS
from snapdir.errors import InvalidId
from snapdir.model.digest import Digest

__all__ = ["JournalEntry", "UploadJournal"]

UPLOADS_NAME = ".uploads"
MAX_TOKEN_BYTES = 4096


class JournalEntry:
    """The note of one upload, locked for this process; without a descriptor it remembers nothing.

    ``close`` takes it away, also after an upload that failed (and so was aborted); ``leave`` leaves it for the next
    run, as a process that is killed does.
    """

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self._path = path
        self._descriptor = descriptor

    def token(self) -> str | None:
        """The token noted by an earlier run."""
        if self._descriptor is None:
            return None
        return os.pread(self._descriptor, MAX_TOKEN_BYTES, 0).decode(errors="replace") or None

    def note(self, token: str | None) -> None:
        """Write down how to go on. A full disk makes no push fail: a killed one begins this upload anew then."""
        if self._descriptor is not None and token is not None:
            with suppress(OSError):
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, token.encode(), 0)

    def leave(self) -> None:
        """Let go of the note and let it stay. Safe to repeat."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def close(self) -> None:
        """Forget the upload. Safe to repeat."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            self._path.unlink(missing_ok=True)
            os.close(descriptor)


class UploadJournal:
    """Notes about the uploads to one store.

    Args:
        cache_dir: The cache they are kept in; None keeps no notes.
        store_url: Names the store.
    """

    def __init__(self, cache_dir: Path | None, store_url: str) -> None:
        self._folder = None if cache_dir is None else cache_dir / UPLOADS_NAME
        self._store = blake3(os.fsencode(store_url)).hexdigest()[:32]

    def open(self, digest: str, part_bytes: int) -> JournalEntry:
        """The note of one upload; one that remembers nothing where another process has it, or no disk does."""
        if self._folder is None:
            return JournalEntry(Path(), None)
        path = self._folder / f"{self._store}-{digest}-{part_bytes}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return JournalEntry(path, open_locked(path))
        except OSError:
            return JournalEntry(path, None)

    def abandoned(self, settled: Iterable[str]) -> list[tuple[Digest, JournalEntry]]:
        """Objects whose uploads no run will go on with, with their notes, which the caller closes.

        Those of objects that are ``settled``, those that no run has worked on for KEPT_SECONDS, and those that no run
        may go on with (noted for parts of 0 bytes). Without notes ``settled`` is not looked at.
        """
        notes = [*self._notes()]
        noted = {digest for digest, _, _ in notes}
        present = {digest for digest in settled if digest in noted} if noted else set()
        found = []
        for digest, part_bytes, path in notes:
            with suppress(OSError):  # another process is at it
                idle = time.time() - path.stat().st_mtime
                if digest in present or part_bytes == "0" or idle > KEPT_SECONDS:
                    found.append((digest, JournalEntry(path, open_locked(path))))
        return found

    def _notes(self) -> Iterator[tuple[Digest, str, Path]]:
        """Object, part size and file of every note about this store."""
        if self._folder is None:
            return
        with suppress(OSError):
            for name in os.listdir(self._folder):
                store, _, rest = name.partition("-")
                digest, _, part_bytes = rest.partition("-")
                if store == self._store:
                    with suppress(InvalidId):
                        yield Digest(digest), part_bytes, self._folder / name
