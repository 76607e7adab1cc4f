"""What the directories of one tree were when they were last read. Blocking.

The file has one record for each directory, in the order of a walk. A run reads it from its start while it walks, and
writes another one beside it as soon as something differs, which replaces it at the end. So nothing is locked: runs at
the same time read whole files, and the last one to end leaves its own. Whatever goes wrong, the tree is read.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from snapdir.disk.filesystems import keeps_states
from snapdir.disk.run_folder import RunFolder
from snapdir.hashing.tree_text import DirectoryText, TextRange
from snapdir.index.files import IndexPlace, file_of, header_of, keep_within, key_of
from snapdir.index.record import Record, Unsettled, read_record
from snapdir.model.keys import PARTIAL
from snapdir.model.sizes import MIB

COPIED_BYTES = 8 * MIB
"""Copied at once from the old file to the new one: this bounds the memory that a copy takes."""


class TreeIndex:
    """The index of one tree for one run. Close it after use.

    Args:
        options: Those that change what is listed.
        clock: Nanoseconds of the clock that stamps files.

    Raises:
        OSError: the root is missing.
    """

    def __init__(
        self,
        place: IndexPlace,
        root: str,
        options: tuple[object, ...],
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        status = os.stat(root)
        key = key_of(root, status, options)
        self.clock = clock
        self._place = place
        self._file = file_of(place, key)
        self._header = header_of(key, root)
        self._devices: dict[int, bool] = {}
        self._lock = threading.Lock()
        self._waiting: deque[Unsettled | Record] = deque()
        self._texts: dict[str, bytes | None] = {}
        self._folder = RunFolder(place.cache_dir / PARTIAL)
        self._old = self._new = -1
        self._new_file: Path | None = None
        self._written = 0
        self._next: Record | None = None
        self._read_until = self._copied_until = len(self._header)
        self._gives_up = False
        if not place.rehash:
            self._open_old()

    def keeps(self, device: int, directory: str) -> bool:
        """Whether the filesystem of a directory has states that can be remembered."""
        if device not in self._devices:
            self._devices[device] = keeps_states(directory)
            if not self._devices[device]:
                _note(f"{directory} is on a filesystem whose inodes or times may change: its files are read each time")
        return self._devices[device]

    def at(self, path: str) -> Record | None:
        """What is known of the next directory of the walk."""
        while self._next is not None and self._next.path < path:
            self._advance()
        if self._next is None or self._next.path != path:
            return None
        record = self._next
        self._advance()
        return record

    def keep(self, record: Record) -> None:
        """The directory is as it was."""
        with self._lock:
            if self._new < 0 and not self._waiting and record.start == self._copied_until:
                self._copied_until = record.end
            else:
                self._waiting.append(record._replace(text=b"", names=b"", states=b""))
                self._write_ready()

    def begin(self, unsettled: Unsettled) -> None:
        """The directory has changed, or is new; ``complete`` follows when its files are hashed."""
        with self._lock:
            self._texts[unsettled.directory.path] = None
            self._waiting.append(unsettled)

    def complete(self, directory: DirectoryText, text: bytes) -> bool:
        """The text of a directory; False if it is not written here, because it did not begin or the disk is full."""
        with self._lock:
            if self._gives_up or directory.path not in self._texts:
                return False
            self._texts[directory.path] = text
            self._write_ready()
            return True

    def end_walk(self) -> None:
        """Every directory was seen: what else the index knows is gone."""
        self._next = None

    def close(self) -> None:
        """Keep what was learned; also after a failure. Never fails; safe to repeat."""
        with self._lock:
            self._waiting.clear()
            try:
                self._commit()
            except OSError:
                self._gives_up = True
            for descriptor in (self._old, self._new):
                if descriptor >= 0:
                    os.close(descriptor)
            if self._new_file is not None:
                with suppress(OSError):
                    self._new_file.unlink(missing_ok=True)
            self._folder.close()
            self._old = self._new = -1
            self._new_file = None

    def _open_old(self) -> None:
        with suppress(OSError):
            self._old = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC)
            if os.pread(self._old, len(self._header), 0) == self._header:
                self._advance()

    def _advance(self) -> None:
        try:
            self._next = read_record(self._old, self._read_until)
        except OSError:
            self._next = None
        if self._next is not None:
            self._read_until = self._next.end

    def _write_ready(self) -> None:
        """Write the directories at the head of the queue that are complete."""
        while self._waiting:
            head = self._waiting[0]
            text = b"" if isinstance(head, Record) else self._texts[head.directory.path]
            if text is None:
                return
            self._waiting.popleft()
            try:
                if self._gives_up:
                    continue
                if isinstance(head, Record):
                    self._copy(head.start, head.end)
                else:
                    del self._texts[head.directory.path]
                    self._write(head, text)
            except OSError as error:  # the cache is read-only or full: the run goes on without
                self._gives_up = True
                _note(f"what this run reads is not remembered: {error}")

    def _write(self, head: Unsettled, text: bytes) -> None:
        record = head.record(text)
        encoded, offset = record.encoded()
        start = self._append(encoded)
        head.directory.text = TextRange(self._new, start + offset, len(text))

    def _copy(self, start: int, end: int) -> None:
        while start < end:
            some = os.pread(self._old, min(COPIED_BYTES, end - start), start)
            if not some:
                raise OSError("the index was cut while it was read")
            self._append(some)
            start += len(some)

    def _append(self, data: bytes) -> int:
        if self._new < 0:
            self._begin_new()
        start = self._written
        if start + len(data) > self._place.max_bytes:
            raise OSError("the index would be larger than --index-size")
        while data:
            done = os.pwrite(self._new, data, self._written)
            self._written += done
            data = data[done:]
        return start

    def _begin_new(self) -> None:
        file = Path(self._folder.path, "index")
        self._new = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._new_file = file
        self._append(self._header)
        self._copy(len(self._header), self._copied_until)

    def _commit(self) -> None:
        """Put the new file in the place of the old one, with the rest of that if the walk has not come to its end."""
        if self._new_file is not None and not self._gives_up:
            while self._next is not None:
                self._copy(self._next.start, self._next.end)
                self._advance()
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._new_file.replace(self._file)
            self._new_file = None
            keep_within(self._place)
        elif self._old >= 0:
            os.utime(self._old)


def _note(line: str) -> None:
    import logging  # start-up that most runs do not need

    logging.getLogger("snapdir.index").info("%s", line)
