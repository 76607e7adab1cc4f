"""A store whose calls fail by a list of words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from snapdir.errors import AccessDenied, ConnectionFailed, StoreError, Throttled
from snapdir.stores.base import Body, ObjectInfo, Page, Store, Upload
from snapdir.stores.blocks import BlockSink
from snapdir.stores.wrapper import StoreWrapper

__all__ = ["FaultyStore"]

Result = TypeVar("Result")

BEFORE: dict[str, Callable[[str], StoreError]] = {
    "fail": lambda key: ConnectionFailed(f"{key}: connection refused (on request)", key=key),
    "throttle": lambda key: Throttled(f"{key}: slow down (on request)", key=key, retry_after_seconds=0.0),
    "deny": lambda key: AccessDenied(f"{key}: access denied (on request)", key=key),
}
CALLS = frozenset({"ok", "lost", *BEFORE})
READS = CALLS | {"flip", "short"}


class FaultyStore(StoreWrapper):
    """``inner``, with one word for each call of a kind; calls beyond the words succeed.

    ``ok`` succeeds. ``fail``, ``throttle`` and ``deny`` raise an error before the effect; ``lost`` raises one after the
    effect, as if the response got lost. For reads, ``flip`` changes one bit of the middle byte, and ``short`` returns
    the first half. A listing takes a word for each page.

        FaultyStore(MemoryStore(), write="ok lost throttle", read="flip")

    Attributes:
        calls: (kind, key) of every call so far, including those that failed.
    """

    def __init__(
        self,
        inner: Store,
        *,
        stat: str = "",
        page: str = "",
        read: str = "",
        write: str = "",
        swap: str = "",
        delete: str = "",
        copy: str = "",
        begin: str = "",
        part: str = "",
        commit: str = "",
        abort: str = "",
    ) -> None:
        super().__init__(inner)
        self._words = {"read": _words(read, READS)}
        for kind, words in {
            "stat": stat,
            "page": page,
            "write": write,
            "swap": swap,
            "delete": delete,
            "copy": copy,
            "begin": begin,
            "part": part,
            "commit": commit,
            "abort": abort,
        }.items():
            self._words[kind] = _words(words, CALLS)
        self.calls: list[tuple[str, str]] = []

    async def stat(self, key: str) -> ObjectInfo:
        return await self.call("stat", key, lambda: self.inner.stat(key))

    async def list(self, prefix: str, *, start_after: str = "", resume: str | None = None) -> AsyncIterator[Page]:
        pages = self.inner.list(prefix, start_after=start_after, resume=resume)
        while page := await self.call("page", prefix, lambda: anext(pages, None)):
            yield page

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        word = self._next("read", key)
        data = await self._faulty(word, key, lambda: self.inner.read(key, start=start, length=length))
        if word == "flip" and data:
            middle = len(data) // 2
            return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        return data[: len(data) // 2] if word == "short" else data

    async def read_into(self, key: str, buffer: memoryview, *, start: int) -> int:
        word = self._next("read", key)
        received = await self._faulty(word, key, lambda: self.inner.read_into(key, buffer, start=start))
        if word == "flip" and received:
            buffer[received // 2] ^= 1
        return received // 2 if word == "short" else received

    async def read_through(self, key: str, sink: BlockSink, *, start: int, length: int) -> None:
        word = self._next("read", key)
        if word == "short":
            length //= 2
        if word == "flip":
            sink = _Flipped(sink)
        await self._faulty(word, key, lambda: self.inner.read_through(key, sink, start=start, length=length))

    async def write(self, key: str, body: Body, *, if_absent: bool = False) -> bool:
        return await self.call("write", key, lambda: self.inner.write(key, body, if_absent=if_absent))

    async def swap(self, key: str, old: bytes | None, new: bytes) -> bool:
        return await self.call("swap", key, lambda: self.inner.swap(key, old, new))

    async def copy_from(self, key: str, source: str) -> None:
        await self.call("copy", key, lambda: self.inner.copy_from(key, source))

    async def begin_upload(self, key: str, *, size: int, part_bytes: int, resume: str | None = None) -> FaultyUpload:
        def begin() -> Awaitable[Upload]:
            return self.inner.begin_upload(key, size=size, part_bytes=part_bytes, resume=resume)

        upload = await self.call("begin", key, begin)
        return FaultyUpload(self, upload, key)

    async def delete(self, keys: Sequence[str]) -> None:
        await self.call("delete", keys[0] if keys else "", lambda: self.inner.delete(keys))

    def batch_writer(self) -> None:
        return None

    async def call(self, kind: str, key: str, effect: Callable[[], Awaitable[Result]]) -> Result:
        """Run ``effect`` as the next word of its kind says."""
        return await self._faulty(self._next(kind, key), key, effect)

    def _next(self, kind: str, key: str) -> str:
        self.calls.append((kind, key))
        return next(self._words[kind], "ok")

    async def _faulty(self, word: str, key: str, effect: Callable[[], Awaitable[Result]]) -> Result:
        if word in BEFORE:
            raise BEFORE[word](key)
        result = await effect()
        if word == "lost":
            raise ConnectionFailed(f"{key}: connection reset (on request)", key=key)
        return result


class _Flipped(BlockSink):
    """Passes bytes on, with one bit of the first block flipped."""

    def __init__(self, inner: BlockSink) -> None:
        super().__init__(inner.block, lambda _: None)
        self._inner = inner

    def put(self, length: int) -> None:
        if not self.consumed:
            self.block[length // 2] ^= 1
        self._inner.put(length)
        self.consumed += length


class FaultyUpload:
    """An upload whose parts, commit and abort follow the store's words."""

    def __init__(self, store: FaultyStore, inner: Upload, key: str) -> None:
        self._store = store
        self._inner = inner
        self._key = key
        self.resume_token = inner.resume_token

    @property
    def held_bytes(self) -> int:
        return self._inner.held_bytes

    async def adopt_part(self, number: int, body: Body) -> bool:
        return await self._inner.adopt_part(number, body)

    async def write_part(self, number: int, body: Body) -> None:
        await self._store.call("part", f"{self._key}#{number}", lambda: self._inner.write_part(number, body))

    async def copy_part(self, number: int, source: str, *, start: int, length: int) -> None:
        def copy() -> Awaitable[None]:
            return self._inner.copy_part(number, source, start=start, length=length)

        await self._store.call("part", f"{self._key}#{number}", copy)

    async def commit(self) -> None:
        await self._store.call("commit", self._key, self._inner.commit)

    async def abort(self) -> None:
        await self._store.call("abort", self._key, self._inner.abort)

    def keep(self) -> None:
        self._inner.keep()


def _words(text: str, known: frozenset[str]) -> Iterator[str]:
    words = text.split()
    if unknown := set(words) - known:
        raise ValueError(f"unknown words: {sorted(unknown)}; known here: {sorted(known)}")
    return iter(words)
