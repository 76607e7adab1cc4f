"""Whether a file fits on a filesystem. Blocking."""

from __future__ import annotations

import errno
import os


def require_room(descriptor: int, size: int) -> None:
    """Refuse a file of ``size`` bytes that its filesystem could not hold even if it were empty.

    The free space says less: a file may share its blocks with another one.

    Raises:
        OSError: ENOSPC.
    """
    filesystem = os.fstatvfs(descriptor)
    if 0 < filesystem.f_blocks * filesystem.f_frsize < size:  # some network filesystems say 0
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
