"""Every call of a remote store is limited and retried, and keeps its promises across attempts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from snapdir.errors import (
    AccessDenied,
    ConnectionFailed,
    Throttled,
    TransientStoreError,
)
from snapdir.stores.base import BodyCutShort, ObjectInfo, Page
from snapdir.stores.blocks import BlockSink
from snapdir.stores.memory import MemoryStore
from snapdir.stores.remote import RemoteStore
from snapdir.stores.retry import Retries
from snapdir.stores.settings import RetryPolicy
from snapdir.stores.wrapper import StoreWrapper
from snapdir.testing.back_doors import Collecting
from snapdir.testing.faults import FaultyStore
from tests.stores.virtual_time import ManualClock
from tests.unsorted import by_hash

POLICY = RetryPolicy(attempts=4, base_seconds=1.0, max_seconds=3.0)
KEYS = ["a", "b", "c", "d", "e"]


def at_once(policy: RetryPolicy) -> Retries:
    """Retries whose delays take no time."""
    return Retries(policy, sleep=ManualClock().sleep)


def store_with(objects: dict[str, bytes], **words: str) -> tuple[RemoteStore, FaultyStore]:
    faulty = FaultyStore(MemoryStore(objects), **words)
    return RemoteStore(faulty, at_once(POLICY)), faulty


async def test_every_call_of_a_store_is_retried() -> None:
    twice = "fail throttle ok"
    objects = {"key": b"data"}
    store, faulty = store_with(
        objects, stat=twice, read=f"{twice} {twice}", write="fail lost ok", delete="lost fail ok"
    )
    assert (await store.stat("key")).size == 4
    assert await store.read("key") == b"data"
    buffer = bytearray(4)
    assert await store.read_into("key", memoryview(buffer), start=0) == 4
    assert buffer == b"data"
    assert await store.write("new", b"new") is True
    await store.delete(["key"])
    assert objects == {"new": b"new"}
    assert len(faulty.calls) == 15


async def test_a_call_that_keeps_failing_gives_up() -> None:
    store, faulty = store_with({}, write="fail " * 9)
    with pytest.raises(ConnectionFailed) as raised:
        await store.write("key", b"data")
    assert raised.value.attempts == len(faulty.calls) == POLICY.attempts


@pytest.mark.parametrize("attempts", [1, 2, 5])
async def test_a_call_that_is_throttled_while_others_pass_has_its_attempts(attempts: int) -> None:
    class Busy(MemoryStore):
        async def stat(self, key: str) -> ObjectInfo:
            await store.write("other", b"")
            raise Throttled("slow down", key=key)

    store = RemoteStore(Busy(), at_once(RetryPolicy(attempts=attempts)))
    with pytest.raises(Throttled) as raised:
        await store.stat("key")
    assert raised.value.attempts == attempts


@pytest.mark.parametrize(
    ("fates", "tried"),
    [("throttle " * 9, 6), ("fail " * 9, 4), ("throttle fail " * 9, 6), ("fail fail throttle fail fail", 5)],
)
async def test_some_of_the_attempts_that_are_throttled_do_not_count(fates: str, tried: int) -> None:
    policy = RetryPolicy(attempts=4, more_if_throttled=2)
    faulty = FaultyStore(MemoryStore({"key": b""}), stat=fates)
    with pytest.raises(TransientStoreError) as raised:
        await RemoteStore(faulty, at_once(policy)).stat("key")
    assert raised.value.attempts == len(faulty.calls) == tried


async def test_a_call_that_is_always_throttled_has_all_its_attempts() -> None:
    clock = ManualClock()
    faulty = FaultyStore(MemoryStore({"key": b""}), stat="throttle " * 9)
    policy = RetryPolicy(attempts=4, more_if_throttled=2)
    store = RemoteStore(faulty, Retries(policy, clock=clock, sleep=clock.sleep, random=lambda: 1.0))
    with pytest.raises(Throttled):
        await store.stat("key")
    assert len(faulty.calls) == 6


@pytest.mark.parametrize("answer", ["ok", "deny"])
async def test_a_success_or_a_denial_restores_all_attempts(answer: str) -> None:
    policy = RetryPolicy(attempts=3, base_seconds=0.0)  # no delays: six refusals in a row are enough
    faulty = FaultyStore(MemoryStore({"key": b""}), write=f"throttle throttle {answer} " * 3 + "throttle throttle ok")
    store = RemoteStore(faulty, at_once(policy))
    for number in range(3):
        with suppress(AccessDenied):
            await store.write(f"{number}", b"")
    assert await store.write("last", b"")


async def test_a_denied_call_is_made_once() -> None:
    store, faulty = store_with({}, write="deny")
    with pytest.raises(AccessDenied):
        await store.write("key", b"data")
    assert len(faulty.calls) == 1


async def test_each_part_and_the_end_of_an_upload_are_retried_alone() -> None:
    objects: dict[str, bytes] = {}
    store, faulty = store_with(objects, begin="fail ok", part="ok fail ok lost ok", commit="fail throttle ok")
    upload = await store.begin_upload("key", size=6, part_bytes=2)
    for number, data in enumerate((b"ab", b"cd", b"ef"), start=1):
        await upload.write_part(number, data)
    await upload.commit()
    assert objects == {"key": b"abcdef"}
    assert [kind for kind, _ in faulty.calls] == ["begin"] * 2 + ["part"] * 5 + ["commit"] * 3


async def test_aborting_is_retried_too() -> None:
    store, faulty = store_with({}, abort="fail ok")
    await (await store.begin_upload("key", size=2, part_bytes=2)).abort()
    assert [kind for kind, _ in faulty.calls] == ["begin", "abort", "abort"]


class CutStore(StoreWrapper):
    """Its bodies end after ``limit`` bytes, and its listings, which are by hash, after some keys, with an error."""

    limit = 3
    keys_a_listing = 2
    more_each_time = 0
    resumes = True

    def __init__(self, objects: dict[str, bytes]) -> None:
        super().__init__(MemoryStore(objects, listed_by=by_hash))
        self.listings: list[tuple[str, str | None]] = []
        self.asked: list[tuple[str, int]] = []
        self.closed = 0

    async def read_into(self, key: str, buffer: memoryview, *, start: int) -> int:
        self.asked.append((key, start))
        if len(buffer) <= self.limit:
            return await self.inner.read_into(key, buffer, start=start)
        received = await self.inner.read_into(key, buffer[: self.limit], start=start)
        raise BodyCutShort("cut", key=key, received=received)

    async def read_through(self, key: str, sink: BlockSink, *, start: int, length: int) -> None:
        self.asked.append((key, start))
        await self.inner.read_through(key, sink, start=start, length=min(length, self.limit))
        if length > self.limit:
            raise BodyCutShort("cut", key=key, received=0)

    async def list(self, prefix: str, *, start_after: str = "", resume: str | None = None) -> AsyncIterator[Page]:
        self.listings.append((start_after, resume))
        infos = [info async for page in self.inner.list(prefix, start_after=start_after) for info in page]
        begin = int(resume or 0)
        try:
            for number, info in enumerate(infos[begin:], begin + 1):
                if number > begin + self.keys_a_listing:
                    self.keys_a_listing += self.more_each_time
                    raise ConnectionFailed("cut")
                yield Page.of([info], str(number) if self.resumes else None)
        finally:
            self.closed += 1


async def test_a_body_that_was_cut_short_goes_on_where_it_ended() -> None:
    inner = CutStore({"key": b"0123456789"})
    buffer = bytearray(9)
    assert await RemoteStore(inner, at_once(POLICY)).read_into("key", memoryview(buffer), start=1) == 9
    assert buffer == b"123456789"
    assert inner.asked == [("key", 1), ("key", 4), ("key", 7)]


async def test_a_stream_that_was_cut_short_goes_on_behind_what_was_consumed() -> None:
    inner = CutStore({"key": b"0123456789"})
    sink = Collecting()
    store = RemoteStore(inner, at_once(POLICY))
    await store.read_through("key", sink, start=1, length=8)
    assert sink.data == b"12345678"
    assert inner.asked == [("key", 1), ("key", 4), ("key", 7)]
    # A sink that has consumed something before is not taken for one that has some of this.
    await store.read_through("key", sink, start=0, length=4)
    assert sink.data == b"123456780123"
    assert inner.asked[3:] == [("key", 0), ("key", 3)]


async def test_a_stream_whose_end_was_lost_is_not_requested_again() -> None:
    store, faulty = store_with({"key": b"data"}, read="fail lost ok")
    sink = Collecting()
    await store.read_through("key", sink, start=0, length=4)
    assert sink.data == b"data"
    assert len(faulty.calls) == 2


async def test_a_stream_that_never_comes_whole_gives_up() -> None:
    inner = CutStore({"key": bytes(100)})
    sink = Collecting()
    with pytest.raises(BodyCutShort) as raised:
        await RemoteStore(inner, at_once(POLICY)).read_through("key", sink, start=0, length=100)
    assert raised.value.attempts == len(inner.asked) == POLICY.attempts
    assert sink.consumed == POLICY.attempts * inner.limit


async def test_an_error_of_the_sink_is_not_retried() -> None:
    store, faulty = store_with({"key": b"data"})
    with pytest.raises(ValueError, match="the disk is full"):
        await store.read_through("key", Collecting(ValueError("the disk is full")), start=0, length=4)
    assert len(faulty.calls) == 1


async def test_progress_does_not_buy_more_attempts() -> None:
    inner = CutStore({"key": bytes(100)})
    with pytest.raises(BodyCutShort) as raised:
        await RemoteStore(inner, at_once(POLICY)).read_into("key", memoryview(bytearray(100)), start=0)
    assert raised.value.attempts == len(inner.asked) == POLICY.attempts


async def test_a_listing_goes_on_behind_the_last_page_whatever_its_order() -> None:
    inner = CutStore(dict.fromkeys(KEYS, b""))
    store = RemoteStore(inner, at_once(POLICY))
    assert [info.key async for page in store.list("") for info in page] == sorted(KEYS, key=by_hash) != KEYS
    assert inner.listings == [("", None), ("", "2"), ("", "4")]
    assert inner.closed == 3


async def test_a_listing_that_cannot_go_on_begins_again_and_shows_each_key_once() -> None:
    inner = CutStore(dict.fromkeys(KEYS, b""))
    inner.resumes, inner.more_each_time = False, 1
    store = RemoteStore(inner, at_once(POLICY))
    assert sorted([info.key async for page in store.list("", start_after="a") for info in page]) == KEYS[1:]
    assert inner.listings == [("a", None)] * len(inner.listings)
    assert len(inner.listings) == len(KEYS) - 2


async def test_a_listing_that_never_gets_further_gives_up() -> None:
    inner = CutStore(dict.fromkeys(KEYS, b""))
    inner.resumes = False
    with pytest.raises(ConnectionFailed) as raised:
        [page async for page in RemoteStore(inner, at_once(POLICY)).list("")]
    assert raised.value.attempts == len(inner.listings) == POLICY.attempts


async def test_a_listing_that_is_left_early_is_closed() -> None:
    inner = CutStore(dict.fromkeys(KEYS, b""))
    pages = RemoteStore(inner, at_once(POLICY)).list("", start_after="a")
    assert len(await anext(pages)) == 1
    await pages.aclose()
    assert inner.closed == 1


async def test_a_listing_that_keeps_failing_gives_up_and_says_so() -> None:
    store, faulty = store_with(dict.fromkeys(KEYS, b""), page="fail " * 9)
    with pytest.raises(ConnectionFailed) as raised:
        [page async for page in store.list("")]
    assert raised.value.attempts == len(faulty.calls) == POLICY.attempts


async def test_a_wrapper_passes_everything_on() -> None:
    inner = MemoryStore({"key": b"data"})
    store = StoreWrapper(inner)
    assert (store.url, store.capabilities) == (inner.url, inner.capabilities)
    assert store.local_path("key") == inner.local_path("key")
    assert repr(inner) in repr(store)
