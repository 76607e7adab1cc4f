"""A service with exact responses to the requests of a store, which it records."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from snapdir.stores.s3.client import S3Client
from snapdir.stores.s3.signing import Credentials
from snapdir.stores.s3.store import S3Store
from snapdir.stores.s3.target import S3Target
from snapdir.stores.s3.upload import Begun, S3Upload
from snapdir.stores.settings import StoreSettings

from .scripted_server import Peer, Script, serve
from .scripted_server import ok as response

__all__ = [
    "KEYS",
    "SECRET",
    "SETTINGS",
    "TOKEN",
    "Asked",
    "Service",
    "Source",
    "begun",
    "error",
    "ok",
    "playing",
    "refused",
]

SECRET = "canary-secret-7d1f"
TOKEN = "canary-token-93ab"
KEYS = Credentials("AKIDEXAMPLE", SECRET, TOKEN)
SETTINGS = StoreSettings(connect_timeout_seconds=2.0, first_byte_timeout_seconds=5.0, stall_timeout_seconds=2.0)

_REGION = re.compile(rb"Credential=([^/]+)/[0-9]{8}/([^/]+)/s3/aws4_request")


@dataclass(frozen=True)
class Asked:
    """One request as the service saw it."""

    head: bytes
    body: bytes

    @property
    def line(self) -> str:
        return self.head.split(b"\r\n")[0].decode()

    def header(self, name: bytes) -> bytes | None:
        for line in self.head.split(b"\r\n")[1:]:
            found, _, value = line.partition(b":")
            if found.lower() == name:
                return value.strip()
        return None

    @property
    def access_key(self) -> str:
        return self._signed()[0]

    @property
    def region(self) -> str:
        return self._signed()[1]

    def _signed(self) -> tuple[str, str]:
        found = _REGION.search(self.header(b"authorization") or b"")
        assert found, self.head
        return found[1].decode(), found[2].decode()


@dataclass
class Source:
    """Credentials in turn; the last ones stay."""

    turns: list[Credentials] = field(default_factory=lambda: [KEYS])
    asked: int = 0

    async def credentials(self) -> Credentials:
        self.asked += 1
        return self.turns[min(self.asked, len(self.turns)) - 1]

    async def read_again(self) -> Credentials:
        return await self.credentials()


@dataclass
class Service:
    """The service of one test, and the store that uses it."""

    requests: list[Asked]
    client: S3Client
    store: S3Store


def begun(service: Service) -> S3Upload:
    """An upload of three bytes that the service knows by `id`."""
    upload = Begun("id", checksummed=False)
    return S3Upload(service.client, "key", upload, size=3, part_bytes=3, ended=lambda _: None)


def error(code: str, *more: str, message: str = "words of the service") -> bytes:
    """The XML of a refusal."""
    return f"<Error><Code>{code}</Code><Message>{message}</Message>{''.join(more)}</Error>".encode()


def ok(body: bytes = b"", *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """A well-formed response with a header that identifies S3."""
    return response(body, b"x-amz-request-id: REQ42", *headers, status=status)


def refused(status: bytes, code: str, *more: str, headers: tuple[bytes, ...] = ()) -> bytes:
    """A refusal with a body and a request id."""
    return ok(error(code, *more), *headers, status=status)


@asynccontextmanager
async def playing(
    *connections: bytes | tuple[bytes, ...],
    source: Source | None = None,
    settings: StoreSettings = SETTINGS,
    max_connections: int = 1,
) -> AsyncIterator[Service]:
    """A service that responds with ``connections``: the responses of each connection, which is closed afterwards."""
    requests: list[Asked] = []

    def script(answers: bytes | tuple[bytes, ...]) -> Script:
        async def play(peer: Peer) -> None:
            for played in (answers,) if isinstance(answers, bytes) else answers:
                requests.append(Asked(*await peer.request()))
                await peer.send(played)
            await peer.close()

        return play

    async with serve(*map(script, connections)) as server:
        target = S3Target("s3://bucket/in", "bucket", "in/", f"http://127.0.0.1:{server.port}", "us-east-1")
        client = S3Client(target, source or Source(), settings, max_connections=max_connections)
        try:
            yield Service(requests, client, S3Store(client))
        finally:
            await client.aclose()
