"""The root of the tree, and errors about input, snapshots and hashes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from snapdir.errors.secrets import without_secrets

MAX_NAMED_OFFENDERS = 20

NO_STORE = "no store configured: pass --store <uri> or set the SNAPDIR_STORE environment variable"

STORE_ADVICE = "the store has damaged data: push a good copy again with --recheck"
CACHE_ADVICE = (
    "the cache has damaged data: remove it with `snapdir verify-cache --purge`, then fetch the snapshot again"
)


class SnapdirError(Exception):
    """Root of the tree. ``code`` is stable across releases; ``exit_code`` is that of the command line.

    ``str()``, ``repr()`` and notes hide the credentials of URLs. Every error can be pickled and copied, with its
    attributes, notes, and its cause if that is a SnapdirError or a plain OSError (others may not be picklable).
    """

    code = "IO_ERROR"
    exit_code = 1
    prefix = ""

    def __str__(self) -> str:
        return without_secrets(self.prefix + super().__str__())

    def __repr__(self) -> str:
        return without_secrets(super().__repr__())

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        if "__str__" in cls.__dict__:  # it has its own sentence
            cls.__str__ = _hiding(cls.__str__)  # type: ignore[method-assign]

    def add_note(self, note: str) -> None:
        super().add_note(without_secrets(note))

    def __reduce__(self) -> tuple[Any, ...]:
        state, cause = dict(self.__dict__), self.__cause__
        if isinstance(cause, SnapdirError) or (isinstance(cause, OSError) and type(cause).__module__ == "builtins"):
            state["__cause__"] = cause
        return _restored, (type(self), self.args), state


def _hiding(sentence: Callable[[SnapdirError], str]) -> Callable[[SnapdirError], str]:
    @wraps(sentence)
    def shown(error: SnapdirError) -> str:
        return without_secrets(sentence(error))

    return shown


def _restored(kind: type[SnapdirError], args: tuple[Any, ...]) -> SnapdirError:
    """An error without its state, which pickle adds. ``__init__`` is not called: it may need more than ``args``."""
    error = kind.__new__(kind, *args)
    error.args = args
    return error


class InvalidOption(SnapdirError):
    """A bad value of an option or variable."""

    exit_code = 2


class InvalidId(SnapdirError):
    """A snapshot id or object digest that does not have 64 hexadecimal digits."""

    code = "INVALID_ID"

    def __init__(self, text: str, reason: str = "is not 64 hexadecimal digits", *, what: str = "snapshot id") -> None:
        super().__init__(text, reason)
        self.text = text
        self.reason = reason
        self.what = what

    def __str__(self) -> str:
        store, _, name = self.text.rpartition("@")
        advice = f"; for STORE@{name} write --store STORE --id {name}" if store and name else ""
        return f"invalid {self.what}: {self.text!r} {self.reason}{advice}"


class AmbiguousId(InvalidId):
    """The digits match several snapshots. ``matches`` holds their ids."""

    def __init__(self, prefix: str, matches: Sequence[str]) -> None:
        super().__init__(prefix, f"matches {len(matches)} snapshots")
        self.matches = tuple(matches)

    def __str__(self) -> str:
        shown = ", ".join(self.matches[:MAX_NAMED_OFFENDERS])
        return f"ambiguous snapshot id: {self.text!r} {self.reason}: {shown}; give more digits"


class UnknownName(InvalidId):
    """The text is not an id, and ``store`` (None: no store was given) has no snapshot of this name.

    Args:
        names: Some of the names that the store has.
        can_be_id: An id would have done as well.
    """

    def __init__(
        self, name: str, store: str | None = None, *, names: Sequence[str] = (), can_be_id: bool = True
    ) -> None:
        super().__init__(name, "is not 64 hexadecimal digits, nor the first 8 or more of them")
        self.store = store
        self.names = tuple(names)
        self.can_be_id = can_be_id

    def __str__(self) -> str:
        if self.store is None:
            advice = "give --store, or write STORE@NAME"
            return f"unknown snapshot: {self.text!r} {self.reason}, and names need their store; {advice}"
        listing = f"list its names with `snapdir tag --store {self.store}`"
        advice = f"it has {', '.join(self.names)}; {listing}" if self.names else listing
        if not self.can_be_id:
            return f"there is no name {self.text!r} in {self.store}; {advice}"
        return f"unknown snapshot: {self.text!r} {self.reason}, nor a name in {self.store}; {advice}"


class InvalidStore(SnapdirError):
    """A store URL that cannot be opened. The message shows the right spelling."""

    code = "INVALID_STORE"
    prefix = "invalid store URI: "


class InvalidPack(SnapdirError):
    """A stream is not a complete SNAPPACK. Its manifest was not published."""

    prefix = "invalid pack: "


class Conflict(SnapdirError):
    """Two sources have different content for the same path."""

    code = "CONFLICT"
    prefix = "conflict: "


class NameChanged(Conflict):
    """A name does not mean the snapshot ``expected`` but ``actual`` (None: no snapshot). It was left as it is."""

    def __init__(self, name: str, expected: str | None, actual: str | None) -> None:
        super().__init__(name, expected, actual)
        self.name, self.expected, self.actual = name, expected, actual

    def __str__(self) -> str:
        is_ = f"is {self.actual}" if self.actual else "does not exist"
        return (
            f"{self.prefix}{self.name} {is_}, but {self.expected or 'no such name'} was expected; nothing was changed"
        )


class SideConflict(Conflict):
    """Two snapshots on one side of a comparison have different content for a path. ``side`` is ``from`` or ``to``."""

    def __init__(self, side: str, path: str) -> None:
        super().__init__(side, path)
        self.side, self.path = side, path

    def __str__(self) -> str:
        return (
            f"{self.prefix}two snapshots on the '{self.side}' side have different content for \"{self.path}\"; name one"
            " snapshot, STORE@ID"
        )


class NothingSelected(SnapdirError):
    """No path of a snapshot matches the globs of a partial transfer. ``options`` holds the options."""

    def __init__(self, options: str) -> None:
        super().__init__(options)
        self.options = options

    def __str__(self) -> str:
        return (
            f"no path in the snapshot matches {self.options}; nothing was written"
            " (list its paths with `snapdir ls -R STORE@ID`)"
        )


class UnsafePath(SnapdirError):
    """A manifest path could leave the destination, or a filesystem could confuse it with another path."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"unsafe path {self.path[:200]!r} in the manifest: {self.reason}; it was not written"


class PathNotFound(SnapdirError):
    """A snapshot has no file at ``path``. ``similar`` holds paths that may be meant, ``is_directory`` a reason."""

    def __init__(self, path: str, snapshot_id: str, *, similar: Sequence[str] = (), is_directory: bool = False) -> None:
        super().__init__(path, snapshot_id)
        self.path = path
        self.snapshot_id = snapshot_id
        self.similar = tuple(similar)
        self.is_directory = is_directory

    def __str__(self) -> str:
        sentence = f"snapshot {self.snapshot_id} has no file {self.path[:200]!r}"
        if self.is_directory:
            return f"{sentence}: it is a directory (list it with `snapdir ls`, get it with `snapdir pull --include`)"
        if self.similar:
            return f"{sentence}; did you mean {' or '.join(map(repr, self.similar))}?"
        return f"{sentence} (list its paths with `snapdir ls -R STORE@ID`)"


class InFluxError(SnapdirError):
    """A file changed or vanished while it was read. ``path`` names it."""

    code = "IN_FLUX"

    def __init__(self, path: str | os.PathLike[str], what: str = "changed") -> None:
        super().__init__(path, what)
        self.path = os.fspath(path)
        self.what = what

    def __str__(self) -> str:
        sentence = f"file {self.what} while it was read: {self.path}; run again when no program changes the directory"
        if self.what != "vanished":
            return sentence
        return f"{sentence}; use --exclude to leave out temporary files"


class WorkerKilled(SnapdirError):
    """A process that helped this one was killed. ``signal_name`` names the signal."""

    def __init__(self, signal_name: str) -> None:
        super().__init__(signal_name)
        self.signal_name = signal_name

    def __str__(self) -> str:
        guess = " (out of memory?)" if self.signal_name == "SIGKILL" else ""
        return (
            f"a hashing process was killed by {self.signal_name}{guess}: run again, or use --workers 0 to hash without"
            " further processes"
        )


class CatalogError(SnapdirError):
    """The local history cannot be read or written."""

    code = "CATALOG_ERROR"


class HashMismatchError(SnapdirError):
    """Bytes at ``where`` do not hash to their name. ``expected`` and ``actual`` are hexadecimal digests."""

    code = "HASH_MISMATCH"

    def __init__(self, where: str, *, expected: str, actual: str) -> None:
        super().__init__(where, expected, actual)
        self.where, self.expected, self.actual = where, expected, actual

    def __str__(self) -> str:
        return f"hash mismatch: integrity check failed for {self.where}: expected {self.expected}, got {self.actual}"


class CorruptObject(HashMismatchError):
    """An object has wrong bytes or a wrong length. None of it was given a final name.

    ``advice`` names the damaged place and the remedy.
    """

    def __init__(self, where: str, *, expected: str, actual: str, advice: str = STORE_ADVICE) -> None:
        super().__init__(where, expected=expected, actual=actual)
        self.advice = advice

    def __str__(self) -> str:
        return f"{super().__str__()}; {self.advice}"


class CorruptManifest(HashMismatchError):
    """The text of a manifest does not hash to its id."""
