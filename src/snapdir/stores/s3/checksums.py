"""Checksums of bodies: CRC32C, by which the service refuses changed bytes, SHA-256 for signatures, and Content-MD5."""

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
from snapdir.model.keys import ENDPOINTS
from snapdir.model.sizes import KIB, MIB
from snapdir.stores.base import Body, FileRange, body_length
from snapdir.stores.s3.failures import BodyRefused, Operation

CRC_BYTES = 4

HASHED_AT_ONCE = 64 * KIB

INLINE_BYTES = 256 * KIB
"""Computed on the loop: 23 µs at 11 GB/s; a hop to a thread takes 113 to 129."""


UNSUPPORTED = frozenset({"InvalidArgument", "InvalidRequest", "NotImplemented", "UnsupportedArgument"})
"""Codes for an unknown header; services use them for other refusals too."""

LIFETIME_SECONDS = 30 * 86400
"""After this the endpoint is tried again."""


class Checksums:
    """Whether one endpoint takes ``x-amz-checksum-crc32c``: yes, until it refuses a request and takes it without.

    Args:
        folder: The cache, which keeps a refusal for later runs; None keeps nothing.
        endpoint: Names the endpoint in the note.

    Attributes:
        accepted: False after a refusal, in this run or a noted one.
    """

    def __init__(
        self, folder: Path | None = None, endpoint: str = "", *, clock: Callable[[], float] = time.time
    ) -> None:
        """Blocking: looks for a note."""
        self._endpoint = endpoint
        self._note: Path | None = None
        if folder is not None:
            self._note = folder / ENDPOINTS / f"{blake3(endpoint.encode()).hexdigest()[:32]}-refuses-crc32c"
        self.accepted = not self._is_noted(clock())

    def _is_noted(self, now: float) -> bool:
        try:
            return self._note is not None and now - os.stat(self._note).st_mtime < LIFETIME_SECONDS
        except OSError:
            return False

    async def of(self, body: Body, *, required: bool = False) -> int | None:
        """The checksum to send with ``body``. A file that was hashed without one gets one only if required."""
        if not self.accepted:
            return None
        if isinstance(body, FileRange):
            return await run_sync(_of_file, body) if body.crc32c is None and required else body.crc32c
        if len(body) <= INLINE_BYTES:
            return crc32c(body)
        # The worker thread may keep the call for a while; it must not keep the caller's buffer.
        once = [body]
        return await run_sync(lambda: crc32c(once.pop()))

    async def note_refusal(self) -> None:
        """Send no checksums from now on, and in later runs if that can be noted."""
        self.accepted = False
        if self._note is not None:
            await run_sync(self._write_note, self._note)

    def _write_note(self, note: Path) -> None:
        with suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(f"{self._endpoint} refuses x-amz-checksum-crc32c\n")


async def other_bytes(error: BodyRefused, body: Body, crc: int) -> SnapdirError:
    """The error to raise if the service received bytes that differ from those hashed.

    InFluxError if the file has changed; otherwise BodyRefused, which is retried.
    """
    if isinstance(body, FileRange):
        try:
            await run_sync(_check_source, body, crc)
        except SnapdirError as changed:
            return changed
    return BodyRefused(
        f"{error.args[0]}; the service received bytes that differ from those hashed; if this repeats, check "
        "this machine's memory and any proxy that rewrites requests",
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
        crc, read_bytes = crc32c_of_range(body.fd, body.offset, body.length, between=check_cancelled)
    if read_bytes < body.length:
        raise InFluxError(name, "shrank")
    return crc


def require_same(operation: Operation, crc: int | None, header: bytes) -> None:
    """Accept a checksum that a response carries.

    Raises:
        BodyRefused: it differs from the one that was sent.
    """
    arrived = decoded(header.decode("latin-1"))
    if crc is not None and arrived not in (None, crc):
        raise BodyRefused(
            f"{operation}: the service received CRC32C {arrived:08x} instead of {crc:08x}", key=operation.key
        )


def encoded(crc: int) -> str:
    """The checksum as a header has it: Base64 of four bytes, the highest first."""
    return b64encode(crc.to_bytes(4, "big")).decode()


def checksum_of_parts(crcs: Sequence[int | None]) -> str | None:
    """The checksum that a service keeps of an object in parts; None if that of a part is unknown."""
    known = [crc.to_bytes(CRC_BYTES, "big") for crc in crcs if crc is not None]
    return f"{encoded(crc32c(b''.join(known)))}-{len(known)}" if len(known) == len(crcs) else None


def decoded(header: str) -> int | None:
    """The checksum in a header; None for any other text, such as that of an object in parts."""
    try:
        digest = b64decode(header, validate=True)
    except ValueError:
        return None
    return int.from_bytes(digest, "big") if len(digest) == CRC_BYTES else None


async def payload_hash(body: Body | None) -> bytes:
    """The SHA-256 of ``body`` in hex; a long one in a thread, at 1.5 GB/s.

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
    """``summed``, a hash of hashlib, updated with ``body``."""
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
