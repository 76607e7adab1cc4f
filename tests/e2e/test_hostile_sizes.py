"""Absurd sizes in manifests, packs and headers use no memory and end in a result or a clear error."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import NamedTuple

import pytest

from snapdir.hashing.tree import digest_of, manifest_id
from snapdir.model.keys import manifest_key, object_key
from snapdir.model.manifest import Manifest
from snapdir.model.sizes import MIB
from tests.e2e.conftest import Program, Run
from tests.e2e.scripted_s3 import ScriptedS3

DATA = b"x" * 100
DIGEST = digest_of(DATA)
SIZES = [2**40, 2**50, 2**64 - 1]
STORE = "s3://bucket/p"
BUCKET = "s3://bucket/q"

MOST_BYTES = 400 * MIB
"""Of a process that holds up to 128 MiB of content: what was declared would be thousands of times that."""


MEASURING = """
import os, sys

child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], "w") as file:
    file.write(str(usage.ru_maxrss << 10))
sys.exit(os.waitstatus_to_exitcode(status) % 256)
"""
"""Runs a command from a small process: the peak that the system counts begins with what its parent had at the time."""


class Measured(NamedTuple):
    """The result of a command, and its peak memory."""

    run: Run
    peak_bytes: int


@pytest.fixture
def server() -> Iterator[ScriptedS3]:
    with ScriptedS3() as server:
        yield server


def measured(program: Program, server: ScriptedS3, *args: str, stdin: Path = Path(os.devnull)) -> Measured:
    options = program.options({"SNAPDIR_S3_STORE_ENDPOINT_URL": server.endpoint})
    peak = program.folder / "peak"
    command = [sys.executable, "-S", "-c", MEASURING, str(peak), *program.command(*args)]
    with stdin.open("rb") as source:
        options["stdin"] = source
        ended = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    return Measured(Run(ended.returncode, ended.stdout, ended.stderr), int(peak.read_text()))


def stored(program: Program, server: ScriptedS3, size: int) -> str:
    """Publish a snapshot, in the bucket and in a directory, whose only file is said to have ``size`` bytes."""
    manifest = Manifest.parse(f"D 755 {DIGEST} {size} ./\nF 644 {DIGEST} {size} ./file\n")
    identifier = str(manifest_id(manifest))
    for key, data in ((object_key(DIGEST), DATA), (manifest_key(identifier), manifest.stored)):
        server.objects[f"bucket/p/{key}"] = data
        file = program.folder / "store" / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return identifier


VERBS = {
    "pull": lambda store, identifier: ["pull", "--store", store, "--id", identifier, "out"],
    "fetch": lambda store, identifier: ["fetch", "--store", store, "--id", identifier],
    "verify": lambda store, identifier: ["verify", "--store", store, "--id", identifier],
    "sync to a directory": lambda store, identifier: ["sync", "--from", store, "--to", "./copy", "--id", identifier],
    "sync to a bucket": lambda store, identifier: [
        "sync",
        "--from",
        store,
        "--to",
        "s3://bucket/q",
        "--id",
        identifier,
    ],
    "ls": lambda store, _: ["ls", store],
    "size": lambda store, identifier: ["size", "--store", store, "--id", identifier],
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("store", [STORE, "./store"])
def test_a_size_that_is_only_said_costs_nothing(store: str, size: int, program: Program, server: ScriptedS3) -> None:
    identifier = stored(program, server, size)
    for name, command in VERBS.items():
        run, peak_bytes = measured(program, server, *command(store, identifier))
        assert run.code == 0, (name, run)
        assert peak_bytes < MOST_BYTES, name
    assert (program.folder / "out" / "file").read_bytes() == DATA


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("store", [STORE, "./store"])
def test_a_pack_that_promises_more_than_it_has_takes_no_memory(
    store: str, size: int, program: Program, server: ScriptedS3
) -> None:
    pack = program.folder / "pack"
    pack.write_bytes(f"SNAPPACK 1\nobj {DIGEST} {size}\n".encode() + DATA)
    run, peak_bytes = measured(program, server, "receive-pack", "--store", store, stdin=pack)
    run.failed_clearly()
    assert peak_bytes < MOST_BYTES
    assert [file for file in program.folder.glob("store/.objects/**/*") if file.is_file()] == []


def endless(handler: BaseHTTPRequestHandler, *head: str) -> None:
    """Send an endless response."""
    block = b"F 644 %s 1 ./%s\n" % (b"0" * 64, b"a" * 60000)
    handler.wfile.write("".join(f"{line}\r\n" for line in ("HTTP/1.1 200 OK", 'ETag: "e"', *head, "")).encode())
    handler.close_connection = True
    try:
        while True:
            handler.wfile.write(block)
    except OSError:
        pass  # the client has had enough


@pytest.mark.parametrize("head", [[], [f"Content-Length: {2**50}"]])
def test_an_endless_manifest_ends(head: list[str], program: Program, server: ScriptedS3) -> None:
    identifier = stored(program, server, 100)

    class Endless(server.RequestHandlerClass):  # type: ignore[name-defined, misc]
        def do_GET(self) -> None:  # noqa: N802  # the name of http.server
            endless(self, *head)

    server.RequestHandlerClass = Endless
    run, peak_bytes = measured(program, server, "pull", "--store", STORE, "--id", identifier, "out")
    run.failed_clearly()
    assert peak_bytes < MOST_BYTES


def test_endless_answers_to_writes_end(program: Program, server: ScriptedS3, tmp_path: Path) -> None:
    class Endless(server.RequestHandlerClass):  # type: ignore[name-defined, misc]
        def do_PUT(self) -> None:  # noqa: N802  # the name of http.server
            self.rfile.read(int(self.headers["Content-Length"]))
            endless(self)

    server.RequestHandlerClass = Endless
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(20):
        (tree / f"{number}").write_text(f"{number}")
    run, peak_bytes = measured(program, server, "push", "--store", STORE, str(tree))
    run.failed_clearly()
    assert peak_bytes < MOST_BYTES


def test_an_object_that_no_disk_holds_is_no_room(program: Program, server: ScriptedS3) -> None:
    """Here the store itself says how long it is."""
    size = 2**45
    identifier = stored(program, server, size)

    class Vast(server.RequestHandlerClass):  # type: ignore[name-defined, misc]
        def do_HEAD(self) -> None:  # noqa: N802  # the name of http.server
            self.send_response(200)
            self.send_header("ETag", '"e"')
            self.send_header("Content-Length", str(size))
            self.end_headers()

    server.RequestHandlerClass = Vast
    for command in ("pull", "fetch", "sync to a directory"):
        run, peak_bytes = measured(program, server, *VERBS[command](STORE, identifier))
        run.failed_clearly("no space left")
        assert peak_bytes < MOST_BYTES
