"""Copies of downloaded objects for a cache, where the filesystem makes them for nothing. Blocking."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from snapdir.disk.staging import Staging
from snapdir.disk.system import reflink
from snapdir.errors import LocalError
from snapdir.model.keys import OBJECT_MODE, object_key
from snapdir.stores.file.writing import FileWriter, remove
from snapdir.stores.settings import StoreSettings
from snapdir.transfer.engine.planned_objects import PlannedObject


class KeptCopies:
    """Reflinks of the temporaries of a destination: objects of a cache that share their blocks with the files.

    A copy is made when the bytes of a temporary have been verified, and gets its name when they are on the disk. A copy
    that fails is none: the download goes on. For several threads.

    Args:
        root: The directory of the cache.
    """

    def __init__(self, root: str, settings: StoreSettings) -> None:
        self._writer = FileWriter(root, settings)
        self._made: list[tuple[str, str]] = []
        self._fails = False

    def add(self, planned: PlannedObject, descriptor: int) -> None:
        """Copy an object from a temporary whose bytes the caller has verified."""
        if self._fails:
            return
        try:
            temporary, copy = self._writer.create(OBJECT_MODE)
        except OSError:
            self._fails = True
            return
        try:
            is_copied = reflink(descriptor, copy)
        except OSError:
            is_copied = False
        finally:
            os.close(copy)
        if is_copied:
            self._made.append((temporary, object_key(planned.digest)))
        else:
            self._fails = True
            remove(temporary)

    def publish(self) -> int:
        """Name the copies, whose blocks are on the disk now; how many there are."""
        published = 0
        with suppress(OSError):
            while self._made:
                self._writer.publish(*self._made[-1], flushed=True)
                self._made.pop()
                published += 1
        return published

    def close(self) -> None:
        """Remove the copies that got no name."""
        with suppress(OSError):
            for temporary, _ in self._made:
                remove(temporary)
        self._writer.close()


def makes_reflinks(staging: Staging) -> bool:
    """Whether the filesystem of a destination can share blocks between files: tried with two empty files."""
    with suppress(LocalError, OSError), _probe(staging) as source, _probe(staging) as target:
        return reflink(source, target)
    return False


@contextmanager
def _probe(staging: Staging) -> Iterator[int]:
    name = f"probe.{os.urandom(4).hex()}"
    descriptor = staging.create(name)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
        staging.discard(name)
