"""Many writers change one name at once, over an S3 with faults: is every acknowledged change in the history, once?

    python scripts/name_soak.py [--s3sim PATH] [--writers 100] [--rounds 50] [--probability 0.02] [--processes 4]

Each round of a writer reads the name and moves it to the next of a circle of snapshots, with ``expect``, until it is
acknowledged: a counter without a lock. s3sim refuses requests (503) and closes connections before it responds; a
forwarder in front of it drops responses to writes that were carried out. At the end, the history must have each
acknowledged change exactly once, without gaps, and the counter must have their number. Exits with 1 otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from s3sim import add_option, binary_of, leading_to, running

import snapdir
from snapdir.config import Config
from snapdir.errors import StoreError

STORE = "s3://soak/names"
NAME = "counter"
CIRCLE = 7
LONGEST_WAIT_SECONDS = 2.0


async def write(snapshots: Sequence[str], cache: Path, *, writers: int, rounds: int) -> None:
    """Be some of the writers. Prints a line of JSON for each acknowledged change, and one for each unknown outcome."""
    config = Config(cache_dir=cache)

    async def one() -> None:
        for _ in range(rounds):
            for lost in range(1 << 30):
                try:
                    current = await snapdir.resolve_id(NAME, STORE, config=config)
                    following = snapshots[(snapshots.index(current) + 1) % len(snapshots)]
                    tag = await snapdir.tag(NAME, following, STORE, expect=current, config=config)
                except snapdir.NameChanged:
                    await asyncio.sleep(random.random() * min(LONGEST_WAIT_SECONDS, 0.05 * 2 ** min(lost, 10)))
                except StoreError as error:  # after all retries
                    print(json.dumps({"unknown": str(error)}), flush=True)
                else:
                    print(json.dumps({"sequence": tag.sequence, "token": tag.token, "lost": lost}), flush=True)
                    break

    async with asyncio.TaskGroup() as group:
        for _ in range(writers):
            group.create_task(one())


async def soak(folder: Path, options: argparse.Namespace) -> bool:
    snapshots = []
    config = Config(cache_dir=folder / "cache")
    for number in range(CIRCLE):
        tree = folder / f"tree-{number}"
        tree.mkdir()
        (tree / "number").write_text(str(number))
        snapshots.append(await snapdir.push(tree, STORE, config=config))
    await snapdir.tag(NAME, snapshots[0], STORE, config=config)
    began = time.monotonic()
    shares = [
        options.writers // options.processes + (n < options.writers % options.processes)
        for n in range(options.processes)
    ]
    printed = await asyncio.gather(*(in_process(share, snapshots, folder, options) for share in shares if share))
    seconds = time.monotonic() - began
    lines = [json.loads(line) for text in printed for line in text.splitlines()]
    acknowledged = [line for line in lines if "token" in line]
    unknown = [line for line in lines if "unknown" in line]
    history = await snapdir.tag_log(NAME, STORE, config=config)
    lost = sum(line["lost"] for line in acknowledged)
    print(
        f"{options.writers} writers x {options.rounds} rounds: {len(acknowledged):,} changes acknowledged in"
        f" {seconds:.0f} s, {lost:,} lost races, {len(unknown)} of unknown outcome, {len(history) - 1:,} in the history"
    )
    checks = judged(snapshots, [(line["sequence"], line["token"]) for line in acknowledged], len(unknown), history)
    checks["every writer ended"] = len(acknowledged) == options.writers * options.rounds
    for check, is_right in checks.items():
        print(f"  {'yes' if is_right else 'NO '}  {check}")
    return all(checks.values())


async def in_process(share: int, snapshots: Sequence[str], folder: Path, options: argparse.Namespace) -> str:
    command = (sys.executable, __file__, "--as-writers", str(share), "--rounds", str(options.rounds), *snapshots)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env={**os.environ, "SNAPDIR_CACHE_DIR": str(folder / "cache")}
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"a process of writers ended with {process.returncode}")
    return out.decode()


def judged(
    snapshots: Sequence[str], acknowledged: Sequence[tuple[int, str]], unknown: int, history: Sequence[snapdir.Tag]
) -> dict[str, bool]:
    """What must be true."""
    of_sequence = {tag.sequence: tag for tag in history}
    return {
        "every acknowledged change is in the history": {*acknowledged}
        <= {(tag.sequence, tag.token) for tag in history},
        "none is acknowledged twice": len({*acknowledged}) == len(acknowledged),
        "the history has no gap": sorted(of_sequence) == list(range(1, len(history) + 1)),
        "nothing else is in it": 0 <= len(history) - 1 - len(acknowledged) <= unknown,
        "each change follows the one before": all(
            tag.previous == of_sequence[tag.sequence - 1].id and tag.id == snapshots[(tag.sequence - 1) % CIRCLE]
            for tag in history
            if tag.sequence > 1
        ),
    }


@asynccontextmanager
async def dropping(server_port: int, probability: float) -> AsyncIterator[tuple[int, list[int]]]:
    """A port that forwards to the server, and drops the responses to some PUTs; with a count of them."""
    drawn, dropped = random.Random(1), [0]
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", server_port)
        drops = [False]

        async def there_way() -> None:
            while data := await reader.read(1 << 16):
                if data.startswith((b"PUT ", b"GET ", b"HEAD ")):
                    drops[0] = data.startswith(b"PUT ") and drawn.random() < probability
                there[1].write(data)
                await there[1].drain()

        async def back_way() -> None:
            while data := await there[0].read(1 << 16):
                if drops[0]:
                    dropped[0] += 1
                    return
                writer.write(data)
                await writer.drain()

        ways = [asyncio.ensure_future(there_way()), asyncio.ensure_future(back_way())]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        there[1].close()
        writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1], dropped
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def main(options: argparse.Namespace) -> bool:
    with tempfile.TemporaryDirectory(prefix="snapdir-names.") as scratch:
        folder, p = Path(scratch), str(options.probability)
        with running(binary_of(options.s3sim, folder), "--p503", p, "--preset", p) as server:
            async with dropping(server.port, options.probability) as (port, dropped):
                os.environ.update(leading_to(f"http://127.0.0.1:{port}"))
                right = await soak(folder, options)
            met = server.counts()
    refused, reset = met.get("FAULT_503", 0), met.get("FAULT_RESET", 0)
    print(f"  faults: {refused:,} refusals, {reset:,} closed connections, {dropped[0]:,} responses to writes dropped")
    return right


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Many writers change one name at once.")
    add_option(parser)
    parser.add_argument("--writers", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--probability", type=float, default=0.02, help="of each fault, for each request")
    parser.add_argument("--as-writers", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("snapshots", nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.as_writers:
        cache = Path(os.environ["SNAPDIR_CACHE_DIR"])
        asyncio.run(write(given.snapshots, cache, writers=given.as_writers, rounds=given.rounds))
    else:
        sys.exit(0 if asyncio.run(main(given)) else 1)
