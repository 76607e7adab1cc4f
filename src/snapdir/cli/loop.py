"""Running one coroutine as a program: to its end, or until a signal makes it clean up and stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """A signal ended the verb, which has cleaned up. ``number`` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run_to_end(verb: Callable[[], Awaitable[T]], *, remote: bool = False) -> T:
    """Run ``verb`` in a new event loop: uvloop for a ``remote`` store, if it is installed.

    SIGINT, SIGTERM and SIGHUP cancel the verb; a second one of the same kind ends the process at once.

    Raises:
        Stopped: a signal came and the verb did not finish.
    """
    import anyio

    from snapdir.disk.descriptors import may_start_uvloop

    return anyio.run(_heeding_signals, verb, backend_options={"use_uvloop": remote and may_start_uvloop()})


async def _heeding_signals(verb: Callable[[], Awaitable[T]]) -> T:
    import anyio

    received: list[int] = []

    def stop(number: int) -> None:
        received.append(number)
        scope.cancel()

    with anyio.CancelScope() as scope, _on_signals(stop):
        return await verb()
    raise Stopped(received[0])


@contextmanager
def _on_signals(stop: Callable[[int], None]) -> Iterator[None]:
    """Call ``stop`` at the first signal of each kind. Ignored signals (nohup, a background job) stay ignored."""
    import asyncio

    loop = asyncio.get_running_loop()

    def first_time(number: int) -> None:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)  # not KeyboardInterrupt, which would wait for every thread
        stop(number)

    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    if threading.current_thread() is not threading.main_thread():
        heeded = []  # only the main thread can set handlers
    for number in heeded:
        loop.add_signal_handler(number, first_time, number)
    try:
        yield
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)
