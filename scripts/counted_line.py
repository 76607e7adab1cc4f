"""A proxy that counts the bytes sent to a server, and can halt after a number of bytes: for kills in mid-transfer."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType

__all__ = ["CountedLine"]

BLOCK_BYTES = 1 << 16


class CountedLine:
    """Forwards connections on loopback to ``port``, a context manager.

    Attributes:
        sent: Bytes sent to the server since ``count_anew``.
        halted: Set when the limit is reached.
    """

    def __init__(self, port: int) -> None:
        self.sent = 0
        self.halted = threading.Event()
        self._server = port
        self._most: int | None = None
        self._changed = threading.Condition()
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def count_anew(self, *, halt_after: int | None = None) -> None:
        """Close every connection, count from 0, and halt after ``halt_after`` bytes, if given."""
        with self._changed:
            self._cut()
            self.sent, self._most = 0, halt_after
            self.halted.clear()
            self._changed.notify_all()

    def __enter__(self) -> CountedLine:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self.count_anew()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._server))
        except OSError:
            client.close()
            return
        with self._changed:
            self._sockets |= {client, server}
        back = threading.Thread(target=self._copy, args=(server, client), daemon=True)
        back.start()
        self._copy(client, server, counted=True)
        back.join()
        with self._changed:
            self._sockets -= {client, server}
        client.close()
        server.close()

    def _copy(self, source: socket.socket, target: socket.socket, *, counted: bool = False) -> None:
        with suppress(OSError):
            while data := source.recv(BLOCK_BYTES):
                if counted:
                    self._count(len(data))
                target.sendall(data)
        for end, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
            with suppress(OSError):
                end.shutdown(how)

    def _count(self, count: int) -> None:
        with self._changed:
            while self._most is not None and self.sent + count > self._most:
                self.halted.set()
                self._changed.wait()
            self.sent += count

    def _cut(self) -> None:
        for connection in self._sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
