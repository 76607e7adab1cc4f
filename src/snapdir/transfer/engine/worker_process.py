"""A process that works for this one, and ends when this one ends, in whatever way. Blocking."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from types import ModuleType

from snapdir.errors import WorkerKilled
from snapdir.model.names import NAMES_ARE_UTF8
from snapdir.transfer.engine.interruption import LOOK_SECONDS, check_cancelled

LEFT_TO_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end a whole group of processes. The parent stops, and ends its workers."""

_START = (
    "import sys; sys.path[:] = sys.argv[2:]; from importlib import import_module; import_module(sys.argv[1]).main()"
)


def can_start_workers() -> bool:
    """Whether a second process can run the modules of this one.

    It cannot in a frozen program or a zip file, or where Python is embedded in another program.
    """
    interpreter = os.path.basename(sys.executable or "")
    return (
        interpreter.startswith(("python", "pypy"))
        and not getattr(sys, "frozen", False)
        and os.path.isfile(__file__)
        and NAMES_ARE_UTF8
    )


class WorkerProcess:
    """Runs ``main`` of a module, with a socket as descriptor 0: its end is the end of this process or this object.

    It blocks LEFT_TO_PARENT from its first moment. It imports from the same places as this process, and runs no
    ``__main__`` again.

    Args:
        module: It must import little: a start takes 30 to 50 ms of CPU.

    Raises:
        OSError: no process can be started.
    """

    def __init__(self, module: ModuleType) -> None:
        import subprocess  # 5 ms of start-up that most commands do not need

        package = str(Path(__file__).parents[3])
        command = [sys.executable, "-S", "-P", "-X", "utf8", "-c", _START, module.__name__, package, *sys.path]
        self.socket, theirs = socket.socketpair()
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, LEFT_TO_PARENT)
        try:
            with theirs:
                self._process = subprocess.Popen(  # this very program
                    command,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=None if os.environ.get("SNAPDIR_DEBUG") == "1" else subprocess.DEVNULL,
                )
        except BaseException:
            self.socket.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        self.socket.settimeout(LOOK_SECONDS)

    def send(self, content: bytes) -> None:
        """Send all of ``content``.

        Raises:
            OSError: the process has ended.
        Cancellation: within LOOK_SECONDS.
        """
        rest = memoryview(content)
        while rest:
            try:
                rest = rest[self.socket.send(rest) :]
            except TimeoutError:
                check_cancelled()

    def outcome(self) -> str:
        """How a process has ended that closed its socket.

        Raises:
            WorkerKilled: by a signal.
        """
        code = self._process.wait()
        if code < 0:
            names = {number.value: number.name for number in signal.Signals}
            raise WorkerKilled(names.get(-code, f"signal {-code}"))
        return f"exit code {code}"

    def end(self) -> None:
        """End the process at once, if it has not ended. It must have nothing to clean up."""
        self.socket.close()
        self._process.kill()
        self._process.wait()
