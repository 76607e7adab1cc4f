"""Read one large object in ranges that arrive in any order and are hashed in sequence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio.to_thread
from blake3 import blake3

from snapdir.errors import CorruptObject, ungrouped
from snapdir.model.digest import Digest
from snapdir.repository.repository import READ_ATTEMPTS, Repository
from snapdir.stores.workers import Channel
from snapdir.transfer.engine.byte_budget import ByteBudget
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.parts import Part, parts_of

if TYPE_CHECKING:
    from anyio.abc import TaskGroup  # at run time it brings sockets and TLS: 25 ms

PARTS_AHEAD = 16
"""Ranges of one object that may be in flight, or wait to be hashed in order."""

Sink = Callable[[Part, memoryview], Awaitable[None]]
"""Takes each part in order, on the event loop, and keeps nothing of it. Work that blocks goes to a thread.

The reading task awaits it; the thread that hashes does not call it by ``anyio.from_thread.run``. That would start a
task in the scope of the waiting task, and if the scope has been cancelled meanwhile, nothing cancels the new task:
anyio stops delivering when the last task of a scope is shielded by its thread. The next checkpoint of the new task
(``checkpoint_if_cancelled``) then loops for ever, and the thread waits for it. The reading task belongs to the scope
itself: it is cancelled at its first wait behind the thread.
"""


@dataclass(slots=True)
class _Range:
    """A part on its way; its block is its share of the memory budget. ``failure``: the object ends before it does."""

    part: Part
    block: bytearray
    is_last: bool
    arrived: anyio.Event = field(default_factory=anyio.Event)
    failure: CorruptObject | None = None


class _Held:
    """The share of one object in the memory budget; the end of its block releases the rest."""

    def __init__(self, memory: ByteBudget) -> None:
        self._memory = memory
        self._bytes = 0

    async def acquire(self, length: int) -> None:
        await self._memory.acquire(length)
        self._bytes += length

    def release(self, length: int) -> None:
        self._bytes -= length
        self._memory.release(length)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.release(self._bytes)


class RangeReader:
    """Reads large objects within one transfer's memory."""

    def __init__(self, source: Repository, limits: Limits, counters: Counters, *, memory: ByteBudget) -> None:
        self._source = source
        self._limits = limits
        self._counters = counters
        self._memory = memory
        self._blocks: list[bytearray] = []

    async def read_verified(
        self,
        digest: Digest,
        size: int,
        sink: Sink,
        *,
        part_bytes: int = 0,
        attempts: int = READ_ATTEMPTS,
    ) -> None:
        """Pass all of an object to ``sink``, part by part; only when this returns are the bytes known to be right.

        A damaged object is read again from the start, ``attempts`` times in all (1 if ``sink`` cannot start over).

        Args:
            part_bytes: Bytes of a part; 0 is that of the limits.

        Raises:
            CorruptObject: the bytes hash to something else every time.
        """
        for _ in range(attempts):
            with ungrouped(f"read {digest}"):
                actual = await self._read(digest, size, part_bytes or self._limits.part_bytes, sink)
            if actual == digest:
                return
            self._counters.bytes_done -= size
        raise self._source.damaged(digest, actual)

    async def _read(self, digest: Digest, size: int, part_bytes: int, sink: Sink) -> str:
        hasher = blake3()

        ranges = Channel[_Range](PARTS_AHEAD)
        held = _Held(self._memory)
        with held:
            async with anyio.create_task_group() as group:
                parts = ((part, part.offset + part.length == size) for part in parts_of(size, part_bytes))
                group.start_soon(self._request_all, group, digest, parts, ranges, held)
                async for item in ranges:
                    await item.arrived.wait()
                    if item.failure is not None:
                        raise item.failure
                    with memoryview(item.block)[: item.part.length] as data:
                        await anyio.to_thread.run_sync(hasher.update, data)
                        await sink(item.part, data)
                    self._blocks.append(item.block)
                    held.release(item.part.length)
                    self._counters.bytes_done += item.part.length
        return hasher.hexdigest()

    async def _request_all(
        self, group: TaskGroup, digest: Digest, parts: Iterator[tuple[Part, bool]], ranges: Channel[_Range], held: _Held
    ) -> None:
        """Start the requests in order, each when there is room for its bytes."""
        for part, is_last in parts:
            # In order, so that the part which is hashed next always has its share already.
            await held.acquire(part.length)
            item = _Range(part, self._block(part.length + is_last), is_last)
            group.start_soon(self._request, digest, item)
            await ranges.put(item)
        ranges.close()

    def _block(self, length: int) -> bytearray:
        """A block that was used before, if it is long enough: fresh memory costs a page fault every 4 KiB."""
        while self._blocks:
            block = self._blocks.pop()
            if len(block) >= length:
                return block
        return bytearray(length)

    async def _request(self, digest: Digest, item: _Range) -> None:
        buffer = memoryview(item.block)[: item.part.length + item.is_last]
        try:
            await self._source.read_range_into(digest, buffer, start=item.part.offset, is_last=item.is_last)
            self._counters.bytes_received += item.part.length
        except CorruptObject as error:
            item.failure = error  # raised in the order of the parts: the first one says where the object ends
        item.arrived.set()
