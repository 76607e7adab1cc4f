"""CRC32C of what is sent, so that the service itself refuses bytes that are not the ones that were hashed."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from anyio.from_thread import check_cancelled
from anyio.to_thread import run_sync

from snapdir.disk.system import path_of_descriptor
from snapdir.errors import InFluxError, StoreRefused, local_errors
from snapdir.hashing.crc32c import crc32c, crc32c_of_range
from snapdir.model.sizes import KIB
from snapdir.stores.base import Body, FileRange
from snapdir.stores.s3.endpoint_note import EndpointNote
from snapdir.stores.s3.failures import Asked, BodyRefused

__all__ = ["Checksums", "checksum_of_parts", "compared", "decoded", "encoded", "is_confirmed"]

CRC_BYTES = 4

INLINE_BYTES = 256 * KIB
"""Summed on the loop: 23 µs at 11 GB/s, where a hop to a thread takes 113-129."""


UNSUPPORTED = frozenset({"InvalidArgument", "InvalidRequest", "NotImplemented", "UnsupportedArgument"})
"""Codes with which services refuse a header they do not know; also used for other things."""

Result = TypeVar("Result")


class Checksums:
    """Whether one endpoint takes ``x-amz-checksum-crc32c``: yes, until it refuses what it takes without.

    Args:
        note: Remembers a refusal for later runs.

    Attributes:
        accepted: False from then on.
    """

    def __init__(self, note: EndpointNote | None = None, *, accepted: bool = True) -> None:
        self.accepted = accepted
        self._note = note

    async def of(self, body: Body, *, required: bool = False) -> int | None:
        """The checksum to send with ``body``: of a file only the one from the pass that hashed it, unless required."""
        if not self.accepted:
            return None
        if isinstance(body, FileRange):
            return await run_sync(_of_file, body) if body.crc32c is None and required else body.crc32c
        if len(body) <= INLINE_BYTES:
            return crc32c(body)
        # The worker may hold the call for a while after its result is out; it must not hold the caller's buffer too.
        once = [body]
        return await run_sync(lambda: crc32c(once.pop()))

    async def offer(self, request: Callable[[bool], Awaitable[Result]]) -> Result:
        """Await ``request(True)``; if it is refused and ``request(False)`` is not, remember that checksums are."""
        if not self.accepted:
            return await request(False)
        try:
            return await request(True)
        except StoreRefused as error:
            if error.error_code not in UNSUPPORTED:
                raise
        result = await request(False)
        self.accepted = False
        if self._note is not None:
            await run_sync(self._note.note_refusal)
        return result

    async def send(self, body: Body, crc: int | None, request: Callable[[int | None], Awaitable[Result]]) -> Result:
        """Await ``request(crc)``; where what arrived is not what was announced, find out whose doing that is.

        Raises:
            InFluxError: they differ because the file has changed.
            BodyRefused: they differ although the file stands still: bytes change on the way once in a blue moon, and
                another try is fine.
        """
        if crc is None:
            return await request(None)
        try:
            return await self.offer(lambda wanted: request(crc if wanted else None))
        except BodyRefused as error:
            if isinstance(body, FileRange):
                await run_sync(_check_source, body, crc)
            raise BodyRefused(
                f"{error.args[0]}; the bytes that arrived are not those that were hashed: suspect this machine"
                "'s memory, or something that rewrites requests, if that goes on",
                key=error.key,
            ) from error


def _check_source(body: FileRange, crc: int | None) -> None:
    if body.check is not None:
        body.check()
    if crc is not None and _of_file(body) != crc:
        raise InFluxError(path_of_descriptor(body.fd))


def _of_file(body: FileRange) -> int:
    name = path_of_descriptor(body.fd)
    with local_errors(name):
        crc, found_bytes = crc32c_of_range(body.fd, body.offset, body.length, between=check_cancelled)
    if found_bytes < body.length:
        raise InFluxError(name, "shrank")
    return crc


def compared(body: Body, *, by_service: bool) -> Body:
    """``body``, whose bytes are compared with what was hashed while they leave, unless the service does that."""
    if by_service or not isinstance(body, FileRange) or body.crc32c is None:
        return body
    return body._replace(compare=True)


def is_confirmed(asked: Asked, crc: int | None, header: str | None) -> bool:
    """Whether an answer carries the checksum of its request: a service that does so sums what arrives.

    Many ignore the header that they do not know, which reads like success.

    Raises:
        BodyRefused: it carries another one.
    """
    if crc is None or header is None or (found := decoded(header)) is None:
        return False
    if found != crc:
        raise BodyRefused(f"{asked}: CRC32C {found:08x} arrived where {crc:08x} was sent", key=asked.key)
    return True


def encoded(crc: int) -> str:
    """As the header carries it: Base64 of four bytes, the highest first."""
    return b64encode(crc.to_bytes(4, "big")).decode()


def checksum_of_parts(crcs: Sequence[int | None]) -> str | None:
    """What a service keeps of an object in parts: the CRC32C of theirs, and their number; None if one is unknown."""
    known = [crc.to_bytes(CRC_BYTES, "big") for crc in crcs if crc is not None]
    return f"{encoded(crc32c(b''.join(known)))}-{len(known)}" if len(known) == len(crcs) else None


def decoded(header: str) -> int | None:
    """The checksum in a header; None for text that is not one, as that of an object in parts."""
    try:
        found = b64decode(header, validate=True)
    except ValueError:
        return None
    return int.from_bytes(found, "big") if len(found) == CRC_BYTES else None
