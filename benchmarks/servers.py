"""The server that is measured against: s3sim where it can be built, else rclone; or one that runs already."""

from __future__ import annotations

import importlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.places import cache_folder, shared_folder
from benchmarks.scenarios import Profile
from benchmarks.server_stats import Traffic, parse_stats
from benchmarks.tls_proxy import tls_proxy

__all__ = ["BUCKET", "Server", "Unavailable", "free_port", "open_server"]

BUCKET = "bench"
# Without remembered directories a snapshot's layout costs rclone 0.1 s an object, and it hashes a whole file for the
# ETag of every answer, range or not.
_RCLONE_OPTIONS = ("--dir-cache-time", "1h", "--etag-hash", "")
_START_SECONDS = 20.0
_STOP_SECONDS = 10.0


class Unavailable(Exception):
    """A profile cannot be had here; it is left out."""


@dataclass(slots=True)
class Server:
    """A running S3 endpoint.

    Attributes:
        endpoint: For clients.
        about: What it is, for the record.
        control: Where /__stats is; empty if the server does not count.
        environment: Credentials for it, and trust.
        folder: What it serves, if that is a folder.
    """

    endpoint: str
    about: str
    control: str = ""
    bucket: str = BUCKET
    environment: dict[str, str] = field(default_factory=dict)
    ca_file: str = ""
    folder: Path | None = None

    def reset(self) -> None:
        """Count from zero."""
        if self.control:
            _ask(f"{self.control}/__reset")

    def traffic(self) -> Traffic:
        """What was counted since."""
        return parse_stats(_ask(f"{self.control}/__stats")) if self.control else Traffic()

    def wipe(self) -> None:
        """Drop every object, where that can be done."""
        if self.control:
            _ask(f"{self.control}/__wipe")
        elif self.folder is not None:
            # The two upper levels stay: the server remembers directories that it has seen.
            for entry in (self.folder / self.bucket).glob("*/*"):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


@contextmanager
def open_server(profile: Profile, work: Path, *, endpoint: str = "", bucket: str = BUCKET) -> Iterator[Server]:
    """A server for one profile, stopped at the end; one at ``endpoint`` is used as it is.

    Raises:
        Unavailable: a part of the profile is not installed.
    """
    if endpoint:
        counts = _counts(endpoint)
        about = f"{'s3sim' if counts else 'an S3 service'} that was running already"
        yield Server(endpoint, about, endpoint if counts else "", bucket)
        return
    with ExitStack() as stack:
        server = stack.enter_context(_s3sim(profile) if _can_build() else _rclone(profile, work))
        if profile.tls:
            try:
                proxy = stack.enter_context(tls_proxy(urlsplit(server.endpoint).netloc, work / "tls", free_port()))
            except FileNotFoundError as error:
                raise Unavailable(f"profile {profile.name} is left out: {error}") from error
            server.endpoint, server.ca_file = proxy.endpoint, str(proxy.ca_file)
            server.about += f" behind {proxy.about}"
            server.environment |= {"AWS_CA_BUNDLE": server.ca_file, "SSL_CERT_FILE": server.ca_file}
        yield server


def free_port() -> int:
    """A free port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _can_build() -> bool:
    return bool(shutil.which("rustc")) and (shared_folder() / "s3sim" / "build.sh").is_file()


@contextmanager
def _s3sim(profile: Profile) -> Iterator[Server]:
    port = free_port()
    options = ("--latency-ms", str(profile.latency_ms), "--mbps", str(profile.mbps))
    process = subprocess.Popen([_build(), "--port", str(port), *options], stdin=subprocess.DEVNULL)
    try:
        control = f"http://127.0.0.1:{port}"
        _wait_for(f"{control}/__stats", process)
        about = "s3sim" + "".join(f" {text}" for text in options if profile.latency_ms)
        keys = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench-secret"}
        yield Server(control, about, control, environment=keys)
    finally:
        _stop(process)


def _build() -> str:
    """The binary, built when its source has changed."""
    folder = shared_folder() / "s3sim"
    source = (folder / "s3sim.rs").read_bytes() + (folder / "build.sh").read_bytes()
    binary = cache_folder() / f"s3sim-{sha256(source).hexdigest()[:12]}"
    if not binary.is_file():
        print("building s3sim", file=sys.stderr, flush=True)
        making = binary.with_suffix(".making")
        subprocess.run(["bash", str(folder / "build.sh"), str(making)], check=True, stdout=subprocess.DEVNULL)
        making.rename(binary)
    return str(binary)


@contextmanager
def _rclone(profile: Profile, work: Path) -> Iterator[Server]:
    if profile.latency_ms:
        raise Unavailable(
            f"profile {profile.name} is left out: only s3sim has a latency; it needs rustc and its source"
        )
    # Not an import statement: mypy would see the file under two names, scripts being no package.
    served: Any = importlib.import_module("scripts.serve_s3")
    folder = work / "served"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        running = served.RcloneServer(folder, bucket=BUCKET, arguments=_RCLONE_OPTIONS)
        with running:
            keys = {name: value for name, value in running.environment.items() if name.startswith("AWS_")}
            yield Server(running.endpoint, "rclone serve s3", environment=keys, folder=folder)
    except FileNotFoundError as error:
        raise Unavailable(f"no server: s3sim cannot be built, and {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            _ask(url)
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError("the server did not start")


def _counts(endpoint: str) -> bool:
    try:
        parse_stats(_ask(f"{endpoint}/__stats"))
    except (OSError, ValueError):
        return False
    return True


def _ask(url: str) -> str:
    # Without a proxy, whatever the environment says: the address is on this host, or the user's own.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=_START_SECONDS) as answer:
        text: str = answer.read().decode()
        return text
