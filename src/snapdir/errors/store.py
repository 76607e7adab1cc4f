"""Errors of stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from snapdir.errors.base import SnapdirError

WHOLE_ID_DIGITS = 64


class StoreError(SnapdirError):
    """The store failed or sent an invalid response. ``key`` is the key of the operation, if it has one."""

    code = "STORE_ERROR"
    prefix = "store error: "

    def __init__(self, message: str, *, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


class ObjectNotFound(StoreError):
    """The store has no object at ``key``."""

    def __init__(self, key: str) -> None:
        super().__init__(f"object not found: {key}", key=key)


class IncompleteCache(ObjectNotFound):
    """The cache lacks ``count`` objects of a snapshot; ``digest`` and ``path`` are those of the first."""

    def __init__(self, snapshot_id: str, digest: str, path: str, count: int) -> None:
        super().__init__(digest)
        self.snapshot_id, self.digest, self.path, self.count = snapshot_id, digest, path, count

    def __str__(self) -> str:
        return (
            f"cannot check out {self.snapshot_id}: object {self.digest} for {self.path} is missing from the cache"
            f" ({self.count} object(s) absent); re-run `fetch`/`pull` to restore it"
        )


class ManifestNotFound(StoreError):
    """``store`` has no snapshot with this id."""

    def __init__(self, snapshot_id: str, store: str = "") -> None:
        where = f" in {store}" if store else ""
        super().__init__(f"manifest not found: {snapshot_id}{where}; check the id and the store")
        self.snapshot_id = snapshot_id
        self.store = store


class UnknownId(ManifestNotFound):
    """None of ``places`` has a snapshot whose id starts with these digits."""

    def __init__(self, prefix: str, places: Sequence[str]) -> None:
        super().__init__(prefix, " or ".join(places))
        self.prefix_digits = prefix
        self.places = tuple(places)

    def __str__(self) -> str:
        if len(self.prefix_digits) == WHOLE_ID_DIGITS:
            return (
                f"snapshot not found: {self.prefix_digits} is neither stored nor mentioned in {self.store};"
                " check the id and the store"
            )
        return (
            f"snapshot not found: no id in {self.store} starts with {self.prefix_digits!r}; "
            "give all 64 digits, or the store of the snapshot"
        )


class InvalidManifest(StoreError):
    """The stored text is not a manifest."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"failed to parse manifest: {reason}")
        self.reason = reason


class ManifestTooLarge(InvalidManifest):
    """The manifest ``where`` has ``size`` bytes, more than ``allowed``."""

    def __init__(self, where: str, size: int, allowed: int) -> None:
        super().__init__(f"{size} bytes; --max-manifest-size allows {allowed}")
        self.where, self.size, self.allowed = where, size, allowed

    def __str__(self) -> str:
        return f"the manifest {self.where} has {self.reason}"


class InvalidTag(StoreError):
    """The object of a name holds something else. ``where`` is the object."""

    def __init__(self, name: str, where: str) -> None:
        super().__init__(
            f"the name {name!r} cannot be read: {where} is not the text of a name; remove it, and set the name again"
        )
        self.name = name
        self.where = where


class NothingPushed(StoreError):
    """The history of ``store`` has no push (with ``labels``, if there are any), so it has no latest one."""

    def __init__(self, store: str, labels: Mapping[str, str]) -> None:
        super().__init__(store, key=None)
        self.store = store
        self.labels = dict(labels)

    def __str__(self) -> str:
        labels = " and ".join(f"{key}={value}" for key, value in self.labels.items())
        wanted = f"no push with {labels}" if labels else "latest: no push"
        return f"{wanted} is recorded in {self.store}; list its snapshots with `snapdir ls {self.store}`"


class StoreMissing(StoreError):
    """The directory or bucket of the store does not exist."""


class StoreProgramFailed(StoreError):
    """The store program ``snapdir-NAME-store`` cannot be run, or failed. ``program`` is its name."""

    def __init__(self, program: str, reason: str) -> None:
        super().__init__(reason)
        self.program = program


class AccessDenied(StoreError):
    """Credentials are missing, wrong or insufficient. ``path`` is set if a local directory denies access."""

    path: str | None = None


class StoreRefused(StoreError):
    """The store refused a request for good. ``status`` is the HTTP status or None; ``error_code`` the store's code."""

    def __init__(
        self, message: str, *, key: str | None = None, status: int | None = None, error_code: str | None = None
    ) -> None:
        super().__init__(message, key=key)
        self.status = status
        self.error_code = error_code


class NoConditionalWrites(StoreRefused):
    """The store cannot write on a condition, so one of two concurrent changes of a name could be lost."""


class TransientStoreError(StoreError):
    """May succeed on a retry. ``attempts`` is the number of attempts when retries were given up."""

    attempts: int = 1

    def __str__(self) -> str:
        return super().__str__() + (f" (after {self.attempts} attempts)" if self.attempts > 1 else "")


class Throttled(TransientStoreError):
    """The store limits the rate of requests. ``retry_after_seconds`` is its Retry-After, or None."""

    def __init__(self, message: str, *, key: str | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(message, key=key)
        self.retry_after_seconds = retry_after_seconds


class ConnectionFailed(TransientStoreError):
    """No complete response: connection refused or reset, unknown host, timeout, or a body that ended early."""


class InvalidResponse(TransientStoreError):
    """An invalid response: a 200 that contains an error, a wrong length, or the page of another server."""
