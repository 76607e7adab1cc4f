"""Copying a file's bytes the cheapest way the filesystem offers."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from typing import Literal, NamedTuple

from snapdir.disk.descriptors import path_of_descriptor
from snapdir.errors import InFluxError
from snapdir.model.sizes import MIB

__all__ = ["copy_contents"]

FICLONE = 0x40049409
CANNOT_CLONE = frozenset(
    {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EBADF}
)
CANNOT_COPY_IN_KERNEL = CANNOT_CLONE | {errno.ETXTBSY, errno.EPERM, errno.EISDIR}
KERNEL_COPY_BYTES = 64 * MIB
"""Bytes asked for in one call: 20 to 30 ms, after which ``between`` runs again."""
BLOCK_BYTES = MIB


def copy_contents(
    source_fd: int,
    target_fd: int,
    size: int,
    *,
    offset: int = 0,
    target_offset: int = 0,
    clone: bool = True,
    between: Callable[[], None] | None = None,
) -> Literal["reflink", "copy"]:
    """Put ``size`` bytes of the source, from ``offset``, into the target at ``target_offset``, and say how.

    A reflink shares the blocks (constant time, no space); else the kernel copies; else blocks of 1 MiB pass through
    memory. Neither descriptor's position matters or moves. A target that was empty is exactly ``target_offset +
    size`` bytes long afterwards.

    Args:
        clone: Try a reflink first. Only where both offsets are 0; it replaces all of the target.
        between: Called about every 64 MiB; what it raises stops the copy.

    Raises:
        InFluxError: the source ends before ``offset + size``: it shrank since it was measured. It is named as the
            system knows it. The target holds what there was.
        OSError: as the system reports it; only the caller knows which path to name.
    """
    if clone and offset == 0 and target_offset == 0 and _cloned(source_fd, target_fd):
        cloned_bytes = os.fstat(target_fd).st_size
        if cloned_bytes < size:
            raise InFluxError(path_of_descriptor(source_fd), "shrank")
        if cloned_bytes > size:
            os.ftruncate(target_fd, size)
        return "reflink"
    copy = _Copy(source_fd, target_fd, offset, target_offset, between or _nothing)
    done = copy.in_kernel(0, size)
    if done < size:
        copy.through_memory(done, size)
    return "copy"


def _nothing() -> None:
    pass


def _cloned(source_fd: int, target_fd: int) -> bool:
    try:
        fcntl.ioctl(target_fd, FICLONE, source_fd)
    except OSError as error:
        if error.errno in CANNOT_CLONE:
            return False
        raise
    return True


class _Copy(NamedTuple):
    source_fd: int
    target_fd: int
    offset: int
    target_offset: int
    between: Callable[[], None]

    def in_kernel(self, done: int, size: int) -> int:
        """Bytes copied; fewer than ``size`` where the kernel will not go on (also on a false end, as /proc shows)."""
        source, target, offset, target_offset, between = self
        while done < size:
            between()
            count = min(size - done, KERNEL_COPY_BYTES)
            try:
                moved = os.copy_file_range(source, target, count, offset + done, target_offset + done)
            except OSError as error:
                if error.errno in CANNOT_COPY_IN_KERNEL:
                    break
                raise
            if moved == 0:
                break
            done += moved
        return done

    def through_memory(self, done: int, size: int) -> None:
        next_break = done
        while done < size:
            if done >= next_break:
                self.between()
                next_break = done + KERNEL_COPY_BYTES
            block = os.pread(self.source_fd, min(size - done, BLOCK_BYTES), self.offset + done)
            if not block:
                raise InFluxError(path_of_descriptor(self.source_fd), "shrank")
            # After a short write the rest is simply read again: rare, and cheaper than slicing each block.
            done += os.pwrite(self.target_fd, block, self.target_offset + done)
