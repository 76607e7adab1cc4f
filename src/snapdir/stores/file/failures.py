"""System errors of a store in a directory, as errors of snapdir."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from anyio.to_thread import run_sync

from snapdir.errors import (
    AccessDenied,
    ObjectNotFound,
    SnapdirError,
    StoreMissing,
    StoreRefused,
    local_error,
)
from snapdir.errors.local import DENIED, FULL_DISK_ERRNOS, OUT_OF_DESCRIPTORS

Result = TypeVar("Result")

ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


@contextmanager
def translate(root: str, key: str, *, writing: bool = False) -> Iterator[None]:
    """Turn an OSError of the block into a snapdir error about ``key`` of the store at ``root``."""
    try:
        yield
    except OSError as error:
        raise store_error(error, root, key, writing=writing) from error


async def in_thread(root: str, key: str, call: Callable[[], Result], *, writing: bool = False) -> Result:
    """Run ``call``, which blocks, in a worker thread. A cancelled caller waits until it ends."""
    # The worker may keep ``work`` after it has returned; it must not keep the caller's buffers with it.
    once = [call]

    def work() -> Result:
        with translate(root, key, writing=writing):
            return once.pop()()

    return await run_sync(work)


def require_file(key: str, path: str, mode: int) -> None:
    """Accept only a regular file.

    Raises:
        ObjectNotFound: ``path`` is a directory, a pipe or the like. A note on the error says so.
    """
    if not stat.S_ISREG(mode):
        raise _not_a_file(key, path, "a directory" if stat.S_ISDIR(mode) else "a special file")


def _not_a_file(key: str, path: str, kind: str) -> ObjectNotFound:
    error = ObjectNotFound(key)
    error.add_note(f"{path} is {kind} instead of a file")
    return error


def store_error(error: OSError, root: str, key: str, *, writing: bool) -> SnapdirError:
    """The snapdir error for ``error``. ENOENT means a missing object only for a read from an existing store."""
    path = error.filename2 or error.filename or os.path.join(root, key)
    reason = f"{os.strerror(error.errno or 0)} (os error {error.errno})"
    if error.errno in FULL_DISK_ERRNOS | OUT_OF_DESCRIPTORS | {errno.ENOMEM}:
        return local_error(error, path)
    if error.errno in DENIED:
        denied = AccessDenied(f"{path}: {reason}", key=key)
        denied.path = os.fspath(path)
        return denied
    if error.errno != errno.ENAMETOOLONG and (missing := missing_store(root)):
        return missing
    if error.errno in (*ABSENT, errno.ENXIO) and not writing:
        return _not_a_file(key, path, "a socket") if error.errno == errno.ENXIO else ObjectNotFound(key)
    if error.errno == errno.EISDIR and writing:
        reason = "expected a file, found a directory that is not empty; move it away"
    return StoreRefused(f"{path}: {reason}", key=key, error_code=errno.errorcode.get(error.errno or 0))


def missing_store(root: str) -> StoreMissing | None:
    """The error for a store that does not exist or is not a directory; None if the store exists."""
    if os.path.isdir(root):
        return None
    if os.path.lexists(root):
        return StoreMissing(f"store is not a directory: {root}; choose another path")
    return StoreMissing(f"store directory does not exist: {root}; check the path; `snapdir push` creates a store")
