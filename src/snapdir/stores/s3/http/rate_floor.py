"""The least rate at which a body has to move. Pure: the caller measures the time."""

from __future__ import annotations

__all__ = ["RateFloor"]


class RateFloor:
    """Tells a line that drips from one that is slow: fewer bytes a second than this, on the average of a while.

    Args:
        bytes_per_second: 0 lets anything pass.
        window_seconds: What the average is taken over. A drip is noticed after one to two of these.
    """

    def __init__(self, bytes_per_second: float, window_seconds: float) -> None:
        self.bytes_per_second = bytes_per_second
        self.window_seconds = window_seconds
        self._bytes = 0
        self._seconds = 0.0

    def is_below(self, moved_bytes: int, seconds: float) -> bool:
        """Whether the rate is too low, after ``moved_bytes`` more in the next ``seconds`` of waiting for them."""
        self._bytes += moved_bytes
        self._seconds += seconds
        if self._seconds < self.window_seconds:
            return False
        is_below = self._bytes < self.bytes_per_second * self._seconds
        self.restart()
        return is_below

    def restart(self) -> None:
        """Begin to count anew."""
        self._bytes = 0
        self._seconds = 0.0
