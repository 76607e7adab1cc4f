"""Tools of the contract's tests: ways around the store, and small functions."""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from snapdir.model.sizes import KIB
from snapdir.stores.base import ObjectInfo, Store
from snapdir.stores.blocks import MIN_BLOCK_BYTES, BlockSink

__all__ = ["DATA", "KEY", "BackDoors", "Collecting", "cancelled_after", "large_object", "listed", "open_file", "raises"]

KEY = ".objects/49d/c87/0df/1de7fd60794cebce449f5ccdae575affaa67a24b62acb03e039db92"
DATA = bytes(range(256)) * 40


class BackDoors(ABC):
    """Ways around the store under test, so that a mistake in it cannot confirm itself."""

    @abstractmethod
    def put_behind(self, key: str, data: bytes) -> None:
        """Put ``data`` at ``key`` without the store under test."""

    @abstractmethod
    def get_behind(self, key: str) -> bytes | None:
        """The bytes at ``key``, without the store under test; None if the key is missing."""

    def missing_store(self) -> Store | None:
        """A store of this kind that does not exist, if there can be one."""
        return None


class Collecting(BlockSink):
    """Keeps its bytes, or refuses them with an error.

    Attributes:
        data: All bytes so far.
    """

    def __init__(self, refuse_with: Exception | None = None, *, block_bytes: int = MIN_BLOCK_BYTES) -> None:
        self._memory = bytearray(block_bytes)
        self._refuse_with = refuse_with
        self.data = bytearray()
        super().__init__(memoryview(self._memory), self._keep)

    def _keep(self, data: memoryview) -> None:
        if self._refuse_with is not None:
            raise self._refuse_with
        self.data += data

    def free_block(self) -> None:
        """Release the block's memory: a BufferError while there is still a view of it."""
        self.block.release()
        self._memory.clear()


@contextmanager
def open_file(data: bytes) -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        yield file.fileno()


@contextmanager
def raises(expected: type[Exception]) -> Iterator[list[Exception]]:
    caught: list[Exception] = []
    try:
        yield caught
    except expected as error:
        caught.append(error)
    else:
        raise AssertionError(f"no {expected.__name__} was raised")


async def listed(store: Store, prefix: str, *, start_after: str = "") -> list[ObjectInfo]:
    return [info async for page in store.list(prefix, start_after=start_after) for info in page]


async def cancelled_after(steps: int, call: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Start ``call``, let the loop turn ``steps`` times, and cancel it; it may have finished by then."""
    async with anyio.create_task_group() as group:
        group.start_soon(call)
        for _ in range(steps):
            await checkpoint()
        group.cancel_scope.cancel()


def large_object(store: Store) -> tuple[bytes, int]:
    """An object of two parts and a bit, and the size of a part, as small as the store takes them."""
    part_bytes = max(store.capabilities.part_size_range[0], 64 * KIB)
    return os.urandom(1024) * (part_bytes // 512 + 1), part_bytes
