"""Uploads under way, written down so that a killed push can go on where it stopped. Blocking.

One file an upload below ``<cache>/.uploads/``, named by store, object and part size; it holds the store's token, how
much the store holds and which file is sent, and is locked while a process works on it. A journal is never trusted for
correctness: the store's own list of parts, their sizes and their checksums decide.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from snapdir.disk.claims import open_locked
from snapdir.disk.long_paths import status_of
from snapdir.disk.run_folder import KEPT_SECONDS
from snapdir.errors import InvalidId
from snapdir.model.digest import Digest
from snapdir.model.source import SourceFile, identity_of

__all__ = ["JournalEntry", "UploadJournal"]

UPLOADS_NAME = ".uploads"
MAX_TOKEN_BYTES = 4096
MAX_NOTE_BYTES = 4 * MAX_TOKEN_BYTES
"""A token, the longest path, and a few numbers."""
HELD_DIGITS = 20
"""Always as many, so that they can be overwritten in place."""


class _Note(NamedTuple):
    """What a note says: the token, then a line each with the bytes that the store holds, the file's state, its path."""

    token: str
    held_bytes: int
    identity: str
    file: str

    @classmethod
    def parse(cls, text: bytes) -> _Note:
        """Nonsense, which a crash may leave, is a note of nothing."""
        token, held, identity, file = (*text.split(b"\n", 3), b"", b"", b"")[:4]
        held_bytes = int(held) if held.isdigit() and len(held) == HELD_DIGITS else 0
        known = token[:MAX_TOKEN_BYTES].decode(errors="replace")
        return cls(known, held_bytes, identity.decode(errors="replace"), os.fsdecode(file))

    def is_about(self, tree: str) -> bool:
        """Whether the file is one below ``tree``, and has not changed."""
        if not self.file.startswith(tree.rstrip("/") + "/"):
            return False
        with suppress(OSError, ValueError):
            return self.identity == _text(identity_of(status_of(self.file)))
        return False

    @property
    def file_bytes(self) -> int:
        return int(self.identity.partition(" ")[0])


def _text(identity: tuple[int, ...]) -> str:
    return " ".join(map(str, identity))


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
        return _Note.parse(os.pread(self._descriptor, MAX_NOTE_BYTES, 0)).token or None

    def held_bytes(self) -> int:
        """How much of the upload the store held, as noted by an earlier run."""
        if self._descriptor is None:
            return 0
        return _Note.parse(os.pread(self._descriptor, MAX_NOTE_BYTES, 0)).held_bytes

    def note(self, token: str | None, held_bytes: int, source: SourceFile | None = None) -> None:
        """Write down how to go on. A full disk makes no push fail: a killed one begins this upload anew then."""
        if self._descriptor is not None and token is not None:
            note = f"{token}\n{held_bytes:0{HELD_DIGITS}}".encode()
            if source is not None:
                note += f"\n{_text(source.identity)}\n".encode() + os.fsencode(source.file)
            with suppress(OSError):
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, note, 0)

    def note_held(self, token: str, held_bytes: int) -> None:
        """Write down anew how much the store holds; all else stays, also on a full disk."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.pwrite(self._descriptor, f"{held_bytes:0{HELD_DIGITS}}".encode(), len(token.encode()) + 1)

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
        self._store = blake3(store_url.encode(errors="surrogateescape")).hexdigest()[:32]

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
        may go on with (noted for parts of 0 bytes, with nothing held). Without notes ``settled`` is not looked at.
        """
        notes = [*self._notes()]
        noted = {digest for digest, _, _ in notes}
        present = {digest for digest in settled if digest in noted} if noted else set()
        found = []
        for digest, part_bytes, path in notes:
            with suppress(OSError):  # another process is at it
                idle = time.time() - path.stat().st_mtime
                if digest in present or part_bytes == "0" or idle > KEPT_SECONDS:
                    entry = JournalEntry(path, open_locked(path))
                    if digest in present or idle > KEPT_SECONDS or not entry.held_bytes():
                        found.append((digest, entry))
                    else:  # it was being completed
                        entry.leave()
        return found

    def kept(self, tree: str, part_bytes: Callable[[int], int]) -> list[int]:
        """For each upload that a push of ``tree`` would go on with: how many bytes of it the store holds.

        Args:
            part_bytes: The size of the parts in which that push sends a file of a size.
        """
        held = []
        for _, noted_part_bytes, path in self._notes():
            with suppress(OSError):  # another process is at it
                with open(open_locked(path), "rb") as file:
                    note = _Note.parse(file.read(MAX_NOTE_BYTES))
                if note.token and note.is_about(tree) and noted_part_bytes == str(part_bytes(note.file_bytes)):
                    held.append(note.held_bytes)
        return held

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
