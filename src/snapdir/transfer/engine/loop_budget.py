"""Whether short blocking work may be done on the event loop, by how long it has been taking."""

from __future__ import annotations

__all__ = ["DEBT_SECONDS", "PIECES_AWAY", "LoopBudget"]

DEBT_SECONDS = 0.05
"""How much longer than allowed all pieces together may take: one hiccup of a disk, or 60 files at 1 ms."""

PIECES_AWAY = 1_000
"""Pieces that go elsewhere when that is used up: where each takes 1 ms, the loop then stands still for 6 % of it."""


class LoopBudget:
    """Lets work onto the loop while it is quick (a disk's cache), and keeps it off for a while when it is not.

    Time beyond what is allowed makes a debt, which quicker pieces pay back; DEBT_SECONDS of it send the next
    PIECES_AWAY pieces away. One piece is never interrupted, however long it takes. For one event loop.

    Args:
        allowed_seconds: What one piece may take.
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
