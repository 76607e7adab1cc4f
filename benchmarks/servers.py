"""The server of a session: s3sim if it can be built, else rclone; or a running one."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
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

__all__ = ["BUCKET", "Server", "Unavailable", "open_server"]

BUCKET = "bench"
# Without cached directories, the layout of a snapshot costs rclone 0.1 s per object. Without --etag-hash it hashes the
# whole file for every response.
_RCLONE_OPTIONS = ("--dir-cache-time", "1h", "--etag-hash", "")
_TIMEOUT_SECONDS = 20.0
_KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench-secret"}


class Unavailable(Exception):
    """This machine lacks something that a profile needs."""


@dataclass(slots=True)
class Server:
    """A running S3 endpoint.

    Attributes:
        endpoint: The URL for clients.
        about: Name and version, for the record.
        control: The URL of /__stats; empty if the server does not count.
        environment: Credentials, and the authority to trust.
        folder: The folder it serves, if any.
    """

    endpoint: str
    about: str
    control: str = ""
    bucket: str = BUCKET
    environment: dict[str, str] = field(default_factory=dict)
    ca_file: str = ""
    folder: Path | None = None

    def reset(self) -> None:
        """Set the counts to zero."""
        if self.control:
            _get(f"{self.control}/__reset")

    def traffic(self) -> Traffic:
        """The counts since the last reset."""
        return parse_stats(_get(f"{self.control}/__stats")) if self.control else Traffic()

    def wipe(self) -> None:
        """Remove every object, if the server allows it."""
        if self.control:
            _get(f"{self.control}/__wipe")
        elif self.folder is not None:
            # The two upper levels stay, because the server caches directories.
            for entry in (self.folder / self.bucket).glob("*/*"):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


@contextmanager
def open_server(profile: Profile, work: Path, *, endpoint: str = "", bucket: str = BUCKET) -> Iterator[Server]:
    """Run a server for a profile, or use the one at ``endpoint``.

    Raises:
        Unavailable: something that the profile needs is not installed.
    """
    if endpoint:
        counts = _counts(endpoint)
        about = f"{'s3sim' if counts else 'an S3 service'} that was already running"
        yield Server(endpoint, about, endpoint if counts else "", bucket)
        return
    with ExitStack() as stack:
        server = stack.enter_context(_s3sim(profile) if _can_build() else _rclone(profile, work))
        if profile.tls:
            try:
                port = _script("s3sim").free_port()
                proxy = stack.enter_context(tls_proxy(urlsplit(server.endpoint).netloc, work / "tls", port))
            except FileNotFoundError as error:
                raise Unavailable(f"profile {profile.name} is left out: {error}") from error
            server.endpoint, server.ca_file = proxy.endpoint, str(proxy.ca_file)
            server.about += f" behind {proxy.about}"
            server.environment |= {"AWS_CA_BUNDLE": server.ca_file, "SSL_CERT_FILE": server.ca_file}
        yield server


def _script(name: str) -> Any:
    # Not an import statement: scripts is not a package, so mypy would see the file under two names.
    return importlib.import_module(f"scripts.{name}")


def _can_build() -> bool:
    return bool(shutil.which("rustc")) and (shared_folder() / "s3sim" / "build.sh").is_file()


@contextmanager
def _s3sim(profile: Profile) -> Iterator[Server]:
    options = ("--latency-ms", str(profile.latency_ms), "--mbps", str(profile.mbps))
    with _script("s3sim").running(_build(), *options) as simulator:
        about = "s3sim" + "".join(f" {text}" for text in options if profile.latency_ms)
        yield Server(simulator.endpoint, about, simulator.endpoint, environment=dict(_KEYS))


def _build() -> str:
    """The binary, built again if its source has changed."""
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
            f"profile {profile.name} is left out: only s3sim can delay responses; it needs rustc and its source"
        )
    folder = work / "served"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        running = _script("serve_s3").RcloneServer(folder, bucket=BUCKET, arguments=_RCLONE_OPTIONS)
        with running:
            keys = {name: value for name, value in running.environment.items() if name.startswith("AWS_")}
            yield Server(running.endpoint, "rclone serve s3", environment=keys, folder=folder)
    except FileNotFoundError as error:
        raise Unavailable(f"no server: s3sim cannot be built, and {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _counts(endpoint: str) -> bool:
    try:
        parse_stats(_get(f"{endpoint}/__stats"))
    except (OSError, ValueError):
        return False
    return True


def _get(url: str) -> str:
    # Without a proxy, whatever the environment says.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=_TIMEOUT_SECONDS) as response:
        text: str = response.read().decode()
        return text
