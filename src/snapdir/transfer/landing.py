"""Where downloaded objects land: verified bytes in, files under their final names out. Blocking."""

from __future__ import annotations

import os
import secrets

from snapdir.disk.clone import copy_contents
from snapdir.disk.destination import Destination
from snapdir.errors import local_errors
from snapdir.stores.base import Buffer
from snapdir.transfer.plan import Wanted

__all__ = ["Landing"]


class Landing:
    """Places verified objects below one destination, each at all of its targets.

    Temporaries are named by digest and by landing, so that two pulls into one directory cannot touch each other's.

    Args:
        clone: Try a reflink for second copies.
    """

    def __init__(self, destination: Destination, *, clone: bool = True) -> None:
        self.destination = destination
        self._clone = clone
        self._token = secrets.token_hex(4)

    def place_bytes(self, wanted: Wanted, data: Buffer) -> None:
        """Write a small object's verified bytes to every target."""
        temporary = self._name(wanted)
        for target in wanted.targets:
            self.destination.make_directory(target.names[:-1], replace=True)
            self.destination.write_temporary(temporary, data)
            self.destination.publish(temporary, target.names, target.mode, replace=True)

    def open_temporary(self, wanted: Wanted) -> int:
        """A descriptor for a large object's bytes; the caller closes it, then calls ``place_temporary`` or ``drop``."""
        return self.destination.create_temporary(self._name(wanted))

    def place_temporary(self, wanted: Wanted, descriptor: int) -> None:
        """Give the temporary, whose bytes the caller has verified, its names; second copies are reflinks or copies."""
        first, *others = wanted.targets
        for target in others:
            self._place_copy(wanted, descriptor, target.names, target.mode)
        self.destination.make_directory(first.names[:-1], replace=True)
        self.destination.publish(self._name(wanted), first.names, first.mode, replace=True)

    def drop(self, wanted: Wanted) -> None:
        """Remove an object's temporaries. None there is fine."""
        self.destination.discard(self._name(wanted))
        self.destination.discard(self._name(wanted, "-copy"))

    def _place_copy(self, wanted: Wanted, descriptor: int, names: tuple[str, ...], mode: int) -> None:
        temporary = self._name(wanted, "-copy")
        copy = self.destination.create_temporary(temporary)
        try:
            with local_errors(self.destination.path_of(names)):
                copy_contents(descriptor, copy, os.fstat(descriptor).st_size, clone=self._clone)
        finally:
            os.close(copy)
        self.destination.make_directory(names[:-1], replace=True)
        self.destination.publish(temporary, names, mode, replace=True)

    def _name(self, wanted: Wanted, suffix: str = "") -> str:
        return f"{wanted.digest}.{self._token}{suffix}"
