"""s3sim, the measuring server of the benchmarks, with its faults: built with rustc, or a given binary."""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["Server", "add_option", "binary_of", "free_port", "leading_to", "running"]

START_SECONDS = 10
SOURCES = Path(__file__).resolve().parent.parent.parent / "shared" / "s3sim"


class Server:
    """A running s3sim."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.process = process
        self.endpoint = f"http://127.0.0.1:{port}"

    def counts(self, *, reset: bool = False) -> dict[str, int]:
        """The number of requests of each kind and of each fault."""
        with urllib.request.urlopen(f"{self.endpoint}/__{'reset' if reset else 'stats'}", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return {name: int(count) for name, count, _ in (line.split() for line in lines)}


def add_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--s3sim", metavar="PATH", help="the server's binary (default: built from ../shared/s3sim)")


def binary_of(given: str | None, folder: Path) -> str:
    """The given binary, or one built into ``folder``."""
    if given:
        return given
    if not shutil.which("rustc") or not (SOURCES / "build.sh").is_file():
        raise SystemExit("s3sim cannot be built (rustc or ../shared/s3sim is missing): name a binary with --s3sim PATH")
    built = str(folder / "s3sim")
    subprocess.run(["bash", str(SOURCES / "build.sh"), built], check=True, stdout=subprocess.DEVNULL)
    return built


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(binary: str, *options: str) -> Iterator[Server]:
    """Run an empty server."""
    port = free_port()
    command = [binary, "--port", str(port), *options]
    # In its own session: Ctrl-C ends the client first, which may need the server to clean up.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        server = Server(port, process)
        deadline = time.monotonic() + START_SECONDS
        while True:
            with suppress(OSError):
                server.counts(reset=True)
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{binary} did not start")
            time.sleep(0.01)
        yield server
    finally:
        process.kill()
        process.wait()


def leading_to(endpoint: str) -> dict[str, str]:
    """The environment for a client of ``endpoint``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SNAPDIR_"))}
    return kept | {
        "AWS_ACCESS_KEY_ID": "soak",
        "AWS_SECRET_ACCESS_KEY": "soak-secret",
        "AWS_REGION": "us-east-1",
        "SNAPDIR_S3_STORE_ENDPOINT_URL": endpoint,
    }
