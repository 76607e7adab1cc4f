"""A process that hashes small files for its parent, batch by batch, until its parent closes the socket or ends.

The parent's side is ``transfer/engine/hash_workers.py``. Descriptor 0 is a socket. The worker sends READY once. A
request is a length of LENGTH_BYTES and as many bytes of marshal: a list of (path, identity). Its answer has one digest
for each file, or NOT_HASHED; the parent hashes that file again, and names the reason if that fails too. Blocking.
"""

from __future__ import annotations

import gc
import marshal
import os
from collections.abc import Iterable, Iterator

from blake3 import blake3

from snapdir.errors import InFluxError
from snapdir.hashing.files import read_small_file
from snapdir.model.source import Identity

READY = b"\n"
LENGTH_BYTES = 4
DIGEST_BYTES = 32
NOT_HASHED = bytes(DIGEST_BYTES)

_SOCKET = 0


def main() -> None:
    """Serve until the end of the requests, or of the parent."""
    gc.disable()  # no cycles are made, and looking for them takes 3 % of the time
    parent = os.getppid()
    try:
        _write(READY)
        while request := _read(int.from_bytes(_read(LENGTH_BYTES))):
            _write(b"".join(_digests(request, parent)))
    except (BrokenPipeError, ConnectionResetError):
        pass  # the parent has ended


def request_for(files: Iterable[tuple[str, Identity]]) -> bytes:
    """The request to hash ``files``."""
    content = marshal.dumps(list(files))
    return len(content).to_bytes(LENGTH_BYTES) + content


def _digests(request: bytes, parent: int) -> Iterator[bytes]:
    for file, identity in marshal.loads(request):  # noqa: S302  # from the parent
        if os.getppid() != parent:
            raise BrokenPipeError
        yield _digest_of(file, identity)


def _digest_of(file: str, identity: Identity) -> bytes:
    try:
        return blake3(read_small_file(file, identity)).digest()
    except (OSError, InFluxError):
        return NOT_HASHED


def _read(length: int) -> bytes:
    """``length`` bytes of the requests; none if they have ended."""
    received = b""
    while len(received) < length:
        piece = os.read(_SOCKET, length - len(received))
        if not piece:
            return b""
        received += piece
    return received


def _write(content: bytes) -> None:
    while content:
        content = content[os.write(_SOCKET, content) :]
