"""Occasional failures are retried, permanent ones are named, and a killed run leaves nothing inconsistent."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.e2e.conftest import Program, Run, left_behind
from tests.e2e.gates import Gate, stop
from tests.e2e.scripted_s3 import FAULTS, ScriptedS3

URL = "s3://bucket/prefix"
SMALL_FILES = 80
LARGE_BYTES = 20 << 20
PARTIAL = (".snapdir-partial", ".partial", ".uploads")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Small files, and one that goes in parts."""
    folder = tmp_path_factory.mktemp("many")
    numbers = random.Random(1)
    for number in range(SMALL_FILES):
        (folder / f"small-{number}").write_bytes(numbers.randbytes(1000 + number))
    (folder / "large").write_bytes(numbers.randbytes(LARGE_BYTES))
    yield folder
    shutil.rmtree(folder)


def at(server: ScriptedS3) -> dict[str, str]:
    return {"SNAPDIR_S3_STORE_ENDPOINT_URL": server.endpoint}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def manifests(server: ScriptedS3) -> list[str]:
    return [path for path in server.objects if "/.manifests/" in path]


@pytest.mark.parametrize("seed", [1, 2])
def test_one_fault_in_twenty_changes_nothing(program: Program, many: Path, seed: int) -> None:
    with ScriptedS3(FAULTS, share=0.05, seed=seed) as server:
        identifier = program.id("push", "--store", URL, str(many), env=at(server))
        pulled = program("pull", "--store", URL, "--no-cache", "--id", identifier, "out", env=at(server))
        assert server.met.total() > 0
    assert (pulled.code, pulled.stderr) == (0, "")
    assert contents(program.folder / "out") == contents(many)
    assert identifier == program.id("id", str(many))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_manifest_damaged_on_the_way_is_read_again(program: Program, tree: Path, seed: int) -> None:
    damaged: list[str] = []
    mended: dict[str, bytes] = {}
    with ScriptedS3() as sound:
        identifier = program.id("push", "--store", URL, str(tree), env=at(sound))

        def once(handler: BaseHTTPRequestHandler) -> None:
            if ".manifests" in handler.path and handler.command == "GET" and not damaged:
                damaged.append(handler.path)
                key = handler.path.partition("?")[0].lstrip("/")
                text = bytearray(sound.objects[key])
                text[seed * 20] ^= 1
                mended[key] = sound.objects[key]
                sound.objects[key] = bytes(text)
            elif handler.command == "GET":
                sound.objects.update(mended)

        sound.before = once
        pulled = program("pull", "--store", URL, "--no-cache", "--id", identifier, "out", env=at(sound))
    assert (pulled.code, pulled.stderr) == (0, "")
    assert damaged
    assert contents(program.folder / "out") == contents(tree)


@pytest.mark.parametrize("fault", ["slow-down", "reset"])
def test_a_store_that_always_fails_ends_a_push_in_one_line(program: Program, tree: Path, fault: str) -> None:
    with ScriptedS3((fault,), share=1.0) as server:
        program("push", "--store", URL, str(tree), env=at(server)).failed_clearly("s3://bucket", server.endpoint, "; ")
        assert not server.objects


@pytest.mark.parametrize("fault", ["slow-down", "reset", "truncate", "corrupt"])
def test_a_store_that_always_fails_ends_a_pull_in_one_line(program: Program, tree: Path, fault: str) -> None:
    with ScriptedS3() as sound:
        identifier = program.id("push", "--store", URL, str(tree), env=at(sound))
    with ScriptedS3((fault,), share=1.0) as server:
        server.objects = sound.objects
        run = program("pull", "--store", URL, "--no-cache", "--id", identifier, "out", env=at(server))
    run.failed_clearly("s3://bucket", "; " if fault != "corrupt" else "--recheck")
    assert not (program.folder / "out").exists()


def test_an_upload_that_never_completes_publishes_nothing(program: Program, many: Path) -> None:
    with ScriptedS3(("complete-200",), share=1.0) as server:
        run = program("push", "--store", URL, str(many), env=at(server))
        assert not manifests(server)
    run.failed_clearly("InternalError", str(many / "large"))


@pytest.mark.parametrize(
    ("after", "number"), [(0, signal.SIGINT), (10, signal.SIGKILL), (SMALL_FILES, signal.SIGKILL), (40, signal.SIGTERM)]
)
def test_a_stopped_push_publishes_nothing_and_the_next_one_ends_it(
    program: Program, many: Path, after: int, number: signal.Signals
) -> None:
    gate = Gate("PUT", after)
    with ScriptedS3(before=gate) as server:
        run = stop(program.start("push", "--store", URL, str(many), env=at(server)), gate, number)
        assert run.code == (-9 if number == signal.SIGKILL else 128 + number)
        assert (run.stdout, run.stderr) == ("", "")
        assert not manifests(server)
        identifier = program.id("push", "--store", URL, str(many), env=at(server))
        assert program("verify", "--store", URL, "--id", identifier, env=at(server)).code == 0
    assert left_behind(program.folder / "cache" / ".uploads") == []


@pytest.mark.parametrize(
    ("after", "number", "cached"),
    [
        (0, signal.SIGINT, "--keep"),
        (20, signal.SIGKILL, "--keep"),
        (20, signal.SIGINT, "--cache"),
        (SMALL_FILES, signal.SIGKILL, "--cache"),
    ],
)
def test_a_stopped_pull_leaves_whole_files_and_the_next_one_ends_it(
    program: Program, many: Path, after: int, number: signal.Signals, cached: str
) -> None:
    command = ("pull", "--store", URL, cached)
    with ScriptedS3() as server:
        identifier = program.id("push", "--store", URL, str(many), env=at(server))
        gate = server.before = Gate("GET", after)
        run = stop(program.start(*command, "--id", identifier, "out", env=at(server)), gate, number)
        assert run.code == (-9 if number == signal.SIGKILL else 128 + number)
        assert run.stdout == ""
        wanted = contents(many)
        for name in left_behind(program.folder / "out", PARTIAL):
            assert (program.folder / "out" / name).read_bytes() == wanted[name]
        again = program(*command, "--id", identifier, "out", env=at(server))
    assert again.code == 0, again.stderr
    assert contents(program.folder / "out") == wanted


def test_a_source_that_vanishes_while_it_is_read_is_named(program: Program) -> None:
    source = program.folder / "vanishing"
    source.mkdir()
    for number in range(64):
        (source / f"file-{number}").write_bytes(random.Random(number).randbytes(512 << 10))
    gate = Gate("PUT", 0)
    with ScriptedS3(before=gate) as server:
        process = program.start("push", "--store", URL, "--memory", "8MiB", str(source), env=at(server))
        assert gate.reached.wait(60)
        shutil.rmtree(source)
        gate.open()
        stdout, stderr = process.communicate(timeout=60)
        assert not manifests(server)
    Run(process.returncode, stdout, stderr).failed_clearly(str(source), "while it was read", "run again")


def test_a_source_that_shrinks_while_it_is_sent_is_named(program: Program) -> None:
    source = program.folder / "shrinking"
    source.mkdir()
    (source / "large").write_bytes(random.Random(0).randbytes(2 * LARGE_BYTES))
    gate = Gate("PUT", 0)
    with ScriptedS3(before=gate) as server:
        process = program.start("push", "--store", URL, "--memory", "16MiB", str(source), env=at(server))
        assert gate.reached.wait(60)
        (source / "large").write_bytes(b"short")
        gate.open()
        stdout, stderr = process.communicate(timeout=60)
        assert not manifests(server)
    Run(process.returncode, stdout, stderr).failed_clearly(str(source / "large"), "run again when no program changes")
