"""The least rate at which bodies have to move over aiobotocore: aiohttp has no such limit."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from snapdir.errors import ConnectionFailed
from snapdir.stores.s3.failures import Asked
from snapdir.stores.s3.http.rate_floor import RateFloor
from snapdir.stores.s3.http.timeouts import Timeouts

__all__ = ["BotoRateFloor"]


class BotoRateFloor:
    """Fails the transfer of one body that is too slow; the failure names ``asked``."""

    def __init__(self, asked: Asked, timeouts: Timeouts, *, clock: Callable[[], float] = anyio.current_time) -> None:
        self._asked = asked
        self._floor = RateFloor(timeouts.min_bytes_per_second, timeouts.rate_seconds)
        self._clock = clock
        self._moved = 0
        self._looked_at = clock()

    def require(self, moved: int) -> None:
        """Accept that ``moved`` bytes of the body have moved by now.

        Raises:
            ConnectionFailed: that is too slow.
        """
        now = self._clock()
        is_below = self._floor.is_below(max(0, moved - self._moved), now - self._looked_at)
        self._moved, self._looked_at = moved, now
        if is_below:
            seconds = self._floor.window_seconds
            message = f"less than --min-rate moved, on the average of {seconds:g} s"
            raise ConnectionFailed(f"{self._asked}: {message}", key=self._asked.key)

    def skip(self) -> None:
        """Leave out the time since the last call: the caller worked, and did not wait for the store."""
        self._looked_at = self._clock()
