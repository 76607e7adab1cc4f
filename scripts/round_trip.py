"""The operations of ``scripts/servers`` on each server, with snapdir's command line in separate processes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from counted_line import CountedLine

__all__ = ["OPERATIONS", "Failed", "Trip"]

MIB = 1 << 20
LARGE_BYTES = 70 * MIB
HALT_BYTES = 40 * MIB
UNSENT_BYTES = 1 * MIB
"""More than the requests of a push without new content."""
PATIENCE_SECONDS = 600
ODD_PREFIXES = ("two words & quote's", "ünï/日本", "a+b~(1)=", "100%/%2F/a%20b")


class Failed(Exception):
    """An operation had a wrong result."""


@dataclass
class Trip:
    """One server, a tree, and several machines, each with its own home and cache.

    Attributes:
        small: The number of small files in the tree, besides one of 70 MiB.
        id: The snapshot of the tree.
    """

    folder: Path
    line: CountedLine
    bucket: str
    keys: tuple[str, str]
    small: int = 300
    id: str = ""

    @property
    def store(self) -> str:
        return f"s3://{self.bucket}/sets"

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    def start(self, machine: str, *arguments: str) -> subprocess.Popen[str]:
        home = self.folder / machine
        home.mkdir(exist_ok=True)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "AWS_ACCESS_KEY_ID": self.keys[0],
            "AWS_SECRET_ACCESS_KEY": self.keys[1],
            "AWS_REGION": "us-east-1",
            "SNAPDIR_S3_STORE_ENDPOINT_URL": self.line.endpoint,
        }
        command = [sys.executable, "-m", "snapdir", *arguments]
        return subprocess.Popen(
            command,
            env=environment,
            cwd=home,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, machine: str, *arguments: str) -> str:
        """The output of a command. Raises Failed if it fails."""
        process = self.start(machine, *arguments)
        try:
            out, errors = process.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise Failed(f"{arguments[0]} did not end within {PATIENCE_SECONDS} s") from None
        if process.returncode:
            raise Failed(errors.strip().splitlines()[-1] if errors.strip() else f"exit code {process.returncode}")
        return out.strip()

    def make_trees(self) -> None:
        numbers = random.Random(7)
        for number in range(self.small):
            file = self.tree / f"folder-{number % 7}" / f"file {number}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(numbers.randbytes(number * 37))
        (self.tree / "large").write_bytes(numbers.randbytes(LARGE_BYTES))
        (self.folder / "killed").mkdir()
        (self.folder / "killed" / "large").write_bytes(numbers.randbytes(LARGE_BYTES))
        (self.folder / "little").mkdir()
        (self.folder / "little" / "file").write_text("of the odd prefixes")


def push(trip: Trip) -> None:
    """Push 300 small files and one of 70 MiB; the id is that of the directory."""
    pushed = trip.run("one", "push", "--store", trip.store, str(trip.tree))
    equal(pushed, trip.run("one", "id", str(trip.tree)), "the id")
    trip.id = pushed


def push_again(trip: Trip) -> None:
    """The same push again sends nothing."""
    _sends_nothing(trip, "one")


def push_elsewhere(trip: Trip) -> None:
    """The same push from a machine with another cache and home sends nothing."""
    _sends_nothing(trip, "two")


def _sends_nothing(trip: Trip, machine: str) -> None:
    trip.line.count_anew()
    equal(trip.run(machine, "push", "--store", trip.store, str(trip.tree)), trip.id, "the id")
    _nothing_was_sent(trip)


def _nothing_was_sent(trip: Trip) -> None:
    if trip.line.sent > UNSENT_BYTES:
        raise Failed(f"{trip.line.sent} bytes were sent for an existing snapshot")


def pull(trip: Trip) -> None:
    """Pull on a third machine; its copy has the same id."""
    out = str(trip.folder / "pulled")
    trip.run("three", "pull", "--store", trip.store, "--id", trip.id, out)
    equal(trip.run("three", "id", out), trip.id, "the id of the pulled tree")


def verify(trip: Trip) -> None:
    """Read and hash every byte."""
    trip.run("three", "verify", "--store", trip.store, "--id", trip.id)


def ls(trip: Trip) -> None:
    """List the snapshot and its files."""
    listed = trip.run("three", "ls", trip.store)
    if trip.id not in listed:
        raise Failed(f"the snapshot is not listed: {listed}")
    files = [line for line in trip.run("three", "ls", "-R", f"{trip.store}@{trip.id}").splitlines() if "file " in line]
    equal(len(files), trip.small, "the number of files")


def sync(trip: Trip) -> None:
    """Copy the snapshots to a prefix with a blank and verify them there; a second sync sends nothing."""
    copies = f"s3://{trip.bucket}/copies/of sets"
    trip.run("four", "sync", "--from", trip.store, "--to", copies, "--all")
    trip.run("four", "verify", "--store", copies, "--id", trip.id)
    trip.line.count_anew()
    equal(trip.run("four", "sync", "--from", trip.store, "--to", copies, "--id", trip.id), trip.id, "the id")
    _nothing_was_sent(trip)


def log(trip: Trip) -> None:
    """Read the history of the store on a machine without one."""
    if f'"id":"{trip.id}"' not in trip.run("five", "log", "--json", trip.store).replace(" ", ""):
        raise Failed("the push is not in the history")


def kill(trip: Trip) -> None:
    """Kill a push (SIGKILL) between the parts of 70 MiB; the next push sends the missing parts."""
    trip.line.count_anew(halt_after=HALT_BYTES)
    arguments = ("push", "--store", trip.store, "--jobs", "1", str(trip.folder / "killed"))
    process = trip.start("one", *arguments)
    while not trip.line.halted.wait(0.1):
        if process.poll() is not None:
            raise Failed(f"it ended before the kill: {process.communicate()[1].strip()}")
    process.kill()
    process.communicate()
    trip.line.count_anew()
    identifier = trip.run("one", *arguments)
    sent = trip.line.sent
    trip.run("two", "verify", "--store", trip.store, "--id", identifier)
    if sent > LARGE_BYTES - HALT_BYTES // 2:
        raise Failed(f"the second push sent {sent} of {LARGE_BYTES} bytes")


def odd_prefixes(trip: Trip) -> None:
    """Push, ls, verify, log, sync and pull with a prefix that has blanks, other alphabets, `+`, `%`, `%2F`, quotes."""
    failed = []
    for prefix in ODD_PREFIXES:
        try:
            _odd(trip, f"s3://{trip.bucket}/{prefix}/end")
        except Failed as failure:
            failed.append(f"{prefix}: {failure}")
    if failed:
        raise Failed("; ".join(failed))


def _odd(trip: Trip, store: str) -> None:
    little = str(trip.folder / "little")
    identifier = trip.run("one", "push", "--store", store, little)
    if identifier not in trip.run("two", "ls", store):
        raise Failed("the snapshot is not listed")
    trip.run("two", "verify", "--store", store, "--id", identifier)
    if identifier not in trip.run("three", "log", "--json", store):
        raise Failed("the push is not in the history")
    trip.run("two", "sync", "--from", store, "--to", f"{store}+copy", "--all")
    out = str(trip.folder / "odd" / store.replace("/", "_"))
    trip.run("two", "pull", "--store", f"{store}+copy", "--id", identifier, "--no-cache", out)


def equal(actual: object, expected: object, name: str) -> None:
    if actual != expected:
        raise Failed(f"{name}: {actual}, not {expected}")


OPERATIONS: dict[str, Callable[[Trip], None]] = {
    "push": push,
    "push again": push_again,
    "push elsewhere": push_elsewhere,
    "pull": pull,
    "verify": verify,
    "ls": ls,
    "sync": sync,
    "log": log,
    "kill and resume": kill,
    "odd prefixes": odd_prefixes,
}
"""In order. All but the first and the last two need the snapshot of the first."""
NEED_NO_SNAPSHOT = ("push", "kill and resume", "odd prefixes")
