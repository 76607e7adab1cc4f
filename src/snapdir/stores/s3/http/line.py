"""The line to a server: bytes still under way, its rate so far, and probes of a silent connection."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios

from snapdir.model.sizes import KIB

__all__ = ["LineRate", "keep_alive", "unsent_in_kernel"]

ASSUMED_BYTES_PER_SECOND = 64 * KIB
"""Until answers show more. A slower line needs a longer --stall-timeout, or smaller parts."""

TELLING_BYTES = 256 * KIB
"""The answer to a shorter body takes a round trip, whatever the rate of the line."""

MARGIN = 4
"""How much slower the next body may be: more of them may share the line by then."""

IDLE_SECONDS, PROBE_SECONDS, PROBES = 45, 15, 5
"""A peer that is gone is noticed in two minutes, and a NAT gateway that forgets idle connections sees a packet."""


class LineRate:
    """How long a body may be on its way, beyond the time that the server has for its answer.

    A tunnel or a proxy may take a body at once and pass it on slowly. Seen from here, all of it has left then, and the
    answer comes only after the slow part.
    """

    def __init__(self) -> None:
        self._bytes_per_second: float = ASSUMED_BYTES_PER_SECOND

    def answered(self, body_bytes: int, seconds: float) -> None:
        """Note that the answer to a body came ``seconds`` after its first byte was sent."""
        if body_bytes >= TELLING_BYTES:
            self._bytes_per_second = max(ASSUMED_BYTES_PER_SECOND, body_bytes / max(seconds, 1e-3) / MARGIN)

    def seconds_for(self, body_bytes: int) -> float:
        """How long a body of that length may be on its way."""
        return body_bytes / self._bytes_per_second


def unsent_in_kernel(sock: socket.socket) -> int:
    """Bytes that the server's host has not acknowledged; 0 where the system cannot tell."""
    try:
        (count,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))
    except OSError:
        return 0
    return int(count)


def keep_alive(sock: socket.socket) -> None:
    """Let the system probe a connection that is silent: a service may work for minutes without a word."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    values = {"TCP_KEEPIDLE": IDLE_SECONDS, "TCP_KEEPINTVL": PROBE_SECONDS, "TCP_KEEPCNT": PROBES}
    for name, value in values.items():
        if hasattr(socket, name):  # macOS has not all of them
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
