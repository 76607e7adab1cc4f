"""Every error snapdir raises, in one tree.

::

    SnapdirError                      code IO_ERROR, exit 1: the root; catch this
    ├── LocalError                    a local path cannot be read or written
    │   ├── WalkFailed                entries of a tree cannot be read; up to 20 are named
    │   ├── UnsafeName                a file name no manifest line can carry (newline, trailing CR, not UTF-8)
    │   ├── DestinationConflict       what stands at the destination must not be replaced
    │   └── NoSpace                   the filesystem (or a quota) is full
    ├── InvalidOption                 an option or variable has a bad value; exit 2
    ├── InvalidId                     not 64 hex digits                                   INVALID_ID
    ├── InvalidStore                  not a store URL that can be opened                  INVALID_STORE
    ├── InvalidPack                   a stream that is no complete SNAPPACK, or a list of ids that is none
    ├── Conflict                      two sources claim one path                          CONFLICT
    ├── UnsafePath                    a manifest path that could leave the destination
    ├── InFluxError                   a file changed while it was read                    IN_FLUX
    ├── CatalogError                  the local history cannot be read or written         CATALOG_ERROR
    ├── HashMismatchError             bytes do not hash to their name                     HASH_MISMATCH
    │   ├── CorruptObject             an object in a store
    │   └── CorruptManifest           a manifest in a store
    └── StoreError                    the store failed or answered nonsense               STORE_ERROR
        ├── ObjectNotFound            no bytes at this key
        │   └── IncompleteCache       a cached snapshot lacks objects
        ├── ManifestNotFound          no snapshot with this id
        ├── InvalidManifest           stored text that does not parse
        ├── StoreMissing              the directory or bucket does not exist
        ├── AccessDenied              credentials are missing, wrong or not allowed
        ├── StoreRefused              any other final refusal (status and code are attributes)
        └── TransientStoreError       may succeed when asked again: the only family ever retried
            ├── Throttled             the store asks to slow down
            ├── ConnectionFailed      refused, reset, DNS, timeouts, early end of a body
            └── InvalidResponse       a 200 whose content makes no sense
    TransferFailed                    several things failed; ``.exceptions`` holds one SnapdirError per item
"""

from __future__ import annotations

import errno as errno_names
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

__all__ = [
    "AccessDenied", "CatalogError", "Conflict", "ConnectionFailed", "CorruptManifest", "CorruptObject",
    "DestinationConflict", "HashMismatchError", "InFluxError", "IncompleteCache", "InvalidId", "InvalidManifest",
    "InvalidOption", "InvalidPack", "InvalidResponse", "InvalidStore", "LocalError", "ManifestNotFound", "NoSpace",
    "ObjectNotFound", "SnapdirError", "StoreError", "StoreMissing", "StoreRefused", "Throttled", "TransferFailed",
    "TransientStoreError", "UnsafeName", "UnsafePath", "WalkFailed", "local_error", "local_errors", "ungrouped",
]  # fmt: skip

MAX_NAMED_OFFENDERS = 20


class SnapdirError(Exception):
    """Root of the tree. ``code`` is stable across releases; ``exit_code`` is what the command line exits with."""

    code = "IO_ERROR"
    exit_code = 1
    prefix = ""

    def __str__(self) -> str:
        return self.prefix + super().__str__()


class LocalError(SnapdirError):
    """A local path cannot be read or written. ``path`` names it; ``errno`` is the system's number or None."""

    def __init__(self, path: str | os.PathLike[str], reason: str, *, errno: int | None = None) -> None:
        super().__init__(path, reason)
        self.path = os.fspath(path)
        self.reason = reason
        self.errno = errno

    def __str__(self) -> str:
        return f"I/O error: {self.path}: {self.reason}"


class WalkFailed(LocalError):
    """Entries of a tree cannot be read. ``failures`` holds (path, reason), all that were met; 20 are shown."""

    def __init__(self, failures: Sequence[tuple[str, str]]) -> None:
        super().__init__(*failures[0])
        self.failures = tuple(failures)

    def __str__(self) -> str:
        if len(self.failures) == 1:
            return super().__str__()
        shown = "; ".join(f"{path}: {reason}" for path, reason in self.failures[:MAX_NAMED_OFFENDERS])
        return f"I/O error: {len(self.failures)} entries cannot be read, the first of them: {shown}"


class UnsafeName(LocalError):
    """A file name that no manifest line can carry."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, f"{reason}; rename it or leave it out with --exclude")

    def __str__(self) -> str:
        return f"I/O error: {self.path!r}: {self.reason}"


class DestinationConflict(LocalError):
    """What stands at the destination must not be replaced. ``paths`` lists what is in the way."""

    def __init__(self, path: str | os.PathLike[str], reason: str, *, paths: Sequence[str] = ()) -> None:
        super().__init__(path, reason)
        self.paths = tuple(paths)

    def __str__(self) -> str:
        shown = ", ".join(self.paths[:MAX_NAMED_OFFENDERS])
        return f"{self.path}: {self.reason}" + (f": {shown}" if shown else "")


class NoSpace(LocalError):
    """The filesystem that holds ``path`` (or a quota on it) is full."""

    def __str__(self) -> str:
        return (
            f"no space left on the filesystem of {self.path}: free some space or choose another place, then run again"
        )


class InvalidOption(SnapdirError):
    """A bad value of an option or variable."""

    exit_code = 2


class InvalidId(SnapdirError):
    """A snapshot id or object digest that is not 64 hexadecimal digits."""

    code = "INVALID_ID"

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"invalid snapshot id: {self.text!r} is not 64 hexadecimal digits"


class InvalidStore(SnapdirError):
    """A store URL that cannot be opened. The message holds the right spelling."""

    code = "INVALID_STORE"
    prefix = "invalid store URI: "


class InvalidPack(SnapdirError):
    """A stream that is no complete SNAPPACK, or a list of ids that is none. No manifest of it was published."""

    prefix = "invalid pack: "


class Conflict(SnapdirError):
    """Two sources claim one path with different content."""

    code = "CONFLICT"
    prefix = "conflict: "


class UnsafePath(SnapdirError):
    """A manifest path that could leave the destination, or that a filesystem could not tell from another one."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"unsafe path {self.path[:200]!r} in the manifest: {self.reason}; nothing was written for it"


class InFluxError(SnapdirError):
    """A file changed while it was read. ``path`` names it."""

    code = "IN_FLUX"

    def __init__(self, path: str | os.PathLike[str], what: str = "changed") -> None:
        super().__init__(path, what)
        self.path = os.fspath(path)
        self.what = what

    def __str__(self) -> str:
        return f"file {self.what} while it was read: {self.path}; run again when nothing writes to the tree"


class CatalogError(SnapdirError):
    """The local history cannot be read or written."""

    code = "CATALOG_ERROR"


class HashMismatchError(SnapdirError):
    """Bytes at ``where`` that do not hash to their name: ``expected`` and ``actual`` are hex digests."""

    code = "HASH_MISMATCH"

    def __init__(self, where: str, *, expected: str, actual: str) -> None:
        super().__init__(where, expected, actual)
        self.where, self.expected, self.actual = where, expected, actual

    def __str__(self) -> str:
        return f"hash mismatch: integrity check failed for {self.where}: expected {self.expected}, got {self.actual}"


class CorruptObject(HashMismatchError):
    """An object whose bytes (or length) are not what its key says. Nothing of it stays under a final name."""

    def __str__(self) -> str:
        return f"{super().__str__()}; the store holds damaged bytes: push again from a good copy with --recheck"


class CorruptManifest(HashMismatchError):
    """A manifest whose text does not hash to its id."""


class StoreError(SnapdirError):
    """The store failed or answered nonsense. ``key`` names what was asked for, when one thing was."""

    code = "STORE_ERROR"
    prefix = "store error: "

    def __init__(self, message: str, *, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


class ObjectNotFound(StoreError):
    """No bytes at ``key``."""

    def __init__(self, key: str) -> None:
        super().__init__(f"object not found: {key}", key=key)


class IncompleteCache(ObjectNotFound):
    """A cached snapshot lacks ``count`` objects; ``digest`` and ``path`` are those of the first."""

    def __init__(self, snapshot_id: str, digest: str, path: str, count: int) -> None:
        super().__init__(digest)
        self.snapshot_id, self.digest, self.path, self.count = snapshot_id, digest, path, count

    def __str__(self) -> str:
        return (
            f"cannot check out {self.snapshot_id}: object {self.digest} for {self.path} is missing from the cache"
            f" ({self.count} object(s) absent); re-run `fetch`/`pull` to restore it"
        )


class ManifestNotFound(StoreError):
    """No snapshot with this id in ``store``."""

    def __init__(self, snapshot_id: str, store: str = "") -> None:
        where = f" in {store}" if store else ""
        super().__init__(f"manifest not found: {snapshot_id}{where}; check the id and the store")
        self.snapshot_id = snapshot_id
        self.store = store


class InvalidManifest(StoreError):
    """Stored text that does not parse as a manifest."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"failed to parse manifest: {reason}")
        self.reason = reason


class StoreMissing(StoreError):
    """The directory or bucket of the store does not exist."""


class AccessDenied(StoreError):
    """Credentials are missing, wrong or not allowed to do this."""


class StoreRefused(StoreError):
    """A final refusal. ``status`` is the HTTP status or None; ``error_code`` the store's own word."""

    def __init__(
        self, message: str, *, key: str | None = None, status: int | None = None, error_code: str | None = None
    ) -> None:
        super().__init__(message, key=key)
        self.status = status
        self.error_code = error_code


class TransientStoreError(StoreError):
    """May succeed when asked again. ``attempts`` is set by the retrying layer when it gives up."""

    attempts: int = 1

    def __str__(self) -> str:
        return super().__str__() + (f" (after {self.attempts} attempts)" if self.attempts > 1 else "")


class Throttled(TransientStoreError):
    """The store asks to slow down. ``retry_after_seconds`` is its wish, None when it gave none."""

    def __init__(self, message: str, *, key: str | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(message, key=key)
        self.retry_after_seconds = retry_after_seconds


class ConnectionFailed(TransientStoreError):
    """No complete answer: refused, reset, unknown host, a timeout, or a body that ended early."""


class InvalidResponse(TransientStoreError):
    """An answer that makes no sense: a 200 with an error inside, a wrong length, a page of something else."""


class TransferFailed(ExceptionGroup[SnapdirError], SnapdirError):
    """Several items failed. ``exceptions`` holds one error per item."""

    def __init__(self, message: str, exceptions: Sequence[SnapdirError]) -> None:  # noqa: ARG002  # __new__ keeps it
        self.code = exceptions[0].code
        self.exit_code = max(error.exit_code for error in exceptions)

    def derive(self, excs: Sequence[SnapdirError]) -> TransferFailed:  # type: ignore[override]  # narrower on purpose
        return TransferFailed(self.message, excs)

    def __str__(self) -> str:
        shown = "; ".join(str(error) for error in self.exceptions[:MAX_NAMED_OFFENDERS])
        return f"{self.message}: {len(self.exceptions)} failures: {shown}"


FULL_DISK_ERRNOS = frozenset({errno_names.ENOSPC, errno_names.EDQUOT})


def local_error(error: OSError, path: str | os.PathLike[str]) -> LocalError:
    """Our error for a system error met at ``path``."""
    if error.errno in FULL_DISK_ERRNOS:
        return NoSpace(path, os.strerror(error.errno or 0), errno=error.errno)
    reason = f"{os.strerror(error.errno)} (os error {error.errno})" if error.errno else str(error)
    return LocalError(path, reason, errno=error.errno)


@contextmanager
def local_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn any OSError of the block into a LocalError that names ``path``."""
    try:
        yield
    except OSError as error:
        raise local_error(error, path) from error


@contextmanager
def ungrouped(what: str) -> Iterator[None]:
    """Let one failure inside a task group leave as itself, several as one TransferFailed named ``what``.

    What is not ours (a bug, a KeyboardInterrupt) leaves as itself, before ours.
    """
    try:
        yield
    except TransferFailed:
        raise
    except BaseExceptionGroup as group:
        leaves = list(_leaves(group))
        unknown = [leaf for leaf in leaves if not isinstance(leaf, SnapdirError)]
        if unknown:
            raise unknown[0] from group
        ours = list({str(leaf): leaf for leaf in leaves if isinstance(leaf, SnapdirError)}.values())
        full_disk = [leaf for leaf in ours if isinstance(leaf, NoSpace)]  # whatever else failed follows from it
        if full_disk or len(ours) == 1:
            first = (full_disk or ours)[0]
            raise first from first.__cause__
        raise TransferFailed(what, ours) from None


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup) and not isinstance(error, TransferFailed):
            yield from _leaves(error)
        else:
            yield error
