"""Sinks of downloaded objects, which write verified bytes as files under their final names. Blocking."""

from __future__ import annotations

import os
from functools import cached_property
from typing import Protocol

from snapdir.disk.clone import copy_contents
from snapdir.disk.destination import Destination
from snapdir.disk.modes import RefusedModes, set_mode
from snapdir.disk.run_folder import CLAIMED
from snapdir.errors import LocalError, local_errors
from snapdir.model.keys import OBJECT_MODE, PARTIAL
from snapdir.model.paths import Names
from snapdir.stores.base import Buffer
from snapdir.stores.file.batch import FileBatch
from snapdir.stores.file.writing import FileWriter, remove
from snapdir.transfer.download.kept_copies import KeptCopies
from snapdir.transfer.engine.interruption import check_cancelled
from snapdir.transfer.engine.planned_objects import PlannedObject


class ObjectSink(Protocol):
    """Writes verified objects, each at all of its targets. Safe for several threads with different objects."""

    @property
    def temporaries(self) -> str:
        """The directory of unfinished objects, for messages."""

    def write(self, planned: PlannedObject, data: Buffer) -> None:
        """Write a small object's verified bytes to every target."""

    def write_quickly(self, planned: PlannedObject, data: Buffer) -> bool:
        """``write`` on the event loop. False if it takes more than writing and renaming files: targets may be missing
        then.
        """

    def open_temporary(self, planned: PlannedObject) -> int:
        """A descriptor for a large object's bytes; the caller closes it after ``publish_temporary`` or ``drop``.

        It holds the bytes that a killed run had written of this object, followed by its journal (see ``Assembly``).
        """

    def publish_temporary(self, planned: PlannedObject, descriptor: int) -> None:
        """Give the temporary, whose bytes the caller has verified, its names."""

    def drop(self, planned: PlannedObject) -> None:
        """Remove an object's temporaries, unless they are to be kept. Safe to repeat."""

    def leave(self, planned: PlannedObject) -> bool:
        """Leave a large object's temporary to the next run; False if that could not find it."""


class DirectorySink:
    """Writes objects as the files of a directory.

    Temporaries are named by digest and by sink, so that two pulls into one directory cannot touch each other's. Those
    of large objects are named by the digest alone, and locked.

    Args:
        clone: Try a reflink for second copies.
        keep: If the run fails, leave the temporaries of large objects to the next one.
        kept: Gets a copy of each object.
    """

    def __init__(
        self, destination: Destination, *, clone: bool = True, keep: bool = False, kept: KeptCopies | None = None
    ) -> None:
        self._destination = destination
        self._staging = destination.staging
        self._clone = clone
        self._keep = keep
        self._kept = kept
        self._token = os.urandom(4).hex()
        self._claimed: set[str] = set()

    @property
    def temporaries(self) -> str:
        return self._staging.path

    def write(self, planned: PlannedObject, data: Buffer) -> None:
        temporary = self._name(planned)
        for target in planned.targets:
            self._destination.make_directory(target.names[:-1])
            self._staging.write(temporary, data)
            if self._kept is not None and target is planned.targets[0]:
                self._keep_copy(planned, temporary, self._kept)
            self._destination.publish(temporary, target.names, target.mode)

    def write_quickly(self, planned: PlannedObject, data: Buffer) -> bool:
        if self._kept is not None or not self._staging.is_open:
            return False  # opening it may have to wait for another process
        temporary = self._name(planned)
        for target in planned.targets:
            self._destination.make_directory(target.names[:-1])
            has_mode = self._staging.write(temporary, data, mode=target.mode)
            if not self._destination.publish_at_once(temporary, target.names):
                return False
            if not has_mode:
                self._destination.note_refusal(target.names)
        return True

    def open_temporary(self, planned: PlannedObject) -> int:
        try:
            descriptor = self._staging.claim(planned.digest + CLAIMED)
        except LocalError:
            return self._staging.create(self._name(planned))
        self._claimed.add(planned.digest)
        return descriptor

    def publish_temporary(self, planned: PlannedObject, descriptor: int) -> None:
        first, *others = planned.targets
        if self._kept is not None:
            self._kept.add(planned, descriptor)
        for target in others:
            self._publish_copy(planned, descriptor, target.names, target.mode)
        self._destination.make_directory(first.names[:-1])
        self._destination.publish(self._large_name(planned), first.names, first.mode)
        self._claimed.discard(planned.digest)

    def drop(self, planned: PlannedObject) -> None:
        if self._keep and planned.digest in self._claimed:
            return
        self._staging.discard(self._large_name(planned))
        self._claimed.discard(planned.digest)
        self._staging.discard(self._name(planned, "-copy"))

    def leave(self, planned: PlannedObject) -> bool:
        self._staging.discard(self._name(planned, "-copy"))
        return planned.digest in self._claimed

    def _keep_copy(self, planned: PlannedObject, temporary: str, kept: KeptCopies) -> None:
        descriptor = self._staging.open(temporary)
        try:
            kept.add(planned, descriptor)
        finally:
            os.close(descriptor)

    def _publish_copy(self, planned: PlannedObject, descriptor: int, names: Names, mode: int) -> None:
        temporary = self._name(planned, "-copy")
        copy = self._staging.create(temporary)
        try:
            with local_errors(self._destination.path_of(names)):
                size = os.fstat(descriptor).st_size
                copy_contents(descriptor, copy, size, clone=self._clone, between=check_cancelled)
        finally:
            os.close(copy)
        self._destination.make_directory(names[:-1])
        self._destination.publish(temporary, names, mode)

    def _large_name(self, planned: PlannedObject) -> str:
        return planned.digest + CLAIMED if planned.digest in self._claimed else self._name(planned)

    def _name(self, planned: PlannedObject, suffix: str = "") -> str:
        return f"{planned.digest}.{self._token}{suffix}"


class CacheSink:
    """Writes objects as the objects of a store on this host: the cache.

    Attributes:
        batch: Small objects that are written; they get names when it is published.
        refused_modes: Objects whose mode could not be set.
    """

    def __init__(self, root: str, writer: FileWriter) -> None:
        self.batch = FileBatch(root, writer)
        self.refused_modes = RefusedModes()
        self._root = root
        self._writer = writer
        self._paths: dict[str, str] = {}

    @property
    def temporaries(self) -> str:
        return os.path.join(self._root, PARTIAL)

    def write(self, planned: PlannedObject, data: Buffer) -> None:
        self.batch.put(_key(planned), data, replace=True)

    def write_quickly(self, planned: PlannedObject, data: Buffer) -> bool:
        if self._writer.verifies or self.batch.is_full:
            return False
        self.batch.add(_key(planned), data)
        return True

    def open_temporary(self, planned: PlannedObject) -> int:
        with local_errors(self._root):
            try:
                self._paths[planned.digest], descriptor = self._writer.claim(planned.digest + CLAIMED)
            except OSError:
                self._paths[planned.digest], descriptor = self._writer.create(OBJECT_MODE)
        return descriptor

    def publish_temporary(self, planned: PlannedObject, descriptor: int) -> None:
        with local_errors(self._path(planned)):
            if not set_mode(descriptor, self._object_mode):
                self.refused_modes.add(self._path(planned))
            self._writer.publish(self._paths.pop(planned.digest), _key(planned))

    @cached_property
    def _object_mode(self) -> int:
        """The mode of a new object. It takes a probe file to learn the umask."""
        return self._writer.mode_of_new(OBJECT_MODE)

    def drop(self, planned: PlannedObject) -> None:
        path = self._paths.pop(planned.digest, None)
        if path is not None:
            with local_errors(self._root):
                remove(path)

    def leave(self, planned: PlannedObject) -> bool:
        claimed = self._paths.get(planned.digest, "").endswith(CLAIMED)
        if claimed:
            del self._paths[planned.digest]
        return claimed

    def close(self) -> None:
        """Remove the folder of temporaries."""
        self._writer.close()

    def _path(self, planned: PlannedObject) -> str:
        return os.path.join(self._root, _key(planned))


def _key(planned: PlannedObject) -> str:
    return "/".join(planned.targets[0].names)
