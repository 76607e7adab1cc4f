"""Workers and the queue of the stages: in order, bounded, without deadlock."""

from __future__ import annotations

import anyio
import anyio.lowlevel
from hypothesis import given
from hypothesis import strategies as st

from snapdir.stores.workers import Channel, batches, run_workers, start_workers


@given(st.lists(st.integers()), st.integers(1, 10))
def test_batches_hold_everything_in_order(items: list[int], count: int) -> None:
    cut = list(batches(items, count))
    assert [item for batch in cut for item in batch] == items
    assert all(len(batch) == count for batch in cut[:-1])


@given(st.lists(st.integers(), max_size=60), st.integers(1, 5), st.integers(1, 5), st.integers(1, 4))
def test_every_item_arrives_once(items: list[int], capacity: int, takers: int, givers: int) -> None:
    taken: list[int] = []

    async def run() -> None:
        channel = Channel[int](capacity)

        async def take(item: int) -> None:
            await anyio.lowlevel.checkpoint()
            taken.append(item)

        async with anyio.create_task_group() as group:
            for _ in range(takers):
                group.start_soon(_take_all, channel, take)
            await run_workers(items, channel.put, workers=givers)
            channel.close()

    anyio.run(run)
    assert sorted(taken) == sorted(items)


async def _take_all(channel: Channel[int], take) -> None:
    async for item in channel:
        await take(item)


async def test_no_more_than_the_capacity_waits() -> None:
    channel = Channel[int](2)
    await channel.put(1)
    await channel.put(2)
    with anyio.move_on_after(0) as scope:
        await channel.put(3)
    assert scope.cancelled_caught
    assert channel.take_ready(10) == [1, 2]


async def test_a_cancelled_taker_passes_its_turn_on() -> None:
    channel = Channel[int](2)
    taken: list[int] = []

    async def take() -> None:
        async for item in channel:
            taken.append(item)

    async with anyio.create_task_group() as group:
        first = anyio.CancelScope()

        async def take_cancelled() -> None:
            with first:
                await take()

        group.start_soon(take_cancelled)
        await anyio.lowlevel.checkpoint()
        group.start_soon(take)
        await anyio.lowlevel.checkpoint()
        await channel.put(7)
        first.cancel()
        await anyio.lowlevel.checkpoint()
        channel.close()
    assert taken == [7]


async def test_a_worker_is_started_for_every_item_nobody_waits_for_and_no_more_than_allowed() -> None:
    channel = Channel[int](100)
    busy: list[int] = []
    most = 0

    async def work(item: int) -> None:
        nonlocal most
        busy.append(item)
        most = max(most, len(busy))
        if len(busy) == 3:
            full.set()
        await release.wait()
        busy.remove(item)

    full, release = anyio.Event(), anyio.Event()
    await channel.put(0)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            start_workers(group, channel, work, workers=3)
            for item in range(1, 10):
                await channel.put(item)
            await full.wait()
            release.set()
            channel.close()
    assert (busy, most) == ([], 3)
