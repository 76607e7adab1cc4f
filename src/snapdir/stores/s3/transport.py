"""What the store asks of whoever carries its requests: a dozen calls on one bucket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol

from snapdir.stores.base import Body, ObjectInfo
from snapdir.stores.blocks import BlockSink

__all__ = ["MAX_READ_BYTES", "WORK_SECONDS", "ListPage", "Transport", "UploadedPart"]

WORK_SECONDS = 600.0
"""A service takes minutes to put 10,000 parts together, or to copy 5 GiB. Some send white space meanwhile."""

MAX_READ_BYTES = 1 << 30
"""The longest body of a ``get`` without a length."""


class ListPage(NamedTuple):
    """One answer to a listing. ``next_token`` is None on the last page."""

    objects: tuple[ObjectInfo, ...]
    next_token: str | None


class UploadedPart(NamedTuple):
    """A part that the service holds; ``crc32c`` if it was sent with one."""

    number: int
    etag: str
    size: int
    crc32c: int | None = None


class Transport(Protocol):
    """Requests to one bucket; keys are the store's, without its prefix.

    Each call is one request (``list_parts``, ``delete``: one a page or batch), not retried here.
    Each raises our errors, naming bucket, key and endpoint, and no secret: ObjectNotFound, StoreMissing, AccessDenied,
    StoreRefused with the service's code, Throttled, ConnectionFailed, InvalidResponse, BodyRefused. Bodies are not
    kept, and no file of them is touched, after the call has returned or was cancelled.

    Attributes:
        encrypted: See ``Capabilities``.
        compares: An answer has shown that the service sums the bodies that come with a CRC32C.
    """

    encrypted: bool
    compares: bool

    async def head(self, key: str, *, checksum: bool = False) -> ObjectInfo:
        """What the service says of an object; with ``checksum`` also the CRC32C that it keeps, if it keeps one."""

    async def get(self, key: str, *, start: int, length: int | None) -> bytes:
        """The range, short or empty at the object's end."""

    async def get_into(self, key: str, buffer: memoryview, *, start: int) -> int:
        """Fill ``buffer``, which is not empty, straight from the connection; the bytes received.

        Raises:
            BodyCutShort: the body ended early; what came is in the buffer.
            InvalidResponse: another range than the one asked for, or more of it.
        """

    async def get_through(self, key: str, sink: BlockSink, *, start: int, length: int) -> None:
        """Pass the range to ``sink``, fewer bytes only at the object's end. ``length`` is not 0.

        Raises:
            BodyCutShort: the body ended early, behind what ``sink`` has consumed.
            InvalidResponse: another range than the one asked for, or more of it.
        """

    async def put(self, key: str, body: Body, *, crc32c: int | None, if_absent: bool) -> bool:
        """Write an object; False if ``if_absent`` found one."""

    async def copy(self, key: str, source: str) -> None:
        """Have the service copy an object: ``source`` is a bucket, a slash, and the whole key there.

        Raises:
            StoreRefused: the answer is none to this question: the service may have written something else.
        """

    async def list_page(self, prefix: str, *, start_after: str, token: str | None) -> ListPage: ...

    async def delete(self, keys: Sequence[str]) -> None: ...

    async def create_upload(self, key: str, *, checksums: bool) -> str:
        """Begin an upload whose parts carry checksums, or do not, and return its id."""

    async def put_part(self, key: str, upload_id: str, number: int, body: Body, *, crc32c: int | None) -> str:
        """Write one part and return its ETag."""

    async def copy_part(
        self, key: str, upload_id: str, number: int, source: str, *, start: int, length: int
    ) -> UploadedPart:
        """Have the service take a range of an object as one part; ``source`` and failures as for ``copy``."""

    async def complete_upload(self, key: str, upload_id: str, parts: Sequence[UploadedPart]) -> None:
        """Publish the parts as the object.

        Raises:
            StillAtWork: no answer within WORK_SECONDS.
        """

    async def size_and_checksum(self, key: str) -> tuple[int, str]:
        """The length of an object, and the text of the CRC32C that the service keeps; empty where it keeps none."""

    async def abort_upload(self, key: str, upload_id: str) -> None:
        """Drop the parts. An upload that is gone already is fine."""

    def list_parts(self, key: str, upload_id: str) -> AsyncIterator[Sequence[UploadedPart]]: ...

    async def aclose(self) -> None:
        """Close every connection. Safe to repeat."""
