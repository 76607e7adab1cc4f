"""Reading what is too long for memory: through one block, again and again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from anyio.to_thread import run_sync

__all__ = ["SMALLEST_BLOCK_BYTES", "BlockSink", "CutSink", "read_blocks"]

SMALLEST_BLOCK_BYTES = 128 << 10


class BlockSink:
    """Takes the bytes of a read in their order, one block after the other.

    Whoever reads fills ``block`` from its beginning and calls ``put`` in a thread, one call at a time; between the two
    the block is not touched.

    Attributes:
        block: Writable, SMALLEST_BLOCK_BYTES at least.
        consumed: Bytes that ``put`` is done with: a read that failed goes on behind them.
    """

    def __init__(self, block: memoryview, consume: Callable[[memoryview], None]) -> None:
        if len(block) < SMALLEST_BLOCK_BYTES:
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
    """Passes the first ``length`` bytes on to ``inner``, and counts whatever comes behind them."""

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
    """``Store.read_through`` where nothing better is known: one ``read_into(buffer, start)`` a block.

    One of no bytes too: whether there is an object is said in any case.
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
