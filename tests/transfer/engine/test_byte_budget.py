"""A bound on bytes in memory never lets a task wait for ever."""

from __future__ import annotations

import anyio

from snapdir.transfer.engine.byte_budget import ByteBudget


async def test_a_share_larger_than_the_budget_passes_alone() -> None:
    budget = ByteBudget(10)
    await budget.acquire(3)
    with anyio.move_on_after(0) as scope:
        await budget.acquire(100)
    assert scope.cancelled_caught
    budget.release(3)
    with anyio.fail_after(5):
        await budget.acquire(100)
    budget.release(100)
    assert budget.held_bytes == 0
