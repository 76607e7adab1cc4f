"""Shared by the drivers: a number of tasks take items in turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

__all__ = ["files_below", "for_each"]


async def for_each(items: Iterable[str], work: Callable[[str], Awaitable[None]], concurrency: int) -> None:
    """Run ``work`` for each item, in ``concurrency`` tasks."""
    left = iter(items)

    async def worker() -> None:
        for item in left:
            await work(item)

    await asyncio.gather(*[worker() for _ in range(concurrency)])


def files_below(root: Path) -> list[str]:
    """Paths of the files of a tree, relative to it."""
    return [str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()]
