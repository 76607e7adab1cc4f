"""Hashes of what is sent, for those who want them: signatures (``payload_signing_enabled``) and Content-MD5."""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from typing import Any

from anyio.from_thread import check_cancelled
from anyio.to_thread import run_sync

from snapdir.disk.system import path_of_descriptor
from snapdir.errors import local_errors
from snapdir.model.sizes import KIB, MIB
from snapdir.stores.base import Body, FileRange, body_length

__all__ = ["content_md5", "payload_hash"]

HASHED_AT_ONCE = 64 * KIB


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
