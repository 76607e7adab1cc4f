"""Copying a file's bytes the cheapest way the filesystem offers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

from snapdir.disk.system import copy_in_kernel, has_holes, next_data, open_again, path_of_descriptor, reflink
from snapdir.errors import InFluxError
from snapdir.model.sizes import MIB

KERNEL_COPY_BYTES = 64 * MIB
"""Copied by one call: 20 to 30 ms, after which ``between`` runs again."""
BLOCK_BYTES = MIB


def copy_contents(
    source_fd: int,
    target_fd: int,
    size: int,
    *,
    offset: int = 0,
    target_offset: int = 0,
    clone: bool = True,
    between: Callable[[], None] = lambda: None,
) -> Literal["reflink", "copy"]:
    """Put ``size`` bytes of the source, from ``offset``, into the target at ``target_offset``, and say how.

    A reflink shares the blocks (constant time, no space); else the kernel copies; else blocks of 1 MiB pass through
    memory. Holes stay holes where the target has no bytes yet. Neither descriptor's position matters, and the source's
    stays: several threads may copy from one descriptor. A target that was empty is exactly ``target_offset + size``
    bytes long afterwards.

    Args:
        clone: Try a reflink first. Only where both offsets are 0; it replaces all of the target.
        between: Called about every 64 MiB; an exception from it stops the copy.

    Raises:
        InFluxError: the source ends before ``offset + size``: it shrank since it was measured. It is named as the
            system knows it. The target holds the bytes up to there.
        OSError: as the system reports it; only the caller knows which path to name.
    """
    if clone and offset == 0 and target_offset == 0 and reflink(source_fd, target_fd):
        cloned_bytes = os.fstat(target_fd).st_size
        if cloned_bytes < size:
            raise InFluxError(path_of_descriptor(source_fd), "shrank")
        if cloned_bytes > size:
            os.ftruncate(target_fd, size)
        return "reflink"
    copy = _Copy(source_fd, target_fd, offset, target_offset, between)
    if has_holes(source_fd):
        copy.around_holes(size)
    else:
        copy.data(0, size)
    return "copy"


@contextmanager
def _own_position(fd: int) -> Iterator[int]:
    """The same file with its own position; ``fd`` itself if the system cannot open it again."""
    try:
        own = open_again(fd, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        position = os.lseek(fd, 0, os.SEEK_CUR)
        try:
            yield fd
        finally:
            os.lseek(fd, position, os.SEEK_SET)
        return
    try:
        yield own
    finally:
        os.close(own)


class _Copy(NamedTuple):
    source_fd: int
    target_fd: int
    offset: int
    target_offset: int
    between: Callable[[], None]

    def data(self, done: int, end: int) -> None:
        if (copied := self.in_kernel(done, end)) < end:
            self.through_memory(copied, end)

    def around_holes(self, size: int) -> None:
        with _own_position(self.source_fd) as source_fd:
            self._around_holes(source_fd, size)

    def _around_holes(self, source_fd: int, size: int) -> None:
        done = begin = 0
        while done < size:
            start, end = (at - self.offset for at in next_data(source_fd, self.offset + done, self.offset + size))
            begin = start if start > done and self._is_hole(done, start) else done
            self.data(begin, end)
            done = end
        if begin == size:  # it ends in a hole, or shrank
            self._extend(size)

    def _is_hole(self, start: int, end: int) -> bool:
        """Whether the target has no bytes of its own between ``start`` and ``end``."""
        end += self.target_offset
        return next_data(self.target_fd, self.target_offset + start, end)[0] == end

    def _extend(self, size: int) -> None:
        if os.fstat(self.source_fd).st_size < self.offset + size:
            raise InFluxError(path_of_descriptor(self.source_fd), "shrank")
        if os.fstat(self.target_fd).st_size < self.target_offset + size:
            os.ftruncate(self.target_fd, self.target_offset + size)

    def in_kernel(self, done: int, end: int) -> int:
        """How far the kernel copied: not to ``end`` if it cannot (also for files of /proc, which seem to end early)."""
        while done < end:
            self.between()
            count = min(end - done, KERNEL_COPY_BYTES)
            moved = copy_in_kernel(self.source_fd, self.target_fd, count, self.offset + done, self.target_offset + done)
            if moved == 0:
                break
            done += moved
        return done

    def through_memory(self, done: int, end: int) -> None:
        next_break = done
        while done < end:
            if done >= next_break:
                self.between()
                next_break = done + KERNEL_COPY_BYTES
            block = os.pread(self.source_fd, min(end - done, BLOCK_BYTES), self.offset + done)
            if not block:
                raise InFluxError(path_of_descriptor(self.source_fd), "shrank")
            # After a short write the rest is simply read again: rare, and cheaper than slicing each block.
            done += os.pwrite(self.target_fd, block, self.target_offset + done)
