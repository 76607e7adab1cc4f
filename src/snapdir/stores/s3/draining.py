"""A long body past a plain transport: received, and consumed, by a thread of its own. Blocking.

The same GiB through the loop, with a hop to a thread for every block, costs 1.15 s of CPU where this costs 0.85: each
hop is a fight for the interpreter lock, which a thread that stays with its body hardly ever needs.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from snapdir.stores.blocks import BlockSink

__all__ = ["Drain", "EndedEarly", "Stalled"]


WAKE_BYTES = 2048 << 10
"""A thread that wakes for every packet costs more than what it receives: each time it fights for the lock."""


class EndedEarly(Exception):
    """The connection ended before the body was complete; the text says how."""


class Stalled(Exception):
    """No byte came for as long as one may wait."""


class Drain:
    """The rest of one body, taken from a duplicate of a connection's socket while its transport does not read.

    Args:
        filled: Bytes of the body that are in the sink's block already.
        left: Bytes that are still to come.
        stall_seconds: How long to wait for any of them.
    """

    def __init__(
        self, original: socket.socket, sink: BlockSink, *, filled: int, left: int, stall_seconds: float
    ) -> None:
        family, kind, protocol = original.family, original.type, original.proto
        self._socket = socket.socket(family, kind, protocol, fileno=os.dup(original.fileno()))
        self._stall_seconds = stall_seconds
        self._socket.settimeout(stall_seconds)
        self._sink = sink
        self._filled = filled
        self._left = left
        self._waking_at = 1

    def run(self) -> None:
        """Receive everything and pass it on.

        Raises:
            EndedEarly, Stalled: the connection; anything else comes from the sink.
        """
        with self._socket:
            try:
                while self._filled or self._left:
                    self._fill()
                    filled, self._filled = self._filled, 0
                    self._sink.put(filled)
            finally:
                self._wake_at(1)

    def stop(self) -> None:
        """Make ``run`` end soon, wherever it is. Safe to repeat."""
        with suppress(OSError):  # it has ended by itself
            self._socket.shutdown(socket.SHUT_RDWR)

    def _fill(self) -> None:
        """A whole block, or the end of the body."""
        with memoryview(self._sink.block) as block:
            while self._left and self._filled < len(block):
                with block[self._filled : self._filled + self._left] as rest:
                    received = self._receive(rest)
                self._filled += received
                self._left -= received

    def _receive(self, rest: memoryview) -> int:
        self._wake_at(min(len(rest), WAKE_BYTES))
        try:
            received = self._socket.recv_into(rest)
        except TimeoutError:
            received = self._receive_few(rest)
        except OSError as error:
            raise EndedEarly(str(error)) from error
        if not received:
            raise EndedEarly("closed by the server")
        return received

    def _receive_few(self, rest: memoryview) -> int:
        """What is there already: a slow line brings less in all that time than the thread is woken for."""
        self._socket.settimeout(0)
        try:
            return self._socket.recv_into(rest)
        except BlockingIOError:
            raise Stalled from None
        except OSError as error:
            raise EndedEarly(str(error)) from error
        finally:
            self._socket.settimeout(self._stall_seconds)

    def _wake_at(self, count: int) -> None:
        """Sleep until so many bytes are there, or the peer has closed."""
        if count != self._waking_at:
            self._waking_at = count
            with suppress(OSError):  # stopped: it is shut down
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
