"""Making written files survive a power cut.

Content becomes durable in batches: many files are written and renamed, then one ``sync_filesystem`` runs before
anything that relies on them (a manifest, the exit status 0) becomes visible. An fsync for each file would wait for the
disk each time.
"""

from __future__ import annotations

import errno
import os

from snapdir.disk.system import sync_filesystem_of

CANNOT_SYNC_DIRECTORIES = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF})


def sync_filesystem(where: int | str | os.PathLike[str]) -> None:
    """Flush everything written so far to the filesystem that holds ``where`` (a path, or a descriptor, not O_PATH).

    Raises:
        OSError: the disk refused, now or since the descriptor was opened: written data may be lost.
    Cost: the time of the disk for all dirty data of that filesystem, also of other programs.
    """
    if isinstance(where, int):
        sync_filesystem_of(where)
        return
    fd = os.open(where, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        sync_filesystem_of(fd)
    finally:
        os.close(fd)


def sync_directory(fd: int) -> None:
    """Flush the names in an open directory, so that a rename in it stays. Some filesystems refuse, and need none."""
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in CANNOT_SYNC_DIRECTORIES:
            raise
