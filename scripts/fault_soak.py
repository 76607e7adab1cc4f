"""Push and pull through every fault of s3sim, and show the outcomes.

    python scripts/fault_soak.py [--s3sim PATH] [--seeds 10] [--probability 0.05] [--stall 0.5] [--only NAME ...]

First each fault at a probability at which retries succeed: 500 small and 4 large objects, pushed and pulled once for
each seed, must arrive with the right bytes. Then each fault at every request: the transfer must fail soon and name the
cause. Exits with 1 if an outcome is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from s3sim import Server, add_option, binary_of, leading_to, running

import snapdir
from snapdir.config import Config
from snapdir.errors import SnapdirError
from snapdir.stores.settings import StoreSettings

STORE = "s3://soak/in/here"
MIB = 1 << 20
HEAD_BYTES = 2048
"""Request heads are shorter; anything beyond in the same piece is the body."""


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        options: Options of s3sim; ``P`` stands for the probability.
        counted: The name of its count in s3sim.
        hits: The verbs it affects.
        cause: Text of the error if it never passes; alternatives separated by ``|``.
        bodies_flipped: Whether bodies of PUT are damaged in transit.
    """

    name: str
    options: tuple[str, ...]
    counted: str
    hits: tuple[str, ...] = ("push", "pull")
    cause: str = ""
    bodies_flipped: bool = False


FAULTS = [
    Fault("503", ("--p503", "P"), "FAULT_503", cause="SlowDown"),
    Fault("reset", ("--preset", "P"), "FAULT_RESET", cause="connection was lost"),
    Fault("truncation", ("--ptrunc", "P"), "FAULT_TRUNC", ("pull",), cause="lost within the response"),
    Fault("corruption", ("--pcorrupt", "P"), "FAULT_CORRUPT", ("pull",), cause="damaged|hash mismatch|parse"),
    Fault("stall", ("--pstall", "P"), "FAULT_STALL", cause="no answer within"),
    Fault("complete200", ("--pcomplete200", "P"), "FAULT_COMPLETE200", ("push",), cause="InternalError"),
    Fault("throttling", ("--rps", "400"), "THROTTLE_503", cause="SlowDown"),
    Fault("checksum", ("--verify",), "BAD_DIGEST", ("push",), cause="BadDigest", bodies_flipped=True),
]


@dataclass
class Outcome:
    """The outcome of one fault over all seeds."""

    fault: Fault
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"push": [], "pull": []})
    met: int = 0
    wrong: list[str] = field(default_factory=list)


class Soak:
    """The tree, settings and folders of one run."""

    def __init__(self, binary: str, folder: Path, options: argparse.Namespace) -> None:
        self.binary = binary
        self.tree = folder / "tree"
        self.out = folder / "out"
        self.cache = folder / "cache"
        self.probability: float = options.probability
        self.bound_seconds: float = options.bound
        self.stores = StoreSettings(
            connect_timeout_seconds=max(options.stall, 1.0),
            first_byte_timeout_seconds=options.stall,
            stall_timeout_seconds=options.stall,
        )
        self.id = ""

    def make_tree(self, small: int, large: int, large_mib: int) -> None:
        made = random.Random(7)
        (self.tree / "large").mkdir(parents=True)
        for number in range(small):
            folder = self.tree / f"{number % 20:02}"
            folder.mkdir(exist_ok=True)
            (folder / f"{number}.bin").write_bytes(made.randbytes(made.randint(4096, 28 * 1024)))
        for number in range(large):
            (self.tree / "large" / f"{number}.bin").write_bytes(made.randbytes(large_mib * MIB))

    async def push(self) -> str:
        return await snapdir.push(self.tree, STORE, config=self._config())

    async def pull(self) -> str:
        """Pull, and return the id of the result."""
        shutil.rmtree(self.out, ignore_errors=True)
        await snapdir.pull(self.id, STORE, self.out, config=self._config())
        return await snapdir.id(self.out)

    def _config(self) -> Config:
        shutil.rmtree(self.cache, ignore_errors=True)
        return Config(cache_dir=self.cache, stores=self.stores)

    @asynccontextmanager
    async def served(self, fault: Fault, probability: float, seed: int) -> AsyncIterator[Server]:
        options = [str(probability) if option == "P" else option for option in fault.options]
        flips = random.Random(seed)
        with running(self.binary, *options, "--seed", str(seed * 7919 + 1)) as server:
            if not fault.bodies_flipped:
                os.environ.update(leading_to(server.endpoint))
                yield server
                return
            async with damaging(server.port, lambda: flips.random() < probability) as port:
                os.environ.update(leading_to(f"http://127.0.0.1:{port}"))
                yield server

    async def passing(self, fault: Fault, seeds: int) -> Outcome:
        outcome = Outcome(fault)
        for seed in range(seeds):
            async with self.served(fault, self.probability, seed) as server:
                for verb, run in (("push", self.push), ("pull", self.pull)):
                    began = time.monotonic()
                    try:
                        async with asyncio.timeout(self.bound_seconds):
                            found = await run()
                        if found != self.id:
                            outcome.wrong.append(f"seed {seed}: {verb}: another id: {found}")
                    except (SnapdirError, TimeoutError) as error:
                        outcome.wrong.append(f"seed {seed}: {verb}: {error!r}: {str(error)[:300]}")
                        if verb == "push":
                            break
                    outcome.seconds[verb].append(time.monotonic() - began)
                outcome.met += server.counts().get(fault.counted, 0)
        return outcome

    async def lasting(self, fault: Fault, verb: str) -> tuple[float, str, bool]:
        """Seconds, the error, and whether it names the cause."""
        options = Fault(fault.name, ("--rps", "1"), "") if fault.name == "throttling" else fault
        async with self.served(options, 1.0, 1):
            if verb == "pull" and "push" not in fault.hits:
                await self.push()
            return await self._failure(fault, verb)

    async def frozen(self, verb: str) -> tuple[float, str, bool]:
        """The server stops responding in mid-transfer."""
        fault = Fault("frozen", ("--mbps", "5"), "", cause="no answer within|nothing moved|cannot connect")
        async with self.served(fault, 0.0, 1) as server:
            if verb == "pull":
                await self.push()
            asyncio.get_running_loop().call_later(0.7, server.process.send_signal, signal.SIGSTOP)
            return await self._failure(fault, verb)

    async def _failure(self, fault: Fault, verb: str) -> tuple[float, str, bool]:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.bound_seconds):
                await (self.push() if verb == "push" else self.pull())
        except SnapdirError as error:
            message = str(error)
            right = any(cause in message for cause in fault.cause.split("|"))
        except TimeoutError:
            message, right = "still running", False
        else:
            message, right = "it succeeded", False
        return time.monotonic() - began, message, right


@asynccontextmanager
async def damaging(server_port: int, is_time: Callable[[], bool]) -> AsyncIterator[int]:
    """A port that forwards to the server and flips a bit in some bodies."""
    tasks: set[asyncio.Task[object]] = set()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, damage: bool) -> None:
        due = False
        try:
            while data := await reader.read(1 << 18):
                if damage and data.startswith(b"PUT "):
                    due = is_time()
                    whole = len(data) > HEAD_BYTES
                else:
                    whole = True
                if due and whole:
                    data = data[:-1] + bytes([data[-1] ^ 1])
                    due = False
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", server_port)
        await asyncio.gather(forward(reader, there[1], damage=True), forward(there[0], writer, damage=False))

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task: asyncio.Task[object] = asyncio.ensure_future(accept(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def soak(work: Soak, faults: list[Fault], seeds: int) -> bool:
    work.id = await snapdir.id(work.tree)
    good = True
    print(f"| fault at {work.probability:.0%} | met | push s (median, most) | pull s (median, most) | right |")
    print("|---|---:|---:|---:|---:|")
    for fault in faults:
        outcome = await work.passing(fault, seeds)
        times = [
            f"{statistics.median(taken):.2f}, {max(taken):.2f}" if taken else "-" for taken in outcome.seconds.values()
        ]
        count = len(outcome.wrong)
        print(f"| {fault.name} | {outcome.met} | {times[0]} | {times[1]} | {seeds - count} of {seeds} |", flush=True)
        for line in outcome.wrong:
            print(f"  {line}", flush=True)
        good = good and not count
    print("\n| fault at every request | verb | s | its cause is named | the error |\n|---|---|---:|---|---|")
    for fault in faults:
        for verb in fault.hits:
            good &= show(fault.name, verb, await work.lasting(fault, verb))
    for verb in ("push", "pull"):
        good &= show("frozen midway", verb, await work.frozen(verb))
    return good


def show(name: str, verb: str, found: tuple[float, str, bool]) -> bool:
    seconds, message, right = found
    print(f"| {name} | {verb} | {seconds:.1f} | {'yes' if right else 'NO'} | {message[:220]} |", flush=True)
    return right


def main() -> int:
    parser = argparse.ArgumentParser(description="Push and pull through every fault of s3sim.")
    add_option(parser)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--probability", type=float, default=0.05)
    parser.add_argument("--stall", type=float, default=0.5, metavar="SECONDS", help="the stall timeout")
    parser.add_argument("--bound", type=float, default=60.0, metavar="SECONDS", help="limit for one push or pull")
    parser.add_argument("--small", type=int, default=500)
    parser.add_argument("--large", type=int, default=4)
    parser.add_argument("--large-mib", type=int, default=20)
    parser.add_argument("--only", nargs="*", choices=[fault.name for fault in FAULTS])
    options = parser.parse_args()
    faults = [fault for fault in FAULTS if not options.only or fault.name in options.only]
    with tempfile.TemporaryDirectory(prefix="snapdir-soak.") as folder:
        work = Soak(binary_of(options.s3sim, Path(folder)), Path(folder), options)
        work.make_tree(options.small, options.large, options.large_mib)
        began = time.monotonic()
        good = asyncio.run(soak(work, faults, options.seeds))
        print(f"\n{time.monotonic() - began:.0f} s in all: {'all right' if good else 'some outcomes are WRONG'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
