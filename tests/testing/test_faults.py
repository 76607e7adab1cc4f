from __future__ import annotations

import pytest

from snapdir.errors import AccessDenied, ConnectionFailed, ObjectNotFound, Throttled
from snapdir.stores.memory import MemoryStore
from snapdir.testing.faults import FaultyStore


@pytest.fixture
def inner() -> MemoryStore:
    return MemoryStore({"key": b"0123456789"})


async def test_each_call_takes_one_word_and_later_ones_are_fine(inner: MemoryStore) -> None:
    store = FaultyStore(inner, write="ok fail lost throttle deny")
    await store.write("first", b"data")
    with pytest.raises(ConnectionFailed, match="refused"):
        await store.write("failed", b"data")
    with pytest.raises(ConnectionFailed, match="reset"):
        await store.write("lost", b"data")
    with pytest.raises(Throttled) as raised:
        await store.write("throttled", b"data")
    assert raised.value.retry_after_seconds == 0
    with pytest.raises(AccessDenied):
        await store.write("denied", b"data")
    await store.write("later", b"data")
    assert set(inner.objects) == {"key", "first", "lost", "later"}
    assert store.calls == [("write", key) for key in ("first", "failed", "lost", "throttled", "denied", "later")]


async def test_kinds_of_calls_have_their_own_words(inner: MemoryStore) -> None:
    store = FaultyStore(inner, read="fail", delete="lost", stat="fail")
    await store.write("other", b"data")
    with pytest.raises(ConnectionFailed):
        await store.read("key")
    with pytest.raises(ConnectionFailed):
        await store.stat("key")
    with pytest.raises(ConnectionFailed):
        await store.delete(["key"])
    assert set(inner.objects) == {"other"}
    with pytest.raises(ObjectNotFound):
        await store.read("key")


async def test_reads_can_be_damaged(inner: MemoryStore) -> None:
    store = FaultyStore(inner, read="flip short flip short")
    assert await store.read("key") == b"0123446789"
    assert await store.read("key") == b"01234"
    buffer = bytearray(10)
    assert await store.read_into("key", memoryview(buffer), start=0) == 10
    assert buffer == b"0123446789"
    assert await store.read_into("key", memoryview(buffer), start=0) == 5
    assert inner.objects["key"] == b"0123456789"


async def test_damage_to_nothing_is_nothing(inner: MemoryStore) -> None:
    inner.objects["empty"] = b""
    store = FaultyStore(inner, read="flip flip short")
    assert await store.read("empty") == b""
    assert await store.read_into("empty", memoryview(bytearray(3)), start=0) == 0
    assert await store.read("empty") == b""


async def test_a_listing_fails_at_the_page_that_says_so() -> None:
    inner = MemoryStore({f"{number:05}": b"" for number in range(2500)})
    store = FaultyStore(inner, page="ok lost")
    pages = store.list("")
    assert len(await anext(pages)) == 1000
    with pytest.raises(ConnectionFailed):
        await anext(pages)
    assert [len(page) async for page in store.list("")] == [1000, 1000, 500]


async def test_uploads_fail_at_every_step(inner: MemoryStore) -> None:
    store = FaultyStore(inner, begin="fail", part="fail lost", commit="fail lost", abort="fail")
    with pytest.raises(ConnectionFailed):
        await store.begin_upload("large", size=4, part_bytes=4)
    upload = await store.begin_upload("large", size=4, part_bytes=4)
    for _ in range(2):
        with pytest.raises(ConnectionFailed):
            await upload.write_part(1, b"data")
    with pytest.raises(ConnectionFailed):
        await upload.commit()
    assert "large" not in inner.objects
    with pytest.raises(ConnectionFailed):
        await upload.commit()
    assert inner.objects["large"] == b"data"
    with pytest.raises(ConnectionFailed):
        await upload.abort()


@pytest.mark.parametrize("words", [{"write": "flip"}, {"read": "ok nonsense"}])
def test_an_unknown_word_is_refused_at_once(words: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="unknown words"):
        FaultyStore(MemoryStore(), **words)
