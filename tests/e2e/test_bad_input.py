"""Failures that users meet: each has one clear line, the right exit code, and leaves nothing partly written."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import crc32c  # noqa: F401  # its import reads files; verbs import it in their loop, where `free_loop` counts that
import pytest
from click.testing import CliRunner

from snapdir.cli.main import root
from snapdir.model.keys import manifest_key
from tests.e2e.conftest import SECRET, Program, Run, left_behind
from tests.e2e.scripted_s3 import ScriptedS3, answering, unused_port
from tests.rclone_server import RcloneServer

UNKNOWN = "ab" * 32
URL = "s3://bucket/prefix"
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
SKEWED = (
    b"<Error><Code>RequestTimeTooSkewed</Code><Message>The difference is too large.</Message>"
    b"<ServerTime>2020-01-01T00:00:00Z</ServerTime></Error>"
)


@pytest.fixture
def pushed(program: Program, tree: Path) -> str:
    """The id of ``tree`` in the store ``store``."""
    return program.id("push", "--store", "./store", str(tree))


def pull(program: Program, identifier: str, store: str = "./store", to: str = "out", **options: object) -> Run:
    return program("pull", "--no-cache", "--store", store, "--id", identifier, to, **options)  # type: ignore[arg-type]


def object_of(store: Path, size: int) -> Path:
    """The stored object of that many bytes, made writable."""
    found = next(path for path in (store / ".objects").rglob("*") if path.is_file() and path.stat().st_size == size)
    found.chmod(0o644)
    return found


def manifest_of(store: Path, identifier: str) -> Path:
    path = store.joinpath(".manifests", identifier[:3], identifier[3:6], identifier[6:9], identifier[9:])
    path.chmod(0o644)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def without_privileges() -> None:
    """For root: make the child subject to permissions. Others already are."""
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


# Ids and stores


def test_an_unknown_id(program: Program, pushed: str) -> None:
    pull(program, UNKNOWN).failed_clearly(UNKNOWN, "store", "check the id and the store")
    assert not (program.folder / "out").exists()


def test_what_is_no_id(program: Program, pushed: str) -> None:
    pull(program, "xyz").failed_clearly("xyz", "64 hexadecimal digits")


def test_the_first_digits_of_no_id_and_of_two(program: Program, pushed: str) -> None:
    pull(program, "abcdef0").failed_clearly("abcdef0", "the first 8 or more")
    pull(program, UNKNOWN[:8]).failed_clearly(UNKNOWN[:8], str(program.folder / "store"), "give all 64 digits")
    assert pull(program, pushed[:8].upper()).code == 0
    twin = pushed[:-1] + ("0" if pushed[-1] != "0" else "1")
    planted = program.folder / "cache" / manifest_key(twin)
    planted.parent.mkdir(parents=True)
    planted.touch()
    pull(program, pushed[:12]).failed_clearly("ambiguous", pushed, twin)


@pytest.mark.parametrize("verb", ["pull", "fetch", "verify"])
def test_a_missing_store(program: Program, verb: str) -> None:
    run = program(verb, "--store", "./missing", "--id", UNKNOWN, *(["out"] if verb == "pull" else []))
    run.failed_clearly(str(program.folder / "missing"), "does not exist", "check the path")
    assert left_behind(program.folder) == []


def test_a_store_that_is_a_file(program: Program, tree: Path) -> None:
    (program.folder / "file").write_text("kept")
    program("push", "--store", "./file", str(tree)).failed_clearly(str(program.folder / "file"), "not a directory")
    assert (program.folder / "file").read_text() == "kept"


def test_a_store_whose_name_is_too_long(program: Program, tree: Path) -> None:
    program("push", "--store", "./" + "x" * 300, str(tree)).failed_clearly("x" * 300, "File name too long")


@pytest.mark.parametrize("url", ["s3://", "file://relative"])
def test_what_is_no_store(program: Program, url: str) -> None:
    pull(program, UNKNOWN, url).failed_clearly("invalid store URI", url.partition(":")[0])


def test_a_store_whose_program_is_not_installed(program: Program) -> None:
    pull(program, UNKNOWN, "ftp://host").failed_clearly("snapdir-ftp-store", "no such program on PATH", "ftp://host")


# S3


def test_wrong_credentials(program: Program, tree: Path, s3_server: RcloneServer) -> None:
    store = f"s3://{s3_server.bucket}/wrong"
    wrong = {**s3_server.environment, "AWS_SECRET_ACCESS_KEY": "canary-wrong"}
    program("push", "--store", store, str(tree), env=wrong).failed_clearly(s3_server.bucket, "AWS_SECRET_ACCESS_KEY")
    pull(program, UNKNOWN, store, env=wrong).failed_clearly(s3_server.bucket, "AWS_SECRET_ACCESS_KEY")
    unknown = {**s3_server.environment, "AWS_ACCESS_KEY_ID": "canary-wrong"}
    pull(program, UNKNOWN, store, env=unknown).failed_clearly("AWS_ACCESS_KEY_ID")
    unsigned = {**s3_server.environment, "SNAPDIR_NO_SIGN_REQUEST": "1"}
    pull(program, UNKNOWN, store, env=unsigned).failed_clearly("UnsupportedAlgorithm", "leave out --no-sign-request")
    assert not (s3_server.bucket_folder / "wrong").exists()


def test_no_credentials(program: Program) -> None:
    none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    pull(program, UNKNOWN, URL, env=none).failed_clearly("no usable AWS credentials", "AWS_PROFILE")


def test_a_bucket_that_does_not_exist(program: Program, tree: Path, s3_server: RcloneServer) -> None:
    ours = s3_server.environment
    words = ("s3://nobody", "NoSuchBucket", "create the bucket")
    program("push", "--store", "s3://nobody/p", str(tree), env=ours).failed_clearly(*words)
    pull(program, UNKNOWN, "s3://nobody/p", env=ours).failed_clearly(*words)
    assert not (s3_server.folder / "nobody").exists()


def unreachable(program: Program, tree: Path, endpoint: str, *words: str) -> None:
    env = {"SNAPDIR_S3_STORE_ENDPOINT_URL": endpoint}
    program("push", "--store", URL, str(tree), env=env).failed_clearly("s3://bucket", endpoint, *words)
    pull(program, UNKNOWN, URL, env=env).failed_clearly("s3://bucket", endpoint, *words)
    assert not (program.folder / "out").exists()


def test_an_endpoint_that_refuses(program: Program, tree: Path) -> None:
    endpoint = f"http://127.0.0.1:{unused_port()}"
    unreachable(program, tree, endpoint, "Connection refused", "SNAPDIR_S3_STORE_ENDPOINT_URL")


def test_an_endpoint_that_has_no_address(program: Program, tree: Path) -> None:
    unreachable(program, tree, "http://nowhere.invalid", "nowhere.invalid", "SNAPDIR_S3_STORE_ENDPOINT_URL")


def test_an_endpoint_that_is_none(program: Program) -> None:
    env = {"SNAPDIR_S3_STORE_ENDPOINT_URL": f"http://user:{SECRET}@127.0.0.1:1"}
    pull(program, UNKNOWN, URL, env=env).failed_clearly("SNAPDIR_S3_STORE_ENDPOINT_URL", "http://host:port", code=2)


def test_a_clock_that_is_wrong(program: Program, tree: Path) -> None:
    with answering("403 Forbidden", SKEWED, "application/xml") as endpoint:
        unreachable(program, tree, endpoint, "RequestTimeTooSkewed", "ahead of the store's", "NTP")


@pytest.mark.parametrize("body", [b"<html><body>Sign in to the hotel's network</body></html>", b""])
def test_a_store_that_answers_200_with_garbage(program: Program, tree: Path, body: bytes) -> None:
    with answering("200 OK", body) as endpoint:
        env = {"SNAPDIR_S3_STORE_ENDPOINT_URL": endpoint}
        program("push", "--store", URL, str(tree), env=env).failed_clearly(endpoint, "check the endpoint")
        for verb in ("verify", "fetch"):
            program(verb, "--store", URL, "--id", UNKNOWN, env=env).failed_clearly(
                URL, UNKNOWN[9:], "check the endpoint"
            )
        pull(program, UNKNOWN, URL, env=env).failed_clearly(URL, UNKNOWN[9:], "check the endpoint")
    assert left_behind(program.folder / "cache") == []


def test_a_page_that_is_not_found_is_no_absent_snapshot(program: Program, tree: Path) -> None:
    with answering("404 Not Found", b"<html>nothing here</html>") as endpoint:
        unreachable(program, tree, endpoint, "does not look like S3")


def test_what_speaks_no_http(program: Program) -> None:
    with ScriptedS3(before=lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH\r\n\r\n")) as server:
        env = {"SNAPDIR_S3_STORE_ENDPOINT_URL": server.endpoint}
        pull(program, UNKNOWN, URL, env=env).failed_clearly(server.endpoint, "check the endpoint and any proxy")


def test_an_endpoint_that_never_answers(program: Program, tree: Path) -> None:
    """It would end with a timeout; here the user interrupts it, and it stops at once."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        env = {"SNAPDIR_S3_STORE_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        process = program.start("push", "--store", URL, str(tree), env=env)
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(1)
            process.send_signal(2)
            assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 130


# Local files


def in_process(program: Program, *args: str) -> Run:
    """The program in this process, so that a simulated full disk applies."""
    result = CliRunner(env={"SNAPDIR_CACHE_DIR": str(program.folder / "cache")}).invoke(root, list(args))
    return Run(result.exit_code, result.stdout, result.stderr)


def test_no_space_at_the_destination(program: Program, tree: Path, pushed: str, small_disk: Path) -> None:
    out = small_disk / "out"
    store = str(program.folder / "store")
    run = in_process(program, "pull", "--no-cache", "--store", store, "--id", pushed, str(out))
    run.failed_clearly(str(out), "no space left", "free some space")
    for name in left_behind(out):
        assert (out / name).read_bytes() == (tree / name).read_bytes()


def test_no_space_in_a_store(program: Program, tree: Path, small_disk: Path) -> None:
    store = small_disk / "store"
    run = in_process(program, "push", "--store", str(store), str(tree))
    run.failed_clearly(str(store), "no space left", "free some space")
    assert left_behind(store, [".objects"]) == []


@pytest.mark.parametrize("to", ["file", "file/sub"])
def test_a_destination_that_is_a_file(program: Program, pushed: str, to: str) -> None:
    (program.folder / "file").write_text("kept")
    pull(program, pushed, to=to).failed_clearly(to, "not a directory", "choose another destination")
    assert (program.folder / "file").read_text() == "kept"


@pytest.mark.parametrize("source", ["nothing", "file"])
def test_a_source_that_is_no_directory(program: Program, source: str) -> None:
    (program.folder / "file").write_text("x")
    program("push", "--store", "./store", source).failed_clearly(str(program.folder / source))
    assert not (program.folder / "store").exists()


def test_unreadable_files_are_all_named(program: Program, tree: Path) -> None:
    (tree / "secret").touch(0)
    (tree / "sub").chmod(0)
    try:
        run = program("push", "--store", "./store", str(tree), preexec_fn=without_privileges)
    finally:
        (tree / "sub").chmod(0o755)
    run.failed_clearly(str(tree / "secret"), str(tree / "sub"), "Permission denied")
    assert left_behind(program.folder / "store", [".objects"]) == []


@pytest.mark.parametrize("name", [b"not\xffutf8", b"new\nline", b"return\r"])
def test_names_that_no_manifest_can_carry(program: Program, tree: Path, name: bytes) -> None:
    (tree / os.fsdecode(name)).write_bytes(b"")
    program("push", "--store", "./store", str(tree)).failed_clearly("--exclude", name[:3].decode())
    assert not (program.folder / "store" / ".manifests").exists()


def test_odd_trees_make_round_trips(program: Program, tree: Path) -> None:
    (tree / "loop").symlink_to(".")
    (tree / "self").symlink_to("self")
    (tree / "dangling").symlink_to("nowhere")
    (tree / "twin").hardlink_to(tree / "sub" / "f1")
    (tree / "empty").mkdir()
    (tree / ("d" * 255)).mkdir()
    (tree / ("d" * 255) / ("f" * 255)).write_bytes(b"")
    os.mkfifo(tree / "pipe")
    (tree / "big").unlink()
    identifier = program.id("push", "--store", "./store", str(tree))
    assert pull(program, identifier).code == 0
    assert program.id("id", "out") == identifier


def test_an_empty_tree_makes_a_round_trip(program: Program) -> None:
    (program.folder / "empty").mkdir()
    identifier = program.id("push", "--store", "./store", "empty")
    assert pull(program, identifier).code == 0
    assert program.id("id", "out") == identifier


def test_a_tree_that_holds_its_store(program: Program, tree: Path) -> None:
    identifier = program.id("push", "--store", str(tree / "store"), str(tree))
    assert pull(program, identifier, str(tree / "store")).code == 0
    assert program.id("id", "out") == identifier


# Damage


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    os.truncate(path, 100)


@pytest.mark.parametrize("damage", [flip, truncate])
@pytest.mark.parametrize("size", [2000, 2 << 20])
def test_a_damaged_object(program: Program, tree: Path, pushed: str, size: int, damage: Callable[[Path], None]) -> None:
    path = object_of(program.folder / "store", size)
    damage(path)
    words = (str(path), "push a good copy again with --recheck")
    pull(program, pushed).failed_clearly(*words)
    for name in left_behind(program.folder / "out"):
        assert (program.folder / "out" / name).read_bytes() == (tree / name).read_bytes()
    program("fetch", "--store", "./store", "--id", pushed).failed_clearly(*words)
    assert left_behind(program.folder / "cache", [".objects", ".checkouts", "default-catalog.sqlite3"]) == []
    program("verify", "--store", "./store", "--id", pushed).failed_clearly(*words)
    assert program.id("push", "--recheck", "--store", "./store", str(tree)) == pushed
    assert program("verify", "--store", "./store", "--id", pushed).code == 0


@pytest.mark.parametrize(("old", "new"), [(b"./sub/f1", b"./sub/g1"), (b"F ", b"G ")])
def test_a_damaged_manifest(program: Program, tree: Path, pushed: str, old: bytes, new: bytes) -> None:
    path = manifest_of(program.folder / "store", pushed)
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    pull(program, pushed).failed_clearly(str(path), "push a good copy again with --recheck")
    assert not (program.folder / "out").exists()
    assert program.id("push", "--recheck", "--store", "./store", str(tree)) == pushed
    assert pull(program, pushed).code == 0


# Two at once, and readers that leave


def test_two_pushes_and_two_pulls_at_once(program: Program, tree: Path) -> None:
    pushes = [program.start("push", "--store", "./store", str(tree)) for _ in range(2)]
    said = {process.communicate(timeout=60) for process in pushes}
    assert {process.returncode for process in pushes} == {0}
    assert len(said) == 1
    identifier = said.pop()[0].strip()
    pulls = [program.start("pull", "--no-cache", "--store", "./store", "--id", identifier, "out") for _ in range(2)]
    assert {process.communicate(timeout=60) for process in pulls} == {("", "")}
    assert contents(program.folder / "out") == contents(tree)
    assert left_behind(program.folder / "store", [".objects", ".manifests", ".catalog"]) == []


def test_a_reader_that_leaves(program: Program, tree: Path) -> None:
    for number in range(2000):
        (tree / f"file-with-a-longer-name-{number}").touch()
    process = program.start("manifest", str(tree))
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(60) in (141, -13)


def test_an_output_that_is_full(program: Program, tree: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            program.command("id", str(tree)), stdout=full, stderr=subprocess.PIPE, check=False, **program.options({})
        )
    Run(done.returncode, "", done.stderr.decode()).failed_clearly("standard output", "No space left")
