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
    "NotResumable",
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
"""How long to wait for the store to drop an upload. After that, lifecycle rules of the store remove the parts."""

Buffer = bytes | bytearray | memoryview


class FileRange(NamedTuple):
    """``length`` bytes of an open file from ``offset``: a body that need not pass through memory.

    The descriptor stays open, and is only read with pread or sendfile, until the call it was passed to returns.

    Attributes:
        crc32c: CRC32C of exactly these bytes, from the pass that hashed them; None if unknown.
        check: Raises InFluxError if the file is no longer the one that was hashed. A local store calls it between
            copying and publishing; for other stores the caller does.
        in_memory: Whether reads are known not to wait for a disk.
        digest: BLAKE3 of exactly these bytes if they are a whole object; None if unknown. A local store hashes its copy
            and compares: a program that writes through a mapping changes a file without changing its times.
        compare: Compute the CRC32C of the bytes while they are read, and withhold the last of them unless it is
            ``crc32c``. For services that do not compare checksums themselves.
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
    """One key of a store.

    Attributes:
        size: In bytes.
        modified_seconds: When it was last written, in Unix time; None if the store does not say.
        crc32c: The store's own checksum, from a ``stat`` of a manifest in a service that keeps one; else None.
    """

    key: str
    size: int
    modified_seconds: float | None = None
    crc32c: int | None = None


class Page(tuple[ObjectInfo, ...]):
    """Some objects of a listing.

    Attributes:
        resume: Continues the listing after this page, in another call of ``Store.list``; None on the last page, and
            from stores that cannot continue.
    """

    resume: str | None = None

    @classmethod
    def of(cls, infos: Iterable[ObjectInfo], resume: str | None = None) -> Page:
        page = cls(infos)
        page.resume = resume
        return page


class Capabilities(NamedTuple):
    """Facts about a store for planners, which never test its type.

    Attributes:
        max_concurrency: Most requests that are useful in flight.
        part_size_range: Smallest (the last may be smaller) and largest part of an upload, in bytes.
        max_parts: Most parts of one upload.
        max_object_bytes: Largest object, however it is written.
        conditional_write: Of two concurrent ``write(..., if_absent=True)``, only one writes.
        remote: Requests cross a network, so they are worth overlapping, counting and retrying.
        list_page_keys: Most keys on one page of a listing.
        copy_service: The service that copies objects between all stores with the same ``copy_service``; empty if the
            store has no ``copy_from``.
        copy_prefix: The prefix of this store's keys in that service.
        max_copy_bytes: Largest object of one ``copy_from``, and largest range of one ``copy_part``.
        encrypted: The thread that passes a long body to a BlockSink also decrypts it, which takes 1.2 MiB more; a small
            block is better then.
    """

    max_concurrency: int = 64
    part_size_range: tuple[int, int] = (5 * MIB, 5 * GIB)
    max_parts: int = 10_000
    max_object_bytes: int = 48 * TIB
    conditional_write: bool = False
    remote: bool = True
    list_page_keys: int = 1000
    copy_service: str = ""
    copy_prefix: str = ""
    max_copy_bytes: int = GIB
    encrypted: bool = False


class Upload(Protocol):
    """One large object being written in parts. Nothing is readable at the key before ``commit`` returns.

    Attributes:
        resume_token: Lets a later process continue this upload (``begin_upload``'s ``resume``); None if the store
            cannot do that.
        held_bytes: Bytes of the parts that the store is known to hold, from earlier runs too; 0 without a token.
    """

    @property
    def resume_token(self) -> str | None: ...

    @property
    def held_bytes(self) -> int: ...

    async def adopt_part(self, number: int, body: Body) -> bool:
        """Reuse part ``number`` of an earlier run if the store holds it; False if it must be written. No request.

        ``write_part`` does so itself. A layer that delays parts calls this first, so that a reused part does not wait.
        """

    async def write_part(self, number: int, body: Body) -> None:
        """Write part ``number``, from 1. Parts may come in any order and concurrently; a repeated part replaces."""

    async def copy_part(self, number: int, source: str, *, start: int, length: int) -> None:
        """Copy ``length`` bytes from ``start`` of an object in the same service, as part ``number``.

        Args:
            source: As for ``Store.copy_from``.
        """

    async def commit(self) -> None:
        """Publish all parts, in order, as the object."""

    async def abort(self) -> None:
        """Drop every part. Safe to repeat, and after a failed commit. The caller waits for ABORT_SECONDS at most.

        An upload whose commit is running, or got no response, is left alone: it may have become an object.
        """

    def keep(self) -> None:
        """Leave the parts to a process that continues by ``resume_token``: ``Store.aclose`` does not drop them. No I/O.

        Only for uploads with a token.
        """


class BatchWriter(Protocol):
    """Writes small objects in the caller's thread, and publishes them in batches. Blocking and thread-safe."""

    def put(self, key: str, data: Buffer, *, replace: bool) -> bool:
        """Store ``data``; without ``replace``, only if ``key`` has no object of that length. Whether it was written.

        Before ``publish``, the object may be invisible, and lost if the process dies.
        """

    def publish(self) -> None:
        """Make everything that was put visible at its key, after its bytes are on the disk."""


class Store(Protocol):
    """Bytes at keys.

    Every implementation promises, and ``snapdir.testing.contract.StoreContract`` checks, that: a key never shows
    partial bytes; ``write`` is idempotent; only StoreError subclasses (and LocalError for local files) escape; a
    cancelled call leaves nothing readable behind; data passed in is not kept after return. Keys are relative, with
    ``/`` between components, and never begin with one.
    """

    @property
    def url(self) -> str:
        """The store's location, as a user would write it, without secrets."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def stat(self, key: str) -> ObjectInfo:
        """The size of an object. One request.

        Raises:
            ObjectNotFound: nothing at ``key``.
        """

    def list(self, prefix: str, *, start_after: str = "", resume: str | None = None) -> AsyncIterator[Page]:
        """Pages of the objects whose key starts with ``prefix``: each of them once, and no others.

        The end of the pages is the end of the listing: one that breaks off, or repeats itself, raises. Objects that are
        written or deleted meanwhile may or may not be listed. The order is undefined: services list by hash, by date or
        by key. A caller that needs an order sorts; one that acts on a missing key checks it with ``stat`` first. Every
        page has at least one object; a short page need not be the last.

        Args:
            start_after: Only keys after this one, in the order of their bytes. A store that lists in another order
                lists everything, and leaves out the others itself.
            resume: The ``resume`` of a page from a listing with the same arguments: only the keys after that page.

        Raises:
            StoreMissing: The store itself does not exist. A store without such keys has no pages.
            InvalidResponse: The listing makes no progress, or contains keys outside the request.
        Cost: one request for each page.
        """

    async def folders(self, prefix: str) -> Sequence[str]:
        """Names between ``prefix`` (empty, or ending with ``/``) and the next ``/`` of the keys, each once, sorted.

        Below a prefix with very many keys and names, only the first 10,000 of them may count.

        Raises:
            StoreMissing: The store itself does not exist.
        Cost: up to ten requests.
        """

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Up to ``length`` bytes from ``start`` (None: to the end) of a small object; fewer at the object's end.

        Raises:
            ObjectNotFound: nothing at ``key``.
        """

    async def read_into(self, key: str, buffer: memoryview, *, start: int) -> int:
        """Fill ``buffer`` from ``start``, and return the number of bytes; fewer only at the object's end.

        Raises:
            ObjectNotFound: nothing at ``key``.
        """

    async def read_through(self, key: str, sink: BlockSink, *, start: int, length: int) -> None:
        """Pass up to ``length`` bytes from ``start`` to ``sink``, in order; fewer only at the object's end.

        Raises:
            ObjectNotFound: nothing at ``key``.
        Cancellation: ``sink`` gets nothing more, and its block is not touched any more.
        """

    async def write(self, key: str, body: Body, *, if_absent: bool = False) -> bool:
        """Store ``body`` at ``key``, replacing any object there.

        Args:
            if_absent: Keep an existing object (needs ``capabilities.conditional_write``).

        Returns:
            False if ``if_absent`` kept an existing object, else True.
        """

    async def swap(self, key: str, old: bytes | None, new: bytes) -> bool:
        """Write a small object if ``key`` holds exactly ``old`` (None: nothing); False if it holds anything else.

        Of concurrent swaps of the same ``old``, one writes. ``new`` must be unique: a call that finds it there wrote it
        in an attempt whose response was lost, and returns True. The written object survives a power cut.

        Raises:
            NoConditionalWrites: The store cannot do that.
        """

    async def copy_from(self, key: str, source: str) -> None:
        """Have the service copy the object at ``source`` to ``key``; its bytes do not pass through this host.

        The bytes are not verified: the copy is as good as its source.

        Args:
            source: ``capabilities.copy_prefix`` of a store with the same ``copy_service``, followed by a key of it.

        Raises:
            ObjectNotFound: nothing at ``source``.
            StoreRefused: The store cannot copy, or sent an invalid response; do not rely on the object at ``key``.
        """

    async def begin_upload(self, key: str, *, size: int, part_bytes: int, resume: str | None = None) -> Upload:
        """Begin an object of ``size`` bytes, written in parts of ``part_bytes``; the last part may be shorter.

        Args:
            resume: The token of an upload of the same bytes in the same parts that was neither committed nor aborted:
                ``write_part`` does not send the parts that it holds. If it no longer exists, a new upload begins.
        """

    async def flush(self) -> None:
        """Make stored objects survive a power cut of this host. No request: remote services have done so already."""

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete ``keys``. Missing keys are ignored."""

    def local_path(self, key: str) -> Path | None:
        """The file with the bytes of ``key``, if the store is on a filesystem of this host; else None. No I/O."""

    def batch_writer(self) -> BatchWriter | None:
        """Writes many small objects without a thread hop for each, to a store on this host; else None. No I/O."""

    async def aclose(self) -> None:
        """Release connections and threads. Safe to repeat."""


async def first_page(store: Store, prefix: str) -> Page:
    """The first page of the keys below ``prefix``, with one request; empty only if no key has the prefix.

    Raises:
        StoreMissing: the store itself does not exist.
    """
    pages = store.list(prefix)
    try:
        return await anext(pages, None) or Page()
    finally:
        await close_pages(pages)


async def close_pages(pages: AsyncIterator[Sequence[ObjectInfo]]) -> None:
    """Close a listing, at its end or before."""
    if isinstance(pages, AsyncGenerator):  # other iterators have nothing to close
        await pages.aclose()


class BodyCutShort(ConnectionFailed):
    """A body that ended early. ``received`` bytes are in the caller's buffer, and a reader may continue after them."""

    def __init__(self, message: str, *, key: str | None = None, received: int) -> None:
        super().__init__(message, key=key)
        self.received = received


class StillAtWork(ConnectionFailed):
    """A request on which the service works for minutes got no response in time. A retry would only start it again."""


class NoServerCopy:
    """The base of stores and uploads that cannot copy."""

    __slots__ = ()

    async def copy_from(self, key: str, source: str) -> None:  # noqa: ARG002  # the shape of every store
        raise StoreRefused(f"{key}: this store cannot copy objects", key=key)

    async def copy_part(self, number: int, source: str, *, start: int, length: int) -> None:  # noqa: ARG002
        raise StoreRefused(f"part {number}: this store cannot copy objects")


class NotResumable:
    """The base of uploads that another process cannot continue."""

    __slots__ = ()

    resume_token: str | None = None
    held_bytes = 0

    async def adopt_part(self, number: int, body: Body) -> bool:  # noqa: ARG002  # the shape of every upload
        return False

    def keep(self) -> None:
        """Nothing to keep without a token."""


def body_length(body: Body) -> int:
    """Bytes of ``body``."""
    if isinstance(body, FileRange):
        return body.length
    return body.nbytes if isinstance(body, memoryview) else len(body)


def checked_range(key: str, received: int, requested: int) -> int:
    """``received``, checked to be at most ``requested``.

    Raises:
        InvalidResponse: The store sent more.
    """
    if received > requested:
        raise InvalidResponse(f"{key}: the store sent {received} bytes instead of {requested}", key=key)
    return received
