"""A body is read block by block, and never after its request is over."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from snapdir.errors import InFluxError
from snapdir.hashing.crc32c import crc32c
from snapdir.stores.base import FileRange
from snapdir.stores.s3.aws import boto_body
from snapdir.stores.s3.aws.boto_body import BLOCK_BYTES, BodyStream


async def blocks(body: BodyStream) -> list[bytes]:
    return [block async for block in body]


async def test_blocks_grow_while_they_leave_quickly() -> None:
    data = os.urandom(4 << 20)
    found = await blocks(BodyStream(data))
    assert b"".join(found) == data
    assert len(found[0]) < len(found[1])
    assert max(map(len, found)) == BLOCK_BYTES[1]


async def test_on_a_slow_line_they_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto_body, "QUICK_SECONDS", 0.0)
    assert {len(block) for block in await blocks(BodyStream(bytes(1 << 20)))} == {BLOCK_BYTES[0]}


async def test_it_can_be_read_again_from_the_start() -> None:
    body = BodyStream(memoryview(b"0123456789")[2:8])
    assert (len(body), await blocks(body), await blocks(body)) == (6, [b"234567"], [b"234567"])
    assert (body.seek(2), body.read(3), body.tell(), body.read()) == (2, b"456", 5, b"7")
    assert (body.seek(-1, os.SEEK_END), body.seek(-2, os.SEEK_CUR)) == (5, 3)


async def test_after_the_end_it_holds_no_buffer_and_gives_nothing() -> None:
    data = bytearray(b"0123456789")
    body = BodyStream(data)
    await body.settle()
    data.extend(b"a bytearray that somebody views cannot grow")
    assert await blocks(body) == []


async def test_the_end_waits_for_a_read_that_is_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, may_go_on = threading.Event(), threading.Event()

    def slow_read(fd: int, length: int, offset: int) -> bytes:
        reading.set()
        may_go_on.wait(10)
        return bytes(length)

    monkeypatch.setattr(os, "pread", slow_read)
    body = BodyStream(FileRange(0, 0, 10))
    async with anyio.create_task_group() as group:
        group.start_soon(blocks, body)
        while not reading.is_set():
            await checkpoint()
        group.cancel_scope.cancel()
    ended = anyio.Event()

    async def end() -> None:
        await body.settle()
        ended.set()

    async with anyio.create_task_group() as group:
        group.start_soon(end)
        for _ in range(5):
            await checkpoint()
        assert not ended.is_set()
        may_go_on.set()
    assert ended.is_set()


async def test_the_last_block_of_a_file_that_is_not_what_was_hashed_is_kept_back(tmp_path: Path) -> None:
    content = os.urandom(3 << 20)
    (tmp_path / "weights").write_bytes(content)
    fd = os.open(tmp_path / "weights", os.O_RDONLY)
    sound = BodyStream(FileRange(fd, 0, len(content), crc32c(content), compare=True))
    for _ in range(2):
        assert b"".join(await blocks(sound)) == content
    changed = BodyStream(FileRange(fd, 0, len(content), crc32c(content) ^ 1, compare=True))
    sent = []

    async def send() -> None:
        async for block in changed:
            sent.append(block)

    with pytest.raises(InFluxError, match="weights"):
        await send()
    assert len(b"".join(sent)) < len(content)
    assert "weights" in str(changed.failure)
    os.close(fd)


async def test_why_it_cannot_be_read_is_kept(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"12345")
    fd = os.open(tmp_path / "short", os.O_RDONLY)
    body = BodyStream(FileRange(fd, 0, 10))
    with pytest.raises(InFluxError):
        await blocks(body)
    await body.settle()
    assert "short" in str(body.failure)
    os.close(fd)
