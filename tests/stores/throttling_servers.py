"""Servers that refuse for different reasons, and clients (retries, window, pace) that ask them, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from snapdir.errors import Throttled
from snapdir.stores.base import ObjectInfo
from snapdir.stores.limiting import LimitingStore
from snapdir.stores.memory import MemoryStore
from snapdir.stores.request_pace import RequestPace
from snapdir.stores.request_window import RequestWindow
from snapdir.stores.retrying import RetryingStore
from snapdir.stores.settings import DEFAULT_RETRY
from tests.stores.virtual_time import run_in_virtual_time

__all__ = [
    "FAR_SECONDS",
    "NEAR_SECONDS",
    "Load",
    "Outcome",
    "Refuses",
    "Server",
    "above",
    "between",
    "by_the_second",
    "client",
    "either",
    "some",
]

Refuses = Callable[[float], bool]
"""Whether a server refuses a request that arrives so many seconds after its start."""

NEAR_SECONDS = 0.0005
FAR_SECONDS = 0.03
LONG = "long"


def some(share: float, seed: int) -> Refuses:
    """A server that refuses so many, however often it is asked."""
    drawn = random.Random(seed)
    return lambda _: drawn.random() < share


def above(rate: float, *, saved: float) -> Refuses:
    """A server that takes so many a second, and up to ``saved`` of those that nobody asked for before."""
    tokens, seen = saved, 0.0

    def refuses(now: float) -> bool:
        nonlocal tokens, seen
        tokens = min(saved, tokens + (now - seen) * rate)
        seen = now
        if tokens < 1:
            return True
        tokens -= 1
        return False

    return refuses


def either(one: Refuses, other: Refuses) -> Refuses:
    """A server with two reasons to refuse."""
    return lambda now: one(now) or other(now)


def between(begin: float, end: float, otherwise: Refuses) -> Refuses:
    """A server that refuses everything for a while."""
    return lambda now: begin <= now < end or otherwise(now)


def by_the_second(rate: int) -> Refuses:
    """A server that takes so many from the beginning of each second, and nothing for the rest of it."""
    second, left = -1, 0

    def refuses(now: float) -> bool:
        nonlocal second, left
        if int(now) != second:
            second, left = int(now), rate
        left -= 1
        return left < 0

    return refuses


class Server(MemoryStore):
    """Answers after ``seconds``, or ``long_seconds`` for the key LONG, and refuses after ``refusal_seconds``."""

    def __init__(self, refuses: Refuses, seconds: float, refusal_seconds: float, long_seconds: float = 0.0) -> None:
        super().__init__()
        self._refuses = refuses
        self._seconds = seconds
        self._refusal_seconds = refusal_seconds
        self._long_seconds = long_seconds
        self._began = asyncio.get_running_loop().time()
        self.asked = self.throttled = 0

    async def stat(self, key: str) -> ObjectInfo:
        self.asked += 1
        await asyncio.sleep(self._refusal_seconds / 2)
        if self._refuses(asyncio.get_running_loop().time() - self._began):
            await asyncio.sleep(self._refusal_seconds / 2)
            self.throttled += 1
            raise Throttled("slow down", key=key)
        taken_seconds = self._long_seconds if key == LONG else self._seconds
        await asyncio.sleep(taken_seconds - self._refusal_seconds / 2)
        return ObjectInfo(key, 0)


@dataclass
class Outcome:
    """What many clients got out of one server together."""

    passed: int
    per_second: float
    throttled_share: float
    failed: int


@dataclass(frozen=True)
class Load:
    """So many clients, each with so many requests at a time, for so long. Of 20, ``long`` take ``long_seconds``."""

    seconds: float
    clients: int = 1
    in_flight: int = 32
    answer_seconds: float = FAR_SECONDS
    refusal_seconds: float | None = None
    share: float = 1.0
    long: int = 0
    long_seconds: float = 0.0

    def put_on(self, refuses: Refuses) -> Outcome:
        return run_in_virtual_time(self._run(refuses))

    async def _run(self, refuses: Refuses) -> Outcome:
        passed = failed = 0

        async def ask(store: RetryingStore, drawn: random.Random) -> None:
            nonlocal passed, failed
            while True:
                try:
                    await store.stat(LONG if drawn.randrange(20) < self.long else "key")
                    passed += 1
                except Throttled:
                    failed += 1

        clock = asyncio.get_running_loop().time
        server = Server(refuses, self.answer_seconds, self.refusal_seconds or self.answer_seconds, self.long_seconds)
        with anyio.move_on_after(self.seconds):
            async with anyio.create_task_group() as group:
                for number in range(self.clients):
                    store = client(server, RequestWindow(self.in_flight, share=self.share, clock=clock), seed=number)
                    drawn = random.Random(number)
                    for _ in range(2 * self.in_flight):
                        group.start_soon(ask, store, drawn)
        return Outcome(passed, passed / self.seconds, server.throttled / server.asked, failed)


def client(server: Server, window: RequestWindow, *, seed: int, pace: RequestPace | None = None) -> RetryingStore:
    clock = asyncio.get_running_loop().time
    limited = LimitingStore(server, window, pace=pace or RequestPace(clock=clock))
    return RetryingStore(limited, DEFAULT_RETRY, random=random.Random(seed).random, clock=clock)
