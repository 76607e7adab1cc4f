"""Errors about local paths."""

from __future__ import annotations

import errno as errno_names
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from snapdir.errors.base import MAX_NAMED_OFFENDERS, InFluxError, SnapdirError

OUT_OF_DESCRIPTORS = frozenset({errno_names.EMFILE, errno_names.ENFILE})
MORE_DESCRIPTORS = "raise the limit of open files (ulimit -n), or take fewer with --max-open-files"
LESS_MEMORY = "not enough memory: lower --memory and --jobs, or raise the limit (ulimit -v)"
DENIED = frozenset({errno_names.EACCES, errno_names.EPERM, errno_names.EROFS})
FULL_DISK_ERRNOS = frozenset({errno_names.ENOSPC, errno_names.EDQUOT})

_IN_FLUX = {
    errno_names.ENOENT: "vanished",
    errno_names.ENOTDIR: "vanished",  # a directory above it became a file
    errno_names.ESTALE: "vanished",  # removed on another host of the network filesystem
    errno_names.EISDIR: "changed",
    errno_names.ELOOP: "changed",
    errno_names.ENXIO: "changed",  # it became a socket
    errno_names.ESPIPE: "changed",  # it became a FIFO
}


class LocalError(SnapdirError):
    """A local path cannot be read or written. ``errno`` is the system's error number or None."""

    def __init__(self, path: str | os.PathLike[str], reason: str, *, errno: int | None = None) -> None:
        super().__init__(path, reason)
        self.path = os.fspath(path)
        self.reason = reason
        self.errno = errno

    def __str__(self) -> str:
        return f"I/O error: {self.path}: {self.reason}"


class WalkFailed(LocalError):
    """Entries of a tree cannot be read. ``failures`` holds (path, reason) of all; the message shows 20."""

    def __init__(self, failures: Sequence[tuple[str, str]]) -> None:
        super().__init__(*failures[0])
        self.failures = tuple(failures)

    def __str__(self) -> str:
        if len(self.failures) == 1:
            return super().__str__()
        shown = "; ".join(f"{path}: {reason}" for path, reason in self.failures[:MAX_NAMED_OFFENDERS])
        return f"I/O error: {len(self.failures)} entries cannot be read: {shown}"


class UnsafeName(LocalError):
    """A manifest cannot represent a file name, or a checkout cannot write it."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, f"{reason}; rename it or leave it out with --exclude")

    def __str__(self) -> str:
        return f"I/O error: {self.path!r}: {self.reason}"


class DestinationConflict(LocalError):
    """Paths at the destination must not be replaced. ``paths`` lists them."""

    def __init__(self, path: str | os.PathLike[str], reason: str, *, paths: Sequence[str] = ()) -> None:
        super().__init__(path, reason)
        self.paths = tuple(paths)

    def __str__(self) -> str:
        shown = ", ".join(self.paths[:MAX_NAMED_OFFENDERS])
        return f"{self.path}: {self.reason}" + (f": {shown}" if shown else "")


class NotCheckedOut(LocalError):
    """The cache has no record of a checkout, push or stage of the directory ``path``."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "no snapshot of it is recorded")

    def __str__(self) -> str:
        return f"no checkout, push or stage of {self.path} is recorded: name the snapshot with --id and --store"


class NoSpace(LocalError):
    """The filesystem that holds ``path`` (or a quota on it) is full."""

    def __str__(self) -> str:
        return (
            f"no space left on the filesystem of {self.path}: free some space or use another filesystem, then run again"
        )


def local_error(error: OSError, path: str | os.PathLike[str]) -> LocalError:
    """The error for a system error at ``path``."""
    if error.errno in FULL_DISK_ERRNOS:
        return NoSpace(path, os.strerror(error.errno or 0), errno=error.errno)
    reason = f"{os.strerror(error.errno)} (os error {error.errno})" if error.errno else str(error)
    if error.errno in OUT_OF_DESCRIPTORS:
        reason = f"{reason}; {MORE_DESCRIPTORS}"
    if error.errno == errno_names.ENOMEM:
        reason = f"{reason}; {LESS_MEMORY}"
    return LocalError(path, reason, errno=error.errno)


def source_error(error: OSError, path: str | os.PathLike[str]) -> SnapdirError:
    """The error for a system error at a listed file or directory: InFluxError if it vanished or changed its type."""
    what = _IN_FLUX.get(error.errno or 0)
    return local_error(error, path) if what is None else InFluxError(path, what)


@contextmanager
def local_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn any OSError of the block into a LocalError that names ``path``."""
    try:
        yield
    except OSError as error:
        raise local_error(error, path) from error
