"""How a snapshot is written into a directory."""

from __future__ import annotations

from typing import NamedTuple

from snapdir.disk.pruning import Protection
from snapdir.transfer.engine.selection import EVERYTHING, Selection


class CheckoutOptions(NamedTuple):
    """Options of a checkout.

    Attributes:
        selection: The part of the snapshot to check out.
        linked: Make links to the objects of a cache on this host instead of files.
        delete: Remove paths that are not in the snapshot: those in its way before anything is written, and the rest
            after the whole snapshot is written.
        protected: Paths that ``delete`` keeps.
        own_directories: Directories of snapdir. If one lies in the destination, it is not reported as left over.
        overwrite: Replace files that differ; otherwise fail before anything is written.
        keep: Keep the temporaries of a failed run.
        preserve_special_modes: Restore set-user-id, set-group-id and sticky bits.
        fsync: Flush the filesystem before success is reported.
        clone: Try reflinks for second copies of a content.
    """

    selection: Selection = EVERYTHING
    linked: bool = False
    delete: bool = False
    protected: Protection | None = None
    own_directories: tuple[str, ...] = ()
    overwrite: bool = True
    keep: bool = False
    preserve_special_modes: bool = False
    fsync: bool = True
    clone: bool = True
