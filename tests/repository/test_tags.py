"""Names in a store: no change is lost, whatever is concurrent, fails or gets lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from snapdir.errors import (
    ConnectionFailed,
    InvalidTag,
    NameChanged,
    NoConditionalWrites,
    StoreError,
    StoreRefused,
    UnknownName,
)
from snapdir.model.keys import tag_key, tag_log_key
from snapdir.repository.tags import Change, find_tag, list_tags, set_tag, tag_history
from snapdir.stores.base import Store
from snapdir.stores.file.store import FileStore
from snapdir.stores.memory import MemoryStore
from snapdir.stores.remote import RemoteStore
from snapdir.stores.retry import Retries
from snapdir.stores.settings import RetryPolicy, StoreSettings
from snapdir.stores.wrapper import StoreWrapper
from snapdir.testing.faults import FaultyStore

IDS = [digit * 64 for digit in "0123456789"]


class WithoutConditions(StoreWrapper):
    """A store in a service that writes whatever the condition."""

    async def swap(self, key: str, old: bytes | None, new: bytes) -> bool:
        raise NoConditionalWrites("the service does not support conditional writes", key=key)


async def no_wait(_: float) -> None:
    await checkpoint()


async def change(store: Store, name: str, id_: str | None, **more: object) -> None:
    await set_tag(store, Change(name, id_, "user@host", **more), sleep=no_wait)  # type: ignore[arg-type]


async def ids_of(store: Store, name: str) -> list[str | None]:
    history = await tag_history(store, name)
    assert [tag.sequence for tag in history] == list(range(len(history), 0, -1))
    assert [tag.previous for tag in history] == [*(tag.id for tag in history[1:]), None]
    return [tag.id for tag in history]


async def test_every_value_stays_in_the_history() -> None:
    store = MemoryStore()
    assert await find_tag(store, "v1") is None
    for number in (0, 1, 1, 2):
        await change(store, "v1", IDS[number])
    assert await ids_of(store, "v1") == [IDS[2], IDS[1], IDS[0]]
    assert [tag.sequence for tag in await tag_history(store, "v1", limit=2)] == [3, 2]
    assert sorted(store.objects) == [".refs/.log/v1/0000000001", ".refs/.log/v1/0000000002", ".refs/v1"]


async def test_a_deleted_name_is_gone_from_the_list_and_goes_on_where_it_was() -> None:
    store = MemoryStore()
    await change(store, "v1", IDS[0])
    await change(store, "other", IDS[0])
    await change(store, "v1", None)
    assert [tag.name for tag in (await list_tags(store))[0]] == ["other"]
    with pytest.raises(UnknownName):
        await change(store, "v1", None)
    await change(store, "v1", IDS[1], expected=None)
    assert await ids_of(store, "v1") == [IDS[1], None, IDS[0]]


async def test_deleting_what_was_never_there_is_an_error() -> None:
    store = MemoryStore()
    with pytest.raises(UnknownName):
        await change(store, "v1", None)
    with pytest.raises(UnknownName):
        await tag_history(store, "v1")
    assert store.objects == {}


@pytest.mark.parametrize(("expected", "actual"), [(None, IDS[0]), (IDS[1], IDS[0])])
async def test_an_expectation_that_is_wrong_changes_nothing(expected: str | None, actual: str) -> None:
    store = MemoryStore()
    await change(store, "v1", IDS[0])
    before = dict(store.objects)
    for id_ in (IDS[2], None):
        with pytest.raises(NameChanged) as failed:
            await change(store, "v1", id_, expected=expected)
        assert (failed.value.expected, failed.value.actual) == (expected, actual)
    assert store.objects == before


async def test_an_expectation_of_a_name_that_does_not_exist() -> None:
    store = MemoryStore()
    with pytest.raises(NameChanged, match="v1 does not exist, but 0000"):
        await change(store, "v1", IDS[1], expected=IDS[0])
    await change(store, "v1", IDS[1], expected=None)
    assert await ids_of(store, "v1") == [IDS[1]]


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("a/b", "a/b/c/d"), ("a/b/c", "a")])
async def test_a_name_below_another_is_refused_in_every_store(names: tuple[str, str], tmp_path: Path) -> None:
    for store in (MemoryStore(), FileStore(tmp_path, StoreSettings(fsync=False))):
        await change(store, names[0], IDS[0])
        with pytest.raises(StoreRefused, match="cannot be a name beside"):
            await change(store, names[1], IDS[0])
        await change(store, names[0].replace("a", "ab"), IDS[0])
        await store.aclose()


async def test_an_object_that_is_garbage_is_told_and_spoils_no_other_name() -> None:
    store = MemoryStore({".refs/bad": b"garbage", ".refs/long": b"x" * 5000})
    await change(store, "good", IDS[0])
    for call in (find_tag(store, "bad"), tag_history(store, "long"), change(store, "bad", IDS[0])):
        with pytest.raises(InvalidTag, match=r"memory:///\.refs/(bad|long) is not the text of a name; remove it"):
            await call
    found, invalid = await list_tags(store)
    assert ([tag.name for tag in found], [error.name for error in invalid]) == (["good"], ["bad", "long"])


async def test_a_name_whose_object_somebody_removed_goes_on_after_its_history() -> None:
    store = MemoryStore()
    for number in range(3):
        await change(store, "v1", IDS[number])
    await store.delete([tag_key("v1")])
    await change(store, "v1", IDS[5])
    assert [tag.sequence for tag in await tag_history(store, "v1")] == [3, 2, 1]


async def test_a_value_that_somebody_removed_from_the_history_is_left_out() -> None:
    store = MemoryStore()
    for number in range(3):
        await change(store, "v1", IDS[number])
    await store.delete([tag_log_key("v1", 2)])
    assert [tag.sequence for tag in await tag_history(store, "v1")] == [3, 1]


async def test_a_store_without_conditional_writes_refuses_unless_it_is_told_to() -> None:
    inner = MemoryStore()
    store = WithoutConditions(inner)
    with pytest.raises(NoConditionalWrites) as failed:
        await change(store, "v1", IDS[0])
    assert "--unsafe" in failed.value.__notes__[0]
    assert inner.objects == {}
    for id_ in (IDS[0], IDS[1], None):
        await change(store, "v1", id_, unsafe=True)
    assert await ids_of(store, "v1") == [None, IDS[1], IDS[0]]


async def increments(store: Store, rounds: int, acknowledged: list[tuple[int, str]]) -> None:
    """A counter without a lock: each round moves the name to the next id of a circle."""
    for _ in range(rounds):
        while True:
            current = await find_tag(store, "counter")
            assert current is not None
            assert current.id is not None
            following = IDS[(IDS.index(current.id) + 1) % len(IDS)]
            try:
                tag = await set_tag(
                    store, Change("counter", following, "user@host", expected=current.id), sleep=no_wait
                )
            except NameChanged:
                await checkpoint()
            else:
                acknowledged.append((tag.sequence, tag.token))
                break


async def count_up(store: Store, writers: int, rounds: int) -> None:
    await change(store, "counter", IDS[0])
    acknowledged: list[tuple[int, str]] = []
    async with anyio.create_task_group() as group:
        for _ in range(writers):
            group.start_soon(increments, store, rounds, acknowledged)
    history = await tag_history(store, "counter")
    assert sorted(acknowledged) == [(tag.sequence, tag.token) for tag in reversed(history)][1:]
    assert len(acknowledged) == writers * rounds
    assert (await ids_of(store, "counter"))[0] == IDS[writers * rounds % len(IDS)]


async def test_concurrent_writers_lose_no_change() -> None:
    await count_up(MemoryStore(), writers=20, rounds=10)


async def test_concurrent_writers_in_a_directory_lose_no_change(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    store = FileStore(tmp_path / "store", StoreSettings(fsync=False))
    await count_up(store, writers=6, rounds=4)
    await store.aclose()
    assert not list((tmp_path / "store" / ".partial").iterdir())


@given(st.lists(st.sampled_from(["ok", "fail", "lost"]), max_size=40))
async def test_lost_responses_lose_no_change_and_repeat_none(words: list[str]) -> None:
    faulty = FaultyStore(MemoryStore(), swap=" ".join(words), write="ok fail lost", read="ok ok fail")
    retries = Retries(RetryPolicy(attempts=50), sleep=no_wait)
    await count_up(RemoteStore(faulty, retries), writers=3, rounds=4)


class Overtaken(StoreWrapper):
    """After the first swap another writer changes the name too; then the response to the first one gets lost."""

    def __init__(self, inner: Store, other: Callable[[], Awaitable[None]]) -> None:
        super().__init__(inner)
        self.other = other
        self.calls = 0

    async def swap(self, key: str, old: bytes | None, new: bytes) -> bool:
        self.calls += 1
        result = await self.inner.swap(key, old, new)
        if self.calls == 1:
            await self.other()
            raise ConnectionFailed("connection reset (on request)", key=key)
        return result


async def test_a_change_whose_response_got_lost_is_found_under_the_change_after_it() -> None:
    memory = MemoryStore()
    await change(memory, "v1", IDS[0])
    store = Overtaken(memory, lambda: change(memory, "v1", IDS[2]))
    tag = await set_tag(RemoteStore(store, Retries(sleep=no_wait)), Change("v1", IDS[1], "user@host", expected=IDS[0]))
    assert (tag.id, tag.sequence, store.calls) == (IDS[1], 2, 2)
    assert await ids_of(memory, "v1") == [IDS[2], IDS[1], IDS[0]]


async def test_a_change_that_never_gets_a_response_is_an_error() -> None:
    store = FaultyStore(MemoryStore(), swap="lost")
    with pytest.raises(StoreError, match="connection reset"):
        await change(store, "v1", IDS[0])


async def test_a_service_that_never_lets_a_change_through_ends() -> None:
    class Stubborn(StoreWrapper):
        async def swap(self, key: str, old: bytes | None, new: bytes) -> bool:
            return False

    with pytest.raises(StoreRefused, match="100 writes in a row lost against others"):
        await change(Stubborn(MemoryStore()), "v1", IDS[0])
