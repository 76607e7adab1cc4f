"""CPU of the S3 transport: µs for each small request, seconds for each GiB of large bodies.

    python benchmarks/micro/bench_wire.py http://127.0.0.1:9100/bucket [--loop asyncio] [--connections 64]

The server may be any S3 service; the bucket must exist and will be written to. CPU is user + system time of this
process, including signing; each figure is the best of ``--rounds``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import uvloop

from snapdir.stores.base import FileRange
from snapdir.stores.s3.http.pool import Pool
from snapdir.stores.s3.http.tls import trusted_context
from snapdir.stores.s3.signing import Credentials, Signer, encode_path

MIB = 1 << 20
PART_BYTES = 8 * MIB
LARGE_BYTES = 1 << 30


class Bench:
    """The requests to one endpoint."""

    def __init__(self, options: argparse.Namespace) -> None:
        url = urlsplit(options.url)
        context = trusted_context() if url.scheme == "https" else None
        port = url.port or (443 if context else 80)
        self.options = options
        self.bucket = url.path.rstrip("/")
        self.pool = Pool(url.hostname or "", port, ssl_context=context, max_connections=options.connections)
        self.signer = Signer(Credentials(options.access_key, options.secret_key), options.region)
        self.small = os.urandom(options.size)
        self.workers = options.connections

    async def request(self, method: bytes, key: str, **options: object) -> None:
        path = encode_path(f"{self.bucket}/{key}")
        headers = self.signer.sign(method, path, host=self.pool.host_header)
        response = await self.pool.request(method, path, headers, **options)  # type: ignore[arg-type]
        if response.status != 200:
            raise SystemExit(f"{method.decode()} {key}: {response.status} {response.body[:200]!r}")

    async def small_requests(self, method: bytes) -> None:
        async def work(worker: int) -> None:
            buffer = memoryview(bytearray(len(self.small)))
            for number in range(self.options.count // self.workers):
                key = f"small/{worker}-{number % 16}"
                if method == b"PUT":
                    await self.request(method, key, body=self.small)
                elif method == b"GET":
                    await self.request(method, key, into=buffer)
                else:
                    await self.request(method, key)

        await asyncio.gather(*[work(worker) for worker in range(self.workers)])

    async def large_bodies(self, transfer: Callable[[int, int], Awaitable[None]], streams: int = 16) -> None:
        async def work(worker: int) -> None:
            for part in range(worker, LARGE_BYTES // PART_BYTES, streams):
                await transfer(worker, part)

        await asyncio.gather(*[work(worker) for worker in range(streams)])


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def measure(name: str, unit: str, scale: float, rounds: int, run: Callable[[], Awaitable[None]]) -> None:
    """Print the best of ``rounds``."""
    best = []
    for _ in range(rounds):
        cpu_before, before = cpu(), time.perf_counter()
        await run()
        best.append((cpu() - cpu_before, time.perf_counter() - before))
    seconds, wall = min(best)
    print(f"{name:28} {seconds * scale:8.2f} {unit} CPU   {wall * scale:8.2f} {unit} wall", flush=True)


async def main(options: argparse.Namespace) -> None:
    bench = Bench(options)
    per_request = 1e6 / (options.count // bench.workers * bench.workers)
    async with bench.pool:
        for method in (b"PUT", b"HEAD", b"GET"):
            name = f"{method.decode()} {'' if method == b'HEAD' else f'{options.size} bytes'}"
            await measure(name, "µs", per_request, options.rounds, lambda m=method: bench.small_requests(m))  # type: ignore[misc]
        if not options.small_only:
            await measure_large(bench, options.rounds)
    print(f"{bench.pool.opened} connections, {bench.pool.repeated} repeated, loop {options.loop}")


async def measure_large(bench: Bench, rounds: int) -> None:
    memory = memoryview(os.urandom(PART_BYTES))
    buffers = [memoryview(bytearray(PART_BYTES)) for _ in range(16)]
    with tempfile.TemporaryFile(dir=bench.options.folder) as file:
        for _ in range(LARGE_BYTES // PART_BYTES):
            file.write(memory)
        file.flush()
        os.fsync(file.fileno())

        async def put_file(worker: int, part: int) -> None:
            await bench.request(b"PUT", f"large/{worker}", body=FileRange(file.fileno(), part * PART_BYTES, PART_BYTES))

        async def put_memory(worker: int, _: int) -> None:
            await bench.request(b"PUT", f"large/{worker}", body=memory)

        async def get(worker: int, _: int) -> None:
            await bench.request(b"GET", f"large/{worker}", into=buffers[worker])

        for name, one in (("PUT file ranges", put_file), ("PUT from memory", put_memory), ("GET into buffers", get)):
            await measure(f"{name}, 8 MiB", "s/GiB", 1.0, rounds, lambda one=one: bench.large_bodies(one))  # type: ignore[misc]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="http(s)://host:port/bucket")
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--count", type=int, default=20_000, help="small requests of each kind")
    parser.add_argument("--size", type=int, default=16 << 10, help="bytes of a small object")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small-only", action="store_true")
    parser.add_argument("--folder", help="folder for the file to send")
    parser.add_argument("--access-key", default="bench")
    parser.add_argument("--secret-key", default="bench-secret")
    parser.add_argument("--region", default="us-east-1")
    return parser.parse_args()


if __name__ == "__main__":
    arguments = parse()
    (uvloop.run if arguments.loop == "uvloop" else asyncio.run)(main(arguments))
    sys.exit(0)
