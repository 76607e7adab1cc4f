"""Records of uploads in progress, so that the next push resumes those of a killed one. Blocking.

One file for each upload below ``<cache>/.uploads/``, named by store, object and part size. It holds the store's token,
the bytes that the store holds and the path of the file that is sent, and is locked while a process works on it. The
store's own list of parts, their sizes and their checksums decide, never the note.
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
from snapdir.model.keys import UPLOADS
from snapdir.model.source import SourceFile, identity_of

MAX_TOKEN_BYTES = 4096
MAX_NOTE_BYTES = 4 * MAX_TOKEN_BYTES
"""A token, the longest path, and a few numbers."""
HELD_DIGITS = 20
"""A fixed width, so that they can be overwritten in place."""


class _Note(NamedTuple):
    """A note: the token, then a line each with the bytes that the store holds, the file's state, and its path."""

    token: str
    held_bytes: int
    identity: str
    file: str

    @classmethod
    def parse(cls, text: bytes) -> _Note:
        """Damaged text, which a crash may leave, is an empty note."""
        token, held, identity, file = (*text.split(b"\n", 3), b"", b"", b"")[:4]
        held_bytes = int(held) if held.isdigit() and len(held) == HELD_DIGITS else 0
        known = token[:MAX_TOKEN_BYTES].decode(errors="replace")
        return cls(known, held_bytes, identity.decode(errors="replace"), os.fsdecode(file))

    def is_about(self, tree: str) -> bool:
        """Whether the file lies below ``tree``, and has not changed."""
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
    """The note of one upload, locked for this process; without a descriptor it stays empty.

    ``close`` removes it, also after an upload that failed (and so was aborted); ``leave`` leaves it for the next run,
    as a process that is killed does.
    """

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self._path = path
        self._descriptor = descriptor

    def token(self) -> str | None:
        """The store's name for the upload, as noted; None without one."""
        return self._read().token or None

    def held_bytes(self) -> int:
        """Bytes of the upload that the store held, as noted."""
        return self._read().held_bytes

    def _read(self) -> _Note:
        return _Note.parse(b"" if self._descriptor is None else os.pread(self._descriptor, MAX_NOTE_BYTES, 0))

    def note(self, token: str | None, held_bytes: int, source: SourceFile | None = None) -> None:
        """Note how to resume the upload. If the disk is full, the push goes on without a note."""
        if self._descriptor is not None and token is not None:
            note = f"{token}\n{held_bytes:0{HELD_DIGITS}}".encode()
            if source is not None:
                note += f"\n{_text(source.identity)}\n".encode() + os.fsencode(source.file)
            with suppress(OSError):
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, note, 0)

    def note_held(self, token: str, held_bytes: int) -> None:
        """Note how much the store holds; the rest of the note stays, also on a full disk."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.pwrite(self._descriptor, f"{held_bytes:0{HELD_DIGITS}}".encode(), len(token.encode()) + 1)

    def leave(self) -> None:
        """Unlock the note; it stays. Safe to repeat."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def close(self) -> None:
        """Remove the note. Safe to repeat."""
        if self._descriptor is not None:
            self._path.unlink(missing_ok=True)
        self.leave()


class UploadJournal:
    """Notes about the uploads to one store.

    Args:
        cache_dir: The cache they are kept in; None keeps no notes.
        store_url: Names the store.
    """

    def __init__(self, cache_dir: Path | None, store_url: str) -> None:
        self._folder = None if cache_dir is None else cache_dir / UPLOADS
        self._store = blake3(store_url.encode(errors="surrogateescape")).hexdigest()[:32]

    def open(self, digest: str, part_bytes: int) -> JournalEntry:
        """The note of one upload; it stays empty where another process has locked it, or the disk refuses."""
        if self._folder is None:
            return JournalEntry(Path(), None)
        path = self._folder / f"{self._store}-{digest}-{part_bytes}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return JournalEntry(path, open_locked(path))
        except OSError:
            return JournalEntry(path, None)

    def abandoned(self, settled: Iterable[str]) -> list[tuple[Digest, JournalEntry]]:
        """Objects whose uploads will not be resumed, with their notes, which the caller closes.

        They are those of ``settled`` objects, those untouched for KEPT_SECONDS, and those that may not be resumed
        (noted for parts of 0 bytes, with nothing held). Without notes ``settled`` is not read.
        """
        notes = [*self._notes()]
        noted = {digest for digest, _, _ in notes}
        present = {digest for digest in settled if digest in noted} if noted else set()
        abandoned = []
        for digest, part_bytes, path in notes:
            with suppress(OSError):  # another process has locked it
                idle = time.time() - path.stat().st_mtime
                if digest in present or part_bytes == "0" or idle > KEPT_SECONDS:
                    entry = JournalEntry(path, open_locked(path))
                    if digest in present or idle > KEPT_SECONDS or not entry.held_bytes():
                        abandoned.append((digest, entry))
                    else:  # the store was completing it
                        entry.leave()
        return abandoned

    def kept(self, tree: str, part_bytes: Callable[[int], int]) -> list[int]:
        """For each upload that a push of ``tree`` would resume: how many bytes of it the store holds.

        Args:
            part_bytes: The size of the parts in which that push sends a file of a size.
        """
        held = []
        for _, noted_part_bytes, path in self._notes():
            with suppress(OSError):  # another process has locked it
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
