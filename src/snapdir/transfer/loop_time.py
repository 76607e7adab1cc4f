"""Whether short blocking work may be done on the event loop, by how long it has been taking."""

from __future__ import annotations

__all__ = ["ALLOWED_SECONDS", "DEBT_SECONDS", "LoopTime"]

ALLOWED_SECONDS = 250e-6
"""What one piece of work may take on the loop. To hash and write a file of 16 KiB in the page cache takes 40 µs; in a
thread, which has to be given the interpreter lock again after every system call, it costs 60 more."""

DEBT_SECONDS = 0.05
"""How much longer than allowed all of it together may take: one hiccup of a disk, or 60 files at 1 ms."""

PIECES_AWAY = 1_000
"""Pieces that go elsewhere when that is used up: where each takes 1 ms, the loop then stands still for 6 % of it."""


class LoopTime:
    """Lets work onto the loop while it is quick (a disk's cache), and keeps it off for a while when it is not.

    Time beyond ALLOWED_SECONDS a piece makes a debt, which quicker pieces pay back; DEBT_SECONDS of it send the next
    PIECES_AWAY pieces away. For one event loop.
    """

    def __init__(self) -> None:
        self._debt_seconds = 0.0
        self._away = 0

    def admits(self) -> bool:
        """Whether the next piece may be done on the loop. Ask once for each."""
        if self._away:
            self._away -= 1
            return False
        return True

    def took(self, seconds: float) -> None:
        """Note how long a piece that was done on the loop has kept it."""
        self._debt_seconds = max(0.0, self._debt_seconds + seconds - ALLOWED_SECONDS)
        if self._debt_seconds > DEBT_SECONDS:
            self._debt_seconds = 0.0
            self._away = PIECES_AWAY
