"""A program that was run leaves its result and nothing else: no process, no memory, no wait."""

from __future__ import annotations

import os
import select
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from snapdir.model.sizes import MIB
from snapdir.stores.programs import KEPT_BYTES, Finished, run_program


def shell(script: str) -> list[str]:
    return ["bash", "-c", script]


async def test_it_returns_the_result_the_end_of_stderr_and_the_code() -> None:
    done = await run_program(shell("cat; echo words >&2; exit 3"), stdin=b"given", max_result_bytes=100)
    assert done == Finished(3, b"given", b"words\n", truncated=False, has_text=False)


async def test_output_beyond_the_limit_is_dropped() -> None:
    many = "head -c 3000000 /dev/zero"
    done = await run_program(shell(f"{many}; {many} >&2; echo end >&2"), max_result_bytes=1000)
    assert (len(done.result), done.truncated) == (1000, True)
    assert (len(done.errors), done.errors[-5:]) == (KEPT_BYTES, b"\0end\n")


async def test_a_program_may_ignore_its_input() -> None:
    done = await run_program(shell("echo done"), stdin=bytes(4 * MIB), max_result_bytes=100)
    assert (done.code, done.result) == (0, b"done\n")


@pytest.mark.parametrize("stream", ["1", "2"])
async def test_a_text_is_found_wherever_it_is(stream: str) -> None:
    script = f"exec >&{stream}; printf {'x' * 70_000}ERR; head -c 100000 /dev/zero; printf ERR; printf OR:; printf y"
    done = await run_program(shell(script), max_result_bytes=10, watch_for=b"ERROR:")
    assert done.has_text
    assert not (await run_program(shell("printf ERR; printf OR"), max_result_bytes=10, watch_for=b"ERROR:")).has_text


async def test_a_program_that_is_not_there_is_an_error_of_the_system() -> None:
    with pytest.raises(FileNotFoundError):
        await run_program(["no-such-program"], max_result_bytes=1)


@pytest.mark.parametrize("turns", range(12))
async def test_a_program_that_is_cancelled_while_it_starts_leaves_nothing_running(turns: int) -> None:
    reading, writing = os.pipe()

    async def run() -> None:
        await run_program(shell("sleep 600 & wait"), max_result_bytes=1, pass_fds=[writing])

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        for _ in range(turns):
            await checkpoint()
        group.cancel_scope.cancel()
    os.close(writing)
    ended, _, _ = select.select([reading], [], [], 60)  # ends once no process has the other end open
    os.close(reading)
    assert ended


async def test_cancellation_ends_the_whole_group(tmp_path: Path) -> None:
    told = tmp_path / "told"
    os.mkfifo(told)

    async def run() -> None:
        await run_program(shell(f"sleep 600 & echo $! > {told}; wait"), max_result_bytes=1)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        sleeper = os.pidfd_open(int(await anyio.Path(told).read_text()))
        group.cancel_scope.cancel()
    ended, _, _ = select.select([sleeper], [], [], 60)
    os.close(sleeper)
    assert ended
