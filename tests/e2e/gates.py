"""Stops a program after its store has received a given number of requests."""

from __future__ import annotations

import signal
import subprocess
import threading
from http.server import BaseHTTPRequestHandler

from tests.e2e.conftest import Run

__all__ = ["Gate", "stop"]


class Gate:
    """Passes ``count`` requests of one HTTP verb, then holds all of them until it is opened."""

    def __init__(self, verb: str, count: int) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()
        self._verb = verb
        self._left = count
        self._lock = threading.Lock()

    def open(self) -> None:
        self._open.set()

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.command != self._verb or self._open.is_set():
            return
        with self._lock:
            self._left -= 1
            held = self._left < 0
        if held:
            self.reached.set()
            assert self._open.wait(60)


def stop(process: subprocess.Popen[str], gate: Gate, number: signal.Signals) -> Run:
    assert gate.reached.wait(30)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    gate.open()
    return Run(process.returncode, stdout, stderr)
