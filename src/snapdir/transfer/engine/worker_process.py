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
from snapdir.transfer.engine.interruption import check_cancelled

LOOK_SECONDS = 0.05

_START = "import sys; sys.path[:] = sys.argv[2:]; from importlib import import_module; import_module(sys.argv[1]).main()"


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

    It is in a process group of its own, so signals of a terminal reach this process only. It imports from the same
    places, without running a ``__main__`` again.

    Args:
        module: It must import little: a start takes about 50 ms of CPU.

    Raises:
        OSError: no process can be started.
    """

    def __init__(self, module: ModuleType) -> None:
        import subprocess  # 5 ms of start-up that most commands do not need

        package = str(Path(__file__).parents[3])
        paths = [package, *(path for path in sys.path if path != package)]
        self.socket, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603  # this very program
                    [sys.executable, "-S", "-P", "-X", "utf8", "-c", _START, module.__name__, *paths],
                    stdin=theirs,
                    stdout=subprocess.DEVNULL,
                    stderr=None if os.environ.get("SNAPDIR_DEBUG") == "1" else subprocess.DEVNULL,
                    process_group=0,
                )
        except BaseException:
            self.socket.close()
            raise
        self.socket.settimeout(LOOK_SECONDS)

    @property
    def pid(self) -> int:
        return self._process.pid

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
            raise WorkerKilled(signal.Signals(-code).name)
        return f"exit code {code}"

    def end(self) -> None:
        """End the process at once, if it has not ended. It must have nothing to clean up."""
        self.socket.close()
        self._process.kill()
        self._process.wait()
