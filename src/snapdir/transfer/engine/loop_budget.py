"""A budget for short blocking work on the event loop, from the time that such work has taken."""

from __future__ import annotations

DEBT_SECONDS = 0.05
"""The time by which all pieces together may exceed the allowance: one hiccup of a disk, or 60 files at 1 ms."""

PIECES_AWAY = 1_000
"""Pieces that go to a thread when that is used up: if each takes 1 ms, the loop stands still for 6 % of the time."""


class LoopBudget:
    """Admits work to the loop while it is quick (a disk's cache), and keeps it off for a while when it is not.

    Time beyond the allowance makes a debt, which quicker pieces pay back; a debt of DEBT_SECONDS sends the next
    PIECES_AWAY pieces to a thread. A piece that has begun is never interrupted. For one event loop.

    Args:
        allowed_seconds: The allowance of one piece.
    """

    def __init__(self, allowed_seconds: float) -> None:
        self._allowed_seconds = allowed_seconds
        self._debt_seconds = 0.0
        self._away = 0

    def admits(self, pieces: int = 1) -> bool:
        """Whether work may be done on the loop now; if not, ``pieces`` count as done elsewhere."""
        if self._away > 0:
            self._away -= pieces
            return False
        return True

    def took(self, seconds: float, pieces: int = 1) -> None:
        """Note how long work that was done on the loop has kept it."""
        self._debt_seconds = max(0.0, self._debt_seconds + seconds - pieces * self._allowed_seconds)
        if self._debt_seconds > DEBT_SECONDS:
            self._debt_seconds = 0.0
            self._away = PIECES_AWAY
