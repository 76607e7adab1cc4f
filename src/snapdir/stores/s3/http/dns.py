"""Addresses of a host: looked up in a thread, cached for a while, used in turn."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any

# The family, and the address as sockets of that family take it.
SocketAddress = tuple[socket.AddressFamily, tuple[Any, ...]]


def resolve(host: str, port: int, flags: int = 0) -> list[SocketAddress]:
    """Every TCP address of ``host``, IPv4 and IPv6, in the system's order. Blocking.

    Raises:
        OSError: the host has no address.
    """
    name = host.encode() if host.isascii() else host  # a str is encoded as IDNA: a module that start-up can spare
    addresses = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=flags)
    return list(dict.fromkeys((family, sockaddr) for family, _, _, _, sockaddr in addresses))


class AddressBook:
    """The addresses of one host and port.

    Concurrent callers share a look-up. For one loop at a time; call ``forget()`` before another uses it.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        lifetime_seconds: float = 60.0,
        resolve: Callable[[str, int], Sequence[SocketAddress]] = resolve,
    ) -> None:
        self._host, self._port = host, port
        self._lifetime_seconds = lifetime_seconds
        self._resolve = resolve
        self.forget()

    def forget(self) -> None:
        """Look the name up again next time."""
        self._addresses: list[SocketAddress] = []
        self._expires_at = 0.0
        self._turn = -1
        self._lookup: asyncio.Future[Sequence[SocketAddress]] | None = None

    async def candidates(self) -> list[SocketAddress]:
        """All addresses, rotated by one at each call.

        Raises:
            OSError: the name has none, or cannot be looked up.
        """
        if not self._addresses or asyncio.get_running_loop().time() >= self._expires_at:
            await self._refresh()
        self._turn = (self._turn + 1) % len(self._addresses)
        return self._addresses[self._turn :] + self._addresses[: self._turn]

    def strike(self, address: SocketAddress) -> None:
        """Leave out an address that did not respond, until the next look-up; never the last one."""
        if address in self._addresses and len(self._addresses) > 1:
            self._addresses.remove(address)

    async def _refresh(self) -> None:
        if self._lookup is None:
            self._lookup = asyncio.get_running_loop().run_in_executor(None, self._resolve, self._host, self._port)
            self._lookup.add_done_callback(self._note)
        lookup = self._lookup
        # Shielded: other callers wait for the same look-up.
        if not await asyncio.shield(lookup):
            raise OSError(f"{self._host} has no address")
        if self._lookup is lookup:  # it had ended before it was awaited, and its callback is still to come
            self._note(lookup)

    def _note(self, lookup: asyncio.Future[Sequence[SocketAddress]]) -> None:
        self._lookup = None
        if not lookup.cancelled() and lookup.exception() is None:
            self._addresses = list(lookup.result())
            self._expires_at = lookup.get_loop().time() + self._lifetime_seconds
