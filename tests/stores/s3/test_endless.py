"""Endless responses are never a success, and are not read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from snapdir.errors import Throttled, TransientStoreError
from snapdir.stores.s3.store import S3Store
from tests.stores.s3.canned_server import S3, XML, Answer, Exchange, reply
from tests.stores.s3.conftest import CannedS3

ENDLESS_BYTES = 256 << 20
MOST_BYTES = 64 << 20
"""That a server gets rid of: the buffers of both ends hold some MiB."""


def endless(status: int = 200, **headers: str) -> tuple[Answer, list[int]]:
    """An endless response, and the bytes sent of each until the client hung up."""
    sent: list[int] = []
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**S3, **headers}.items())

    async def play(exchange: Exchange) -> bool:
        await exchange.read_body()
        exchange.writer.write(f"HTTP/1.1 {status} Canned\r\n{lines}\r\n".encode())
        sent.append(0)
        with suppress(ConnectionError):
            while sent[-1] < ENDLESS_BYTES:
                exchange.writer.write(bytes(1 << 20))
                await exchange.writer.drain()
                sent[-1] += 1 << 20
        exchange.writer.transport.abort()
        return False

    return play, sent


async def write_part(store: S3Store) -> None:
    await (await store.begin_upload("key", size=4, part_bytes=5 << 20)).write_part(1, b"data")


async def commit(store: S3Store) -> None:
    await (await store.begin_upload("key", size=0, part_bytes=5 << 20)).commit()


async def list_all(store: S3Store) -> None:
    async for _ in store.list(""):
        pass


CALLS: dict[str, Callable[[S3Store], Awaitable[object]]] = {
    "write": lambda store: store.write("key", b"data"),
    "part": write_part,
    "commit": commit,
    "delete": lambda store: store.delete(["one", "other"]),
    "list": list_all,
}


@pytest.mark.parametrize("headers", [{}, {"Content-Length": f"{1 << 50}"}])
@pytest.mark.parametrize("call", CALLS)
async def test_an_answer_without_an_end_is_no_success_and_is_not_read(
    against: CannedS3, call: str, headers: dict[str, str]
) -> None:
    answer, sent = endless(**headers)
    begun = reply(f"{XML}<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
    before = [begun] if call in ("part", "commit") else []
    async with against(*before, answer) as (store, server):
        with pytest.raises(TransientStoreError):
            await CALLS[call](store)
        server.play(reply(status=204))  # for the abort of what was begun
    assert sent
    assert max(sent) < MOST_BYTES


@pytest.mark.parametrize("headers", [{}, {"Content-Length": f"{1 << 50}"}])
async def test_an_error_without_an_end_is_the_error_it_begins_with(against: CannedS3, headers: dict[str, str]) -> None:
    answer, sent = endless(503, **headers)
    async with against(answer) as (store, _):
        with pytest.raises(Throttled):
            await store.read("key", length=10)
    assert sent[0] < MOST_BYTES
