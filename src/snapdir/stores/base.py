"""The shape of every store: bytes at keys."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from snapdir.errors import ConnectionFailed, InvalidResponse, StoreRefused
from snapdir.model.sizes import GIB, MIB, TIB
from snapdir.stores.blocks import BlockSink

__all__ = [
    "ABORT_SECONDS",
    "BatchWriter",
    "Body",
    "BodyCutShort",
    "Buffer",
    "Capabilities",
    "FileRange",
    "NoServerCopy",
    "ObjectInfo",
    "Page",
    "StillAtWork",
    "Store",
    "Upload",
    "body_length",
    "checked_range",
    "close_pages",
    "first_page",
]

ABORT_SECONDS = 10
"""How long to wait for the store to drop an upload. After that its lifecycle rules have to remove the parts."""

Buffer = bytes | bytearray | memoryview


class FileRange(NamedTuple):
    """``length`` bytes of an open file from ``offset``: a body that need not pass through memory.

    The descriptor stays open, and is only read with pread or sendfile, until the call it was passed to returns.

    Attributes:
        crc32c: CRC32C of exactly these bytes, from the pass that hashed them; None where it is not known.
        check: Raises InFluxError if the file is no longer the one that was hashed. A store that can look before it
            publishes (a local one) calls it in between; others leave that to the caller.
        in_memory: No read of it waits for a disk, as far as is known (a tmpfs may be swapped out), which a tmpfs itself
            does not tell.
        digest: BLAKE3 of exactly these bytes, where they are a whole object; None where it is not known. A writer
            through a mapping changes a file without a trace in its times, so a store hashes what it has copied.
        compare: Sum the bytes as they are read, and never send the last of them if that is not ``crc32c``: for a
            service that does not do so itself.
    """

    fd: int
    offset: int
    length: int
    crc32c: int | None = None
    check: Callable[[], None] | None = None
    in_memory: bool = False
    digest: str | None = None
    compare: bool = False


Body = Buffer | FileRange


class ObjectInfo(NamedTuple):
    """What a store says of one key: its size in bytes, and when it was last written (Unix seconds) if it says so.

    ``crc32c`` is the store's own checksum, from a ``stat`` of a manifest in a service that keeps one.
    """

    key: str
    size: int
    modified_seconds: float | None = None
    crc32c: int | None = None


class Page(tuple[ObjectInfo, ...]):
    """Some objects of a listing.

    Attributes:
        resume: Lets another call of ``Store.list`` go on behind this page; None where a store cannot, or there is
            nothing behind it.
    """

    resume: str | None = None

    @classmethod
    def of(cls, infos: Iterable[ObjectInfo], resume: str | None = None) -> Page:
        page = cls(infos)
        page.resume = resume
        return page


class Capabilities(NamedTuple):
    """Facts that planners read instead of testing a store's type.

    Attributes:
        max_concurrency: Requests that may usefully be in flight.
        part_size_range: Smallest (the last may be smaller) and largest part of an upload, in bytes.
        max_parts: Parts of one upload.
        max_object_bytes: Largest object of any kind.
        conditional_write: Of two racing ``write(..., if_absent=True)`` only one writes.
        remote: Requests cross a network: worth overlapping, counting and retrying.
        list_page_keys: Keys that one page of a listing holds at most.
        copy_service: Names the service that copies objects by itself (``Store.copy_from``) between all stores with this
            name; empty where nothing does.
        copy_place: What a key of this store begins with in that service.
        max_copy_bytes: Largest object of one ``copy_from``, and range of one ``copy_part``.
        encrypted: The thread that passes a long body to its BlockSink decrypts it as well, and holds 1.2 MiB
            for that; a small block is the better one then.
    """

    max_concurrency: int = 64
    part_size_range: tuple[int, int] = (5 * MIB, 5 * GIB)
    max_parts: int = 10_000
    max_object_bytes: int = 48 * TIB
    conditional_write: bool = False
    remote: bool = True
    list_page_keys: int = 1000
    copy_service: str = ""
    copy_place: str = ""
    max_copy_bytes: int = GIB
    encrypted: bool = False


class Upload(Protocol):
    """One large object being written in parts. Nothing is readable at the key before ``commit`` returns.

    Attributes:
        resume_token: Lets a later process go on with this upload (``begin_upload``'s ``resume``); None where a store
            cannot.
        held_bytes: Bytes of the parts that the store is known to hold, earlier runs' among them; 0 without a token.
    """

    @property
    def resume_token(self) -> str | None: ...

    @property
    def held_bytes(self) -> int: ...

    async def adopt_part(self, number: int, body: Body) -> bool:
        """Take part ``number`` over from an earlier run, if the store holds it and is not known to hold other bytes.

        ``write_part`` does so by itself; a layer that makes a part wait calls it first. No request.
        """

    async def write_part(self, number: int, body: Body) -> None:
        """Write part ``number``, counted from 1. Parts come in any order and side by side; a repeat replaces."""

    async def copy_part(self, number: int, source: str, *, start: int, length: int) -> None:
        """Take ``length`` bytes from ``start`` of an object of the same service as part ``number``.

        Args:
            source: As for ``Store.copy_from``.
        """

    async def commit(self) -> None:
        """Publish all parts, in order, as the object."""

    async def abort(self) -> None:
        """Drop every part. Safe to repeat, and after a failed commit. The caller waits for ABORT_SECONDS at most.

        An upload whose commit is under way, or got no answer, is left as it is: it may be an object by now.
        """

    def keep(self) -> None:
        """Leave the parts for a process that goes on by ``resume_token``: ``Store.aclose`` does not drop them. No I/O.

        For uploads that have a token.
        """


class BatchWriter(Protocol):
    """Writes small objects in the caller's thread, and names them in batches. Blocking; for several threads at once."""

    def put(self, key: str, data: Buffer, *, replace: bool) -> bool:
        """Store ``data`` unless an object of that length is there, or in any case; whether it was written.

        It may have no name, and be lost with this process, before ``publish``.
        """

    def publish(self) -> None:
        """Name everything that was put: each name appears after its bytes are on the disk."""


class Store(Protocol):
    """Bytes at keys.

    Every implementation promises, and ``snapdir.testing.contract.StoreContract`` checks, that: a key never shows
    partial bytes; ``write`` is idempotent; only StoreError subclasses (and LocalError for local files) escape; a
    cancelled call leaves nothing readable behind; data passed in is not kept after return. Keys are relative, with
    ``/`` between components, and never begin with one.
    """

    @property
    def url(self) -> str:
        """Where this is, as a user would write it, without secrets."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def stat(self, key: str) -> ObjectInfo:
        """Size of the object. One request.

        Raises:
            ObjectNotFound: nothing at ``key``.
        """

    def list(self, prefix: str, *, start_after: str = "", resume: str | None = None) -> AsyncIterator[Page]:
        """Pages of the objects whose key starts with ``prefix``: each of them once, in any order, and no others.

        The pages are complete when they end: a listing that breaks off, or that goes round in circles, raises. What was
        written or deleted meanwhile may be in it or not. No order is promised: services list by hash, by date or by
        key. A caller that needs an order sorts; one that acts on a missing key checks it by ``stat`` first.
        A page has one object at least; it need not be as long as ``capabilities.list_page_keys`` to be followed by
        another.

        Args:
            start_after: Only keys that come behind this one in the order of their bytes. A store that does not list in
                that order lists everything, and leaves the others out here.
            resume: From a page of a listing with the same arguments: only what comes behind that page.

        Raises:
            StoreMissing: the store itself does not exist. An existing store without such keys gives no pages.
            InvalidResponse: the store's listing does not get ahead, or holds what was not asked for.
        Cost: a request for each page.
        """

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Up to ``length`` bytes from ``start`` (None: to the end), for small things; short at the object's end.

        Raises:
            ObjectNotFound: nothing at ``key``.
        """

    async def read_into(self, key: str, buffer: memoryview, *, start: int) -> int:
        """Fill ``buffer`` from ``start`` and return the bytes received; fewer only at the object's end.

        Raises:
            ObjectNotFound: nothing at ``key``.
        """

    async def read_through(self, key: str, sink: BlockSink, *, start: int, length: int) -> None:
        """Pass up to ``length`` bytes from ``start`` to ``sink``, in order; fewer only at the object's end.

        Raises:
            ObjectNotFound: nothing at ``key``.
        Cancellation: nothing is passed to ``sink`` afterwards, and its block is not touched any more.
        """

    async def write(self, key: str, body: Body, *, if_absent: bool = False) -> bool:
        """Store ``body`` at ``key``, replacing what is there.

        Args:
            if_absent: Leave an object that is already there alone (only with ``capabilities.conditional_write``).

        Returns:
            False if ``if_absent`` found the key taken, else True.
        """

    async def copy_from(self, key: str, source: str) -> None:
        """Have the service itself store at ``key`` what it holds at ``source``; no byte of it passes through here.

        Nobody has looked at the bytes then: what is copied is as good as what was there.

        Args:
            source: ``capabilities.copy_place`` of a store with the same ``copy_service``, and a key of that.

        Raises:
            ObjectNotFound: nothing at ``source``.
            StoreRefused: this store copies nothing, or did not understand; what is at ``key`` is not to be believed.
        """

    async def begin_upload(self, key: str, *, size: int, part_bytes: int, resume: str | None = None) -> Upload:
        """Start an object of ``size`` bytes in all that comes in parts of ``part_bytes``, the last one shorter.

        Args:
            resume: Token of an upload of the same bytes in the same parts that was neither committed nor aborted: parts
                that it holds are not sent again by ``write_part``. One that is gone is begun anew.
        """

    async def flush(self) -> None:
        """Make what is stored survive a power cut of this host. No request: remote services have done that by then."""

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove ``keys``; those that are not there are fine."""

    def local_path(self, key: str) -> Path | None:
        """The file that holds ``key``'s bytes, for a store on a filesystem of this host; else None. No I/O."""

    def batch_writer(self) -> BatchWriter | None:
        """For whoever writes many small objects to a store on this host: a hop each costs more. Else None. No I/O."""

    async def aclose(self) -> None:
        """Release connections and threads. Safe to repeat."""


async def first_page(store: Store, prefix: str) -> Page:
    """What one request lists below ``prefix``, all of it or not; empty only if there is nothing.

    Raises:
        StoreMissing: the store itself does not exist.
    """
    pages = store.list(prefix)
    try:
        return await anext(pages, None) or Page()
    finally:
        await close_pages(pages)


async def close_pages(pages: AsyncIterator[Sequence[ObjectInfo]]) -> None:
    """Let go of a listing, whether or not it is at its end."""
    if isinstance(pages, AsyncGenerator):  # other iterators have nothing to close
        await pages.aclose()


class BodyCutShort(ConnectionFailed):
    """A body that ended early: ``received`` bytes of it are in the caller's buffer, and a reader may go on behind."""

    def __init__(self, message: str, *, key: str | None = None, received: int) -> None:
        super().__init__(message, key=key)
        self.received = received


class StillAtWork(ConnectionFailed):
    """A request that takes a service minutes got no answer in its time: to ask again would only begin it anew."""


class NoServerCopy:
    """What a store, or an upload, says that copies nothing by itself."""

    __slots__ = ()

    async def copy_from(self, key: str, source: str) -> None:  # noqa: ARG002  # the shape of every store
        raise StoreRefused(f"{key}: this store copies nothing by itself", key=key)

    async def copy_part(self, number: int, source: str, *, start: int, length: int) -> None:  # noqa: ARG002
        raise StoreRefused(f"part {number}: this store copies nothing by itself")


class NotResumable:
    """What an upload says that no other process can go on with."""

    __slots__ = ()

    resume_token: str | None = None
    held_bytes = 0

    async def adopt_part(self, number: int, body: Body) -> bool:  # noqa: ARG002  # the shape of every upload
        return False

    def keep(self) -> None:
        """There is no token to go on by."""


def body_length(body: Body) -> int:
    """Bytes of ``body``."""
    if isinstance(body, FileRange):
        return body.length
    return body.nbytes if isinstance(body, memoryview) else len(body)


def checked_range(key: str, received: int, wanted: int) -> int:
    """``received``, if it is at most what was asked for.

    Raises:
        InvalidResponse: the store sent more.
    """
    if received > wanted:
        raise InvalidResponse(f"{key}: the store sent {received} bytes where {wanted} were asked for", key=key)
    return received
