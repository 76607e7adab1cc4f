"""A floor under how slow bodies may come and go over aiobotocore: aiohttp has none."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from snapdir.errors import ConnectionFailed
from snapdir.stores.s3.failures import Asked
from snapdir.stores.s3.rate_floor import RateFloor
from snapdir.stores.s3.timeouts import Timeouts

__all__ = ["BotoPace"]


class BotoPace:
    """Ends one body that drips. ``asked`` is named by the failure."""

    def __init__(self, asked: Asked, timeouts: Timeouts, *, clock: Callable[[], float] = anyio.current_time) -> None:
        self._asked = asked
        self._floor = RateFloor(timeouts.min_bytes_per_second, timeouts.rate_seconds)
        self._clock = clock
        self._moved = 0
        self._looked_at = clock()

    def require(self, moved: int) -> None:
        """So many bytes have moved by now.

        Raises:
            ConnectionFailed: they drip.
        """
        now = self._clock()
        is_below = self._floor.is_below(max(0, moved - self._moved), now - self._looked_at)
        self._moved, self._looked_at = moved, now
        if is_below:
            seconds = self._floor.window_seconds
            message = f"on the average of {seconds:g} s less moved than --min-rate demands"
            raise ConnectionFailed(f"{self._asked}: {message}", key=self._asked.key)

    def skip(self) -> None:
        """What was done since is not the store's time."""
        self._looked_at = self._clock()
