"""Servers that throttle for different reasons, and the load of clients with limits and retries, in virtual time."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from snapdir.errors import Throttled
from snapdir.stores.base import ObjectInfo
from snapdir.stores.concurrency import ConcurrencyLimit
from snapdir.stores.memory import MemoryStore
from snapdir.stores.rate import AdaptiveRate
from snapdir.stores.remote import RemoteStore
from snapdir.stores.retry import Retries
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
"""Whether a server refuses a request that arrives this many seconds after its start."""

NEAR_SECONDS = 0.0005
FAR_SECONDS = 0.03
LONG = "long"


def some(share: float, seed: int) -> Refuses:
    """A server that refuses this share of all requests at random."""
    drawn = random.Random(seed)
    return lambda _: drawn.random() < share


def above(rate: float, *, saved: float) -> Refuses:
    """A server that takes ``rate`` requests per second, and up to ``saved`` more after a pause."""
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
    """A server that takes the first ``rate`` requests of each second, and refuses the rest."""
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
        self.requests = self.throttled = 0

    async def stat(self, key: str) -> ObjectInfo:
        self.requests += 1
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
    """The results of all clients of a server together."""

    passed: int
    per_second: float
    throttled_share: float
    failed: int
    passed_at: list[float]

    def back_after(self, seconds: float, *, per_second: float) -> float:
        """Seconds from a moment to the first whole second with at least ``per_second`` requests; infinite if none."""
        counts = Counter(int(at - seconds) for at in self.passed_at if at >= seconds)
        return min((second for second, count in counts.items() if count >= per_second), default=math.inf)


@dataclass(frozen=True)
class Load:
    """``clients`` with ``in_flight`` requests each, for ``seconds``. Of 20 requests, ``long`` take ``long_seconds``."""

    seconds: float
    clients: int = 1
    in_flight: int = 32
    response_seconds: float = FAR_SECONDS
    refusal_seconds: float | None = None
    share: float = 1.0
    long: int = 0
    long_seconds: float = 0.0

    def put_on(self, refuses: Refuses) -> Outcome:
        return run_in_virtual_time(self._run(refuses))

    async def _run(self, refuses: Refuses) -> Outcome:
        passed_at: list[float] = []
        failed = 0

        async def call(store: RemoteStore, drawn: random.Random) -> None:
            nonlocal failed
            while True:
                try:
                    await store.stat(LONG if drawn.randrange(20) < self.long else "key")
                    passed_at.append(clock() - began_at)
                except Throttled:
                    failed += 1

        clock = asyncio.get_running_loop().time
        began_at = clock()
        server = Server(
            refuses, self.response_seconds, self.refusal_seconds or self.response_seconds, self.long_seconds
        )
        with anyio.move_on_after(self.seconds):
            async with anyio.create_task_group() as group:
                for number in range(self.clients):
                    store = client(server, ConcurrencyLimit(self.in_flight, share=self.share, clock=clock), seed=number)
                    drawn = random.Random(number)
                    for _ in range(2 * self.in_flight):
                        group.start_soon(call, store, drawn)
        passed = len(passed_at)
        return Outcome(passed, passed / self.seconds, server.throttled / server.requests, failed, passed_at)


def client(
    server: Server, concurrency: ConcurrencyLimit, *, seed: int, rate: AdaptiveRate | None = None
) -> RemoteStore:
    clock = asyncio.get_running_loop().time
    retries = Retries(clock=clock, random=random.Random(seed).random)
    return RemoteStore(server, retries, concurrency=concurrency, rate=rate or AdaptiveRate(clock=clock))
