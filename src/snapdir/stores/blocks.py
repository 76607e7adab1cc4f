"""Read bodies that are too long for memory, through one block of memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from anyio.to_thread import run_sync

MIN_BLOCK_BYTES = 128 << 10


class BlockSink:
    """Takes the bytes of a read in order, one block after the other.

    The reader fills ``block`` from its beginning, and calls ``put`` in a thread, one call at a time. It does not touch
    the block during the call.

    Attributes:
        block: Writable, at least MIN_BLOCK_BYTES.
        consumed: Bytes consumed so far; after a failure, a read continues after them.
    """

    def __init__(self, block: memoryview, consume: Callable[[memoryview], None]) -> None:
        if len(block) < MIN_BLOCK_BYTES:
            raise ValueError(f"a block of {len(block)} bytes is too small")
        self.block = block
        self.consumed = 0
        self._consume = consume

    def put(self, length: int) -> None:
        """Consume the first ``length`` bytes of the block. Blocking."""
        with self.block[:length] as data:
            self._consume(data)
        self.consumed += length


class CutSink(BlockSink):
    """Passes the first ``length`` bytes on to ``inner``, and only counts the rest."""

    def __init__(self, inner: BlockSink, length: int) -> None:
        super().__init__(inner.block, lambda _: None)
        self._inner = inner
        self._rest = length

    def put(self, length: int) -> None:
        if passed := min(length, self._rest):
            self._inner.put(passed)
        self._rest -= passed
        self.consumed += length


async def read_blocks(
    read_into: Callable[[memoryview, int], Awaitable[int]], sink: BlockSink, *, start: int, length: int
) -> None:
    """``Store.read_through`` by calls of ``read_into(buffer, start)``, one for each block.

    A length of 0 takes a call too, so that a missing object is noticed.
    """
    while True:
        with sink.block[: min(length, len(sink.block))] as view:
            received = await read_into(view, start)
        if not received:
            return
        await run_sync(sink.put, received)
        start, length = start + received, length - received
        if not length:
            return
