"""Runs that are interrupted, and can be resumed."""

from __future__ import annotations

from asyncio import CancelledError

from snapdir.errors import TransientStoreError

LOOK_SECONDS = 0.05
"""How often a thread that waits looks whether its caller was cancelled: a person notices no such delay."""


def is_interruption(error: BaseException) -> bool:
    """Whether a run that ends with ``error`` can be resumed: it was cancelled, or the network failed.

    After damage, a refusal or a full disk the same command would fail again.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_interruption, error.exceptions))
    return isinstance(error, CancelledError | TransientStoreError)


def check_cancelled() -> None:
    """End work in a thread of ``anyio.to_thread`` whose caller was cancelled. 1 µs.

    It only reads a flag, so it never waits for the loop.
    """
    from anyio.from_thread import check_cancelled as check  # 1 ms of start-up that small runs do not need

    check()
