"""Standard input and output as streams of bytes that a cancelled verb stops using. Blocking: for threads."""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from contextlib import suppress

import anyio.from_thread

from snapdir.cli.terminal import OutputClosed, check_output_open
from snapdir.disk.system import open_again
from snapdir.errors import LocalError, local_errors
from snapdir.model.sizes import MIB

BLOCK_BYTES = MIB
LOOK_AROUND_MS = 200
"""How long a thread waits for the other end between two checks whether the verb was cancelled."""


class InputPipe:
    """Reads a descriptor of a pipe, a file or a terminal."""

    def __init__(self, descriptor: int = 0, name: str = "standard input") -> None:
        if descriptor == 0 and sys.stdin is None:
            raise LocalError(name, "it is closed", errno=errno.EBADF)
        self._descriptor = descriptor
        self._name = name

    def read(self) -> bytes:
        """The next bytes, up to a MiB; none at the end."""
        with local_errors(self._name):
            _wait(self._descriptor, select.POLLIN)
            return os.read(self._descriptor, BLOCK_BYTES)

    def read_all(self) -> bytes:
        return b"".join(iter(self.read, b""))


class OutputPipe:
    """Writes to a descriptor. Close it.

    A pipe is opened once more, without blocking: the description that other processes share stays as it is.
    """

    def __init__(self, descriptor: int = 1) -> None:
        if descriptor == 1:
            check_output_open()
        self._descriptor = descriptor
        self._own: int | None = None
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            with suppress(OSError):  # then a write may block although the verb was cancelled
                self._own = open_again(descriptor, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of ``data``.

        Raises:
            OutputClosed: the reader has closed the pipe.
            LocalError: stdout cannot be written, for example to a full disk.
        """
        descriptor = self._descriptor if self._own is None else self._own
        rest = memoryview(data)
        try:
            while rest:
                _wait(descriptor, select.POLLOUT)
                rest = rest[os.write(descriptor, rest[:BLOCK_BYTES]) :]
        except BrokenPipeError as error:
            raise OutputClosed from error
        except OSError as error:
            raise LocalError("standard output", error.strerror or str(error), errno=error.errno) from error

    def close(self) -> None:
        if self._own is not None:
            os.close(self._own)
            self._own = None


def _wait(descriptor: int, event: int) -> None:
    """Wait until the descriptor is ready; stop when the verb is cancelled."""
    waiting = select.poll()
    waiting.register(descriptor, event)
    while not waiting.poll(LOOK_AROUND_MS):
        anyio.from_thread.check_cancelled()
