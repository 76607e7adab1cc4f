"""The sockets of one pool, so that closing it really ends them."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any
from weakref import WeakSet

__all__ = ["Sockets"]

TURNS = 100
"""Turns of the loop that connections get to notice that they have ended; two are usual."""


class Sockets:
    """Makes sockets for aiohttp, and can end them all.

    aiohttp closes a connection whose request was cancelled in the middle of its body politely: what is buffered still
    goes out, which can take as long as the server likes, after everybody thinks that the pool is closed.
    """

    def __init__(self) -> None:
        self._made: WeakSet[socket.socket] = WeakSet()

    def __call__(self, address: tuple[Any, ...]) -> socket.socket:
        """A socket for one address as getaddrinfo gives it."""
        family, kind, protocol = address[:3]
        made = socket.socket(family, kind, protocol)
        self._made.add(made)
        return made

    async def end(self) -> None:
        """Shut down what is still open, and let the loop see it."""
        for made in self._open():
            with suppress(OSError):  # not connected (any more)
                made.shutdown(socket.SHUT_RDWR)
        for _ in range(TURNS):
            if not self._open():
                return
            await asyncio.sleep(0)

    def _open(self) -> list[socket.socket]:
        return [made for made in self._made if made.fileno() >= 0]
