"""Running a program with bounded output, and ending its whole process group when the caller is cancelled."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import anyio

from snapdir.model.sizes import KIB

if TYPE_CHECKING:
    from anyio.abc import Process

__all__ = ["Finished", "run_program"]

KEPT_BYTES = 64 * KIB
"""Of what a program says besides its result: the end, for the message."""

FAREWELL_SECONDS = 5
"""Between the polite signal and the last one."""


class Finished(NamedTuple):
    """What a program left: ``said`` is the end of its stderr, ``found`` whether a text was in any of its output."""

    code: int
    result: bytes
    said: bytes
    truncated: bool
    found: bool


async def run_program(
    command: Sequence[str],
    *,
    stdin: bytes = b"",
    max_result_bytes: int,
    watch_for: bytes = b"",
    pass_fds: Sequence[int] = (),
) -> Finished:
    """Run ``command`` in a process group of its own until it ends, and with it whatever it left running.

    Args:
        stdin: Given to it; what it does not read is dropped.
        max_result_bytes: Bytes of stdout that are kept; the rest is read and dropped, and ``truncated`` says so.
        watch_for: A text to look for in everything it prints.

    Raises:
        OSError: it cannot be started.
    Cancellation: the group is asked to end (SIGTERM), and killed once its leader has, or after FAREWELL_SECONDS.
    """
    with anyio.CancelScope(shield=True):  # a start that is cancelled would end the program alone, not what it started
        process = await anyio.open_process(command, start_new_session=True, pass_fds=pass_fds)
    result, said = _Kept(max_result_bytes, watch_for), _Kept(KEPT_BYTES, watch_for, end=True)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_feed, process, stdin)
            group.start_soon(result.take_all, process.stdout)
            group.start_soon(said.take_all, process.stderr)
            code = await process.wait()
            _signal(process, signal.SIGKILL)  # what runs on in the background holds the pipes open
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)
    return Finished(code, bytes(result.kept), bytes(said.kept), result.truncated, result.found or said.found)


class _Kept:
    """Bytes of a stream: the first ones, or the last ones, and whether a text was among all of them."""

    def __init__(self, limit: int, watch_for: bytes, *, end: bool = False) -> None:
        self.kept = bytearray()
        self.truncated = False
        self.found = False
        self._limit = limit
        self._end = end
        self._watch_for = watch_for
        self._seam = b""

    async def take_all(self, stream: AsyncIterable[bytes] | None) -> None:
        if stream is not None:
            async for block in stream:
                self._take(block)

    def _take(self, block: bytes) -> None:
        if self._watch_for:
            seen = self._seam + block
            self.found = self.found or self._watch_for in seen
            self._seam = seen[max(0, len(seen) - len(self._watch_for) + 1) :]
        self.truncated = self.truncated or len(self.kept) + len(block) > self._limit
        self.kept += block
        del self.kept[: -self._limit if self._end else 0]
        del self.kept[self._limit :]


async def _feed(process: Process, data: bytes) -> None:
    if process.stdin is not None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, BrokenPipeError, ConnectionResetError):
            await process.stdin.send(data)
        await process.stdin.aclose()


async def _end(process: Process) -> None:
    if process.returncode is None:
        _signal(process, signal.SIGTERM)
        with anyio.move_on_after(FAREWELL_SECONDS):
            await process.wait()
    _signal(process, signal.SIGKILL)
    await process.aclose()


def _signal(process: Process, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
