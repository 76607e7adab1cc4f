"""A store that records its requests, and small trees."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from snapdir.model.digest import SnapshotId
from snapdir.model.sizes import MIB
from snapdir.repository.repository import Repository
from snapdir.stores.base import Body, Capabilities, ObjectInfo, Page
from snapdir.stores.blocks import MIN_BLOCK_BYTES, BlockSink
from snapdir.stores.memory import MemoryStore, MemoryUpload
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.push import PushOptions, push


class RecordingStore(MemoryStore):
    """A memory store that counts as remote and records requests by kind and key.

    Attributes:
        streamed: Key, start and length of every ``read_through``, which passes small pieces.
        before_piece: Is told the key and the offset of each piece before it is passed; what it raises leaves.
    """

    def __init__(self) -> None:
        super().__init__(capabilities=Capabilities(part_size_range=(1, MIB), max_concurrency=8))
        self.calls: Counter[tuple[str, str]] = Counter()
        self.streamed: list[tuple[str, int, int]] = []
        self.before_piece: Callable[[str, int], Awaitable[None]] = nothing

    def kinds(self) -> Counter[str]:
        return Counter(kind for kind, _ in self.calls.elements())

    async def stat(self, key: str) -> ObjectInfo:
        self.calls["stat", key] += 1
        return await super().stat(key)

    def list(self, prefix: str, *, start_after: str = "", resume: str | None = None) -> AsyncIterator[Page]:
        self.calls["list", prefix] += 1
        return super().list(prefix, start_after=start_after, resume=resume)

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        self.calls["read", key] += 1
        return await super().read(key, start=start, length=length)

    async def read_into(self, key: str, buffer: memoryview, *, start: int) -> int:
        self.calls["read_into", key] += 1
        data = self.objects[key][start : start + len(buffer)]
        buffer[: len(data)] = data
        return len(data)

    async def read_through(self, key: str, sink: BlockSink, *, start: int, length: int) -> None:
        self.calls["read_through", key] += 1
        self.streamed.append((key, start, length))
        end = min(start + length, len(await self._existing(key)))
        while start < end:
            await self.before_piece(key, start)
            piece = self.objects[key][start : min(end, start + MIN_BLOCK_BYTES)]
            sink.block[: len(piece)] = piece
            await anyio.to_thread.run_sync(sink.put, len(piece))
            start += len(piece)

    async def write(self, key: str, body: Body, *, if_absent: bool = False) -> bool:
        self.calls["write", key] += 1
        return await super().write(key, body, if_absent=if_absent)

    async def begin_upload(self, key: str, **more: Any) -> MemoryUpload:
        self.calls["begin_upload", key] += 1
        return await super().begin_upload(key, **more)


async def nothing(key: str, start: int) -> None:
    pass


@pytest.fixture
def store() -> RecordingStore:
    return RecordingStore()


async def push_tree(tree: Path, to: Repository, limits: Limits, *, recheck: bool = False, **more: Any) -> SnapshotId:
    """Push a directory, and return the snapshot's id."""
    options = PushOptions(recheck=recheck)
    return await push(tree, to, options=options, limits=limits, counters=Counters(), **more)


@pytest.fixture
def repository(store: RecordingStore) -> Repository:
    return Repository(store)


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def limits() -> Limits:
    """Everything above 1 MiB is transferred in parts of 1 MiB."""
    return dataclasses.replace(Limits(), large_bytes=MIB, part_bytes=MIB)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Duplicates, an empty file, an empty directory, a file of three parts and one slightly above 1 MiB."""
    root = tmp_path / "tree"
    (root / "sub" / "empty").mkdir(parents=True)
    (root / "a").write_bytes(b"alpha")
    (root / "same-as-a").write_bytes(b"alpha")
    (root / "nothing").touch()
    (root / "sub" / "large").write_bytes(bytes(range(256)) * 4096 * 3)
    (root / "sub" / "large-copy").write_bytes(bytes(range(256)) * 4096 * 3)
    (root / "sub" / "two-parts").write_bytes(b"x" * (MIB + 1))
    (root / "sub" / "script").write_bytes(b"#!/bin/sh\n")
    (root / "sub" / "script").chmod(0o755)
    return root
