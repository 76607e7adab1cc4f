"""Simulated services for ``scripts/servers``, each unusual in one way: from tests/, or an s3sim binary."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import s3sim

from tests.e2e.scripted_s3 import ScriptedS3
from tests.unsorted import by_hash

__all__ = ["ODD_SERVERS", "Odd", "running_odd"]

SLOW_SECONDS = 45
"""Longer than the stall timeout."""
SLOWLY = ("push", "push again", "push elsewhere", "pull", "verify", "sync", "kill and resume")


def slow_complete(handler: BaseHTTPRequestHandler) -> None:
    if handler.command == "POST" and "uploadId=" in handler.path:
        time.sleep(SLOW_SECONDS)


def slow_copy(handler: BaseHTTPRequestHandler) -> None:
    if handler.headers.get("x-amz-copy-source"):
        time.sleep(SLOW_SECONDS)


@dataclass(frozen=True)
class Odd:
    """A simulated service that is unusual in one way.

    Attributes:
        simulator: Options of s3sim.
        scripted: Arguments of ``ScriptedS3``.
        operations: The operations to run; empty means all.
        small: The number of small files in the tree.
    """

    name: str
    simulator: tuple[str, ...]
    scripted: Mapping[str, Any] = field(default_factory=dict)
    operations: tuple[str, ...] = ()
    small: int = 300
    version: str = "simulated"
    keys: tuple[str, str] = ("odd", "odd-secret")


MILLISECONDS = str(1000 * SLOW_SECONDS)
ODD_SERVERS = (
    Odd("listings in no order", ("--unsorted",), {"listed_by": by_hash, "page_keys": 100, "overlap": 2}),
    Odd("pages of 7 keys", ("--page", "7"), {"page_keys": 7}),
    Odd("slow Complete", ("--complete-ms", MILLISECONDS), {"before": slow_complete}, SLOWLY, small=20),
    Odd("slow CopyObject", ("--copy-ms", MILLISECONDS), {"before": slow_copy}, SLOWLY, small=20),
)


@contextmanager
def running_odd(kind: Odd, binary: str | None) -> Iterator[int]:
    """Start an empty service and yield its port."""
    if binary:
        with s3sim.running(binary, *kind.simulator) as simulator:
            yield simulator.port
    else:
        with ScriptedS3(**kind.scripted) as server:
            yield server.server_port
