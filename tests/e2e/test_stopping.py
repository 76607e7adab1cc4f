"""A run that is stopped keeps the received part of a large object and says so; the same command resumes there."""

from __future__ import annotations

import random
import shutil
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import Program, left_behind
from tests.e2e.gates import Gate, stop
from tests.e2e.scripted_s3 import ScriptedS3

URL = "s3://bucket/prefix"
PART = 5 << 20
PARTS = 8
PART_SIZE = ("--part-size", "5MiB")


@pytest.fixture
def large(tmp_path: Path) -> Path:
    folder = tmp_path / "large"
    folder.mkdir()
    # more than one request for a lone object brings (LONE_SEGMENT_BYTES)
    (folder / "file").write_bytes(random.Random(2).randbytes((PARTS - 1) * PART + 77))
    return folder


def at(server: ScriptedS3) -> dict[str, str]:
    return {"SNAPDIR_S3_STORE_ENDPOINT_URL": server.endpoint}


def kept(parts: int, where: str) -> str:
    return f"interrupted: {parts * 5}.0 MiB of 1 object are kept in {where}; run the same command to resume\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_stopped_push_keeps_its_parts(program: Program, large: Path, number: signal.Signals) -> None:
    command = ("push", "--store", URL, *PART_SIZE, "--jobs", "1", str(large))
    gate = Gate("PUT", 3)
    with ScriptedS3(before=gate) as server:
        run = stop(program.start(*command, env=at(server)), gate, number)
        assert (run.code, run.stdout, run.stderr) == (128 + number, "", kept(3, URL))
        assert len(left_behind(program.folder / "cache" / ".uploads")) == 1
        before = server.requests["PUT"]
        identifier = program.id(*command, env=at(server))
        sent = server.requests["PUT"] - before
        # Beside them a manifest and a record of the history; the part that was held may have arrived, too.
        assert sent <= PARTS - 3 + 2
        assert program("verify", "--store", URL, "--id", identifier, env=at(server)).code == 0
        assert not server.uploads
    assert left_behind(program.folder / "cache" / ".uploads") == []


@pytest.mark.parametrize("verb", ["push", "sync"])
@pytest.mark.parametrize("outcome", ["object", "upload"])
def test_an_upload_that_is_being_completed_is_left_alone(
    program: Program, large: Path, tmp_path: Path, verb: str, outcome: str
) -> None:
    command: tuple[str, ...] = ("push", "--store", URL, *PART_SIZE, str(large))
    if verb == "sync":
        identifier = program.id("push", "--store", str(tmp_path / "store"), str(large))
        command = ("sync", "--from", str(tmp_path / "store"), "--to", URL, *PART_SIZE, "--id", identifier)
    gate = Gate("POST", 1)
    with ScriptedS3(before=gate) as server:
        run = stop(program.start(*command, env=at(server)), gate, signal.SIGINT)
        assert (run.code, run.stdout, server.requests["DELETE"]) == (130, "", 0)
        assert len(left_behind(program.folder / "cache" / ".uploads")) == 1
        assert server.has_completed.wait(30)
        if outcome == "upload":  # as if the service had not come to it yet
            (name,) = [name for name in server.objects if "/.objects/" in name]
            del server.objects[name]
            server.uploads |= server.completed
        before = server.requests["PUT"]
        program.id(*command, env=at(server))
        assert server.requests["PUT"] - before <= 2, "no part: a manifest, and a record of the history"
        assert (server.begun, server.uploads) == (1, {})
    assert left_behind(program.folder / "cache" / ".uploads") == []


@pytest.mark.parametrize(("verb", "passed"), [("GET", 0), ("GET", 1), ("PUT", 0)], ids=["store", "upload", "part"])
def test_a_push_that_is_stopped_again_says_what_is_kept_from_before(
    program: Program, large: Path, verb: str, passed: int
) -> None:
    """Before it has looked at the store, before it has looked at its upload, and before it has sent a part."""
    command = ("push", "--store", URL, *PART_SIZE, "--jobs", "1", str(large))
    gate = Gate("PUT", 3)
    with ScriptedS3(before=gate) as server:
        stop(program.start(*command, env=at(server)), gate, signal.SIGINT)
        server.before = gate = Gate(verb, passed)
        run = stop(program.start(*command, env=at(server)), gate, signal.SIGINT)
        assert (run.code, run.stdout) == (128 + signal.SIGINT, "")
        # The part that was held when the first run stopped may have arrived.
        assert run.stderr in (kept(3, URL), kept(4, URL))


def test_a_push_that_is_stopped_before_a_part_is_complete_says_so(program: Program, large: Path) -> None:
    gate = Gate("PUT", 0)
    with ScriptedS3(before=gate) as server:
        command = ("push", "--store", URL, *PART_SIZE, "--jobs", "1", str(large))
        run = stop(program.start(*command, env=at(server)), gate, signal.SIGINT)
    assert run.stderr == (
        f"interrupted: the upload of 1 object to {URL} has begun, but no part is complete;"
        " run the same command to resume\n"
    )


@pytest.mark.parametrize(
    ("verb", "number"),
    [("pull", signal.SIGINT), ("pull --cache", signal.SIGTERM), ("fetch", signal.SIGHUP)],
    ids=["pull", "pull through the cache", "fetch"],
)
def test_a_stopped_pull_keeps_its_parts(program: Program, large: Path, verb: str, number: signal.Signals) -> None:
    name, *more = verb.split()
    with ScriptedS3() as server:
        identifier = program.id("push", "--store", URL, str(large), env=at(server))
        shutil.rmtree(program.folder / "cache")
        out = [] if name == "fetch" else ["out"]
        command = (name, "--store", URL, "--id", identifier, *PART_SIZE, "--jobs", "1", *more, *out)
        server.before = gate = Gate("GET", 2)  # the manifest, and the first segment
        where = program.folder / "cache" / ".partial"
        if verb == "pull":
            where = Path("out") / ".snapdir-partial"
        run = stop(program.start(*command, env=at(server)), gate, number)
        assert (run.code, run.stdout, run.stderr) == (128 + number, "", kept(6, str(where)))
        server.before = lambda _: None
        before = server.requests["GET"]
        assert program(*command, env=at(server)).code == 0
        assert server.requests["GET"] - before <= 2
    assert left_behind(program.folder / where) == []
    if out:
        assert (program.folder / "out" / "file").read_bytes() == (large / "file").read_bytes()
        assert left_behind(program.folder / "out") == ["file"]


def test_a_network_that_fails_for_good_keeps_them_too_and_says_so_in_one_line(program: Program, large: Path) -> None:
    command = ("push", "--store", URL, *PART_SIZE, "--jobs", "1", str(large))
    with ScriptedS3() as server:

        def fail(handler: object) -> None:
            if sum(map(len, server.uploads.values())) == 3:
                raise ConnectionAbortedError

        server.before = fail
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        run = program(*command, env=at(server))
        run.failed_clearly("15.0 MiB of 1 object are kept in s3://bucket/prefix; run the same command to resume")
        server.before = lambda _: None
        before = server.requests["PUT"]
        program.id(*command, env=at(server))
        assert server.requests["PUT"] - before <= PARTS - 3 + 2
