"""Run a program with bounded output, and end its whole process group if the caller is cancelled."""

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

KEPT_BYTES = 64 * KIB
"""The end of a program's stderr, for error messages."""

FAREWELL_SECONDS = 5
"""Between SIGTERM and SIGKILL."""


class Finished(NamedTuple):
    """The outcome of a program.

    Attributes:
        code: Its exit code.
        result: Its stdout, up to a limit; ``truncated`` says whether there was more.
        errors: The end of its stderr.
        has_text: Whether its output, on either, contains the text that was watched for.
    """

    code: int
    result: bytes
    errors: bytes
    truncated: bool
    has_text: bool


async def run_program(
    command: Sequence[str],
    *,
    stdin: bytes = b"",
    max_result_bytes: int,
    watch_for: bytes = b"",
    pass_fds: Sequence[int] = (),
) -> Finished:
    """Run ``command`` in a process group of its own until it ends, then kill the rest of the group.

    Args:
        stdin: Its input; the program need not read it.
        max_result_bytes: Bytes of stdout to keep; the rest is read and dropped.
        watch_for: A text to look for in its output.

    Raises:
        OSError: The program cannot be started.
    Cancellation: the group gets SIGTERM, and SIGKILL when the program has ended, or after FAREWELL_SECONDS.
    """
    with anyio.CancelScope(shield=True):  # a cancelled start would end the program, but not its children
        process = await anyio.open_process(command, start_new_session=True, pass_fds=pass_fds)
    result, errors = _Kept(max_result_bytes, watch_for), _Kept(KEPT_BYTES, watch_for, end=True)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_feed, process, stdin)
            group.start_soon(result.take_all, process.stdout)
            group.start_soon(errors.take_all, process.stderr)
            code = await process.wait()
            _signal(process, signal.SIGKILL)  # background processes would hold the pipes open
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)
    has_text = result.has_text or errors.has_text
    return Finished(code, bytes(result.kept), bytes(errors.kept), result.truncated, has_text)


class _Kept:
    """The first bytes of a stream, or the last ones, and whether the stream contains a text."""

    def __init__(self, max_bytes: int, watch_for: bytes, *, end: bool = False) -> None:
        self.kept = bytearray()
        self.truncated = False
        self.has_text = False
        self._max_bytes = max_bytes
        self._end = end
        self._watch_for = watch_for
        self._seam = b""

    async def take_all(self, stream: AsyncIterable[bytes] | None) -> None:
        if stream is not None:
            async for block in stream:
                self._append(block)

    def _append(self, block: bytes) -> None:
        if self._watch_for:
            joined = self._seam + block
            self.has_text = self.has_text or self._watch_for in joined
            self._seam = joined[max(0, len(joined) - len(self._watch_for) + 1) :]
        self.truncated = self.truncated or len(self.kept) + len(block) > self._max_bytes
        self.kept += block
        del self.kept[: -self._max_bytes if self._end else 0]
        del self.kept[self._max_bytes :]


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
