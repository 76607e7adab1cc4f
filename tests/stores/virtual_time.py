"""Virtual time: an event loop whose clock jumps to the next timer. Hours pass at once, the same in every run."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio.lowlevel

__all__ = ["ManualClock", "run_in_virtual_time"]

Result = TypeVar("Result")


class ManualClock:
    """A clock that moves when a task sleeps, or when a test sets it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await anyio.lowlevel.checkpoint()


class _Selector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "all tasks wait, and none for a time"
        self.now += timeout
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def run_in_virtual_time(main: Coroutine[Any, Any, Result]) -> Result:
    """The result of ``main``, in which ``asyncio.get_running_loop().time`` is the clock."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main)
