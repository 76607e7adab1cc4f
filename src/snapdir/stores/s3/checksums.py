"""Checksums of what is sent: CRC32C, which lets the service itself refuse bytes that are not those that were hashed.

And the hashes of those who want others: signatures (``payload_signing_enabled``) and Content-MD5.
"""

from __future__ import annotations

import hashlib
import os
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from anyio.from_thread import check_cancelled
from anyio.to_thread import run_sync
from blake3 import blake3

from snapdir.disk.system import path_of_descriptor
from snapdir.errors import InFluxError, SnapdirError, local_errors
from snapdir.hashing.crc32c import crc32c, crc32c_of_range
from snapdir.model.sizes import KIB, MIB
from snapdir.stores.base import Body, FileRange, body_length
from snapdir.stores.s3.failures import BodyRefused, Operation

__all__ = [
    "INLINE_BYTES",
    "NOTES_NAME",
    "Checksums",
    "EndpointNote",
    "checksum_of_parts",
    "content_md5",
    "decoded",
    "encoded",
    "is_unsupported",
    "other_bytes",
    "payload_hash",
    "require_same",
]

CRC_BYTES = 4

HASHED_AT_ONCE = 64 * KIB

INLINE_BYTES = 256 * KIB
"""Summed on the loop: 23 µs at 11 GB/s, where a hop to a thread takes 113-129."""


UNSUPPORTED = frozenset({"InvalidArgument", "InvalidRequest", "NotImplemented", "UnsupportedArgument"})
"""Codes with which services refuse a header they do not know; also used for other things."""

NOTES_NAME = ".endpoints"
LIFETIME_SECONDS = 30 * 86400
"""Services learn: after this the endpoint is tried again."""


class EndpointNote:
    """Whether one endpoint refuses CRC32C. It is only a hint: without it one request more is refused.

    Args:
        folder: The cache; None remembers nothing.
        place: Names the endpoint.
    """

    def __init__(self, folder: Path | None, place: str, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._place = place
        self._file: Path | None = None
        if folder is not None:
            self._file = folder / NOTES_NAME / f"{blake3(place.encode()).hexdigest()[:32]}-refuses-crc32c"

    @property
    def refuses_checksums(self) -> bool:
        """Whether that was seen not too long ago."""
        try:
            return self._file is not None and self._clock() - os.stat(self._file).st_mtime < LIFETIME_SECONDS
        except OSError:
            return False

    def note_refusal(self) -> None:
        """Remember it; where that cannot be written, it is found out again."""
        if self._file is not None:
            with suppress(OSError):
                self._file.parent.mkdir(parents=True, exist_ok=True)
                self._file.write_text(f"{self._place} refuses x-amz-checksum-crc32c\n")


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

    async def note_refusal(self) -> None:
        """Remember that the endpoint refused a request for its checksum, and took it without."""
        self.accepted = False
        if self._note is not None:
            await run_sync(self._note.note_refusal)


def is_unsupported(code: str) -> bool:
    """Whether a request that was refused with this code may be taken without its checksum."""
    return code in UNSUPPORTED


async def other_bytes(error: BodyRefused, body: Body, crc: int | None) -> SnapdirError:
    """What to raise where other bytes arrived than were announced.

    InFluxError: the file has changed. BodyRefused: it stands still, and another try is fine: bytes change on the way
    once in a blue moon.
    """
    if crc is None:
        return error
    if isinstance(body, FileRange):
        try:
            await run_sync(_check_source, body, crc)
        except SnapdirError as changed:
            return changed
    return BodyRefused(
        f"{error.args[0]}; the bytes that arrived are not those that were hashed: suspect this machine"
        "'s memory, or something that rewrites requests, if that goes on",
        key=error.key,
    )


def _check_source(body: FileRange, crc: int) -> None:
    if body.check is not None:
        body.check()
    if _of_file(body) != crc:
        raise InFluxError(path_of_descriptor(body.fd))


def _of_file(body: FileRange) -> int:
    name = path_of_descriptor(body.fd)
    with local_errors(name):
        crc, found_bytes = crc32c_of_range(body.fd, body.offset, body.length, between=check_cancelled)
    if found_bytes < body.length:
        raise InFluxError(name, "shrank")
    return crc


def require_same(operation: Operation, crc: int | None, header: bytes) -> None:
    """Accept a checksum that a response carries.

    Raises:
        BodyRefused: it is another one than was sent.
    """
    found = decoded(header.decode("latin-1"))
    if crc is not None and found not in (None, crc):
        raise BodyRefused(f"{operation}: CRC32C {found:08x} arrived where {crc:08x} was sent", key=operation.key)


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


async def payload_hash(body: Body | None) -> bytes:
    """The SHA-256 of ``body`` in hex, in a thread where it is long: 1.5 GB/s.

    Raises:
        LocalError: the file of a body cannot be read.
    """
    if body is None or not (isinstance(body, FileRange) or body_length(body) > HASHED_AT_ONCE):
        return hashlib.sha256(body or b"").hexdigest().encode()
    summed: str = (await run_sync(_summed, hashlib.sha256(), body)).hexdigest()
    return summed.encode()


def content_md5(body: Body) -> bytes:
    """The Content-MD5 of ``body``, for services that know no other checksum. Blocking: about 0.6 GB/s.

    Raises:
        LocalError: the file of a body cannot be read.
    """
    return b64encode(_summed(hashlib.md5(usedforsecurity=False), body).digest())


def _summed(summed: Any, body: Body) -> Any:
    """A hash of hashlib's that has taken ``body``, or what is left of it in a file that has shrunk."""
    if not isinstance(body, FileRange):
        summed.update(body)
        return summed
    position, end = body.offset, body.offset + body.length
    with local_errors(path_of_descriptor(body.fd)):
        while position < end and (block := os.pread(body.fd, min(MIB, end - position), position)):
            summed.update(block)
            position += len(block)
            check_cancelled()
    return summed
