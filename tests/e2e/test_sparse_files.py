"""Files with holes and files full of zeros take little space after a transfer, and have the same bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snapdir.hashing.huge_files import HUGE_FILE_BYTES
from tests.e2e.conftest import Program
from tests.e2e.scripted_s3 import ScriptedS3
from tests.rclone_server import RcloneServer

MIB, GIB = 1 << 20, 1 << 30
SIZES = {"small": MIB // 2, "whole": 6 * MIB, "parts": 40 * MIB}
"""Read into memory, one request, several."""


@pytest.fixture
def sparse(program: Program) -> Path:
    folder = program.folder / "sparse"
    folder.mkdir()
    for name, size in SIZES.items():
        with (folder / name).open("wb") as file:
            file.write(b"begin")
            file.seek(size // 2)
            file.write(os.urandom(5))
            file.truncate(size)
    return folder


def occupied(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def test_holes_stay_between_places_of_this_host(program: Program, sparse: Path) -> None:
    identifier = program.id("push", "--store", "./store", str(sparse))
    assert program("sync", "--from", "./store", "--to", "./other", "--id", identifier).code == 0
    assert program("pull", "--cache", "--store", "./store", "--id", identifier, "pulled").stderr == ""
    assert program("pull", "--no-cache", "--store", "./other", "--id", identifier, "straight").stderr == ""
    for name in ("store", "other", "cache", "pulled", "straight"):
        assert occupied(program.folder / name) < MIB, name
    for name in ("pulled", "straight"):
        assert program.id("id", name) == identifier
    assert program("verify", "--store", "./other", "--id", identifier).code == 0


def test_huge_files_are_pushed_as_they_are_with_any_number_of_threads(program: Program) -> None:
    for number in range(2):
        folder = program.folder / "huge" / f"d{number}"
        folder.mkdir(parents=True)
        with (folder / "file").open("wb") as file:
            file.write(b"begin %d" % number)
            file.truncate(HUGE_FILE_BYTES + number)
    expected = program.id("id", "--walk-jobs", "1", "huge")
    for threads in ("1", "3"):
        assert program.id("push", "--walk-jobs", threads, "--store", f"./store{threads}", "huge") == expected
        assert program("verify", "--store", f"./store{threads}", "--id", expected).code == 0


@pytest.mark.parametrize("more", [(), ("--dry-run",)], ids=["push", "dry"])
def test_a_file_larger_than_s3_takes_is_refused_before_it_is_hashed_and_anything_is_sent(
    program: Program, sparse: Path, more: tuple[str, ...]
) -> None:
    descriptor = os.memfd_create("huge")  # not every filesystem has such files
    try:
        os.truncate(descriptor, 10_000 * 5 * GIB + 1)
        (sparse / "huge").symlink_to(f"/proc/self/fd/{descriptor}")
        with ScriptedS3() as server:
            at = {"SNAPDIR_S3_STORE_ENDPOINT_URL": server.endpoint}
            run = program("push", *more, "--store", "s3://b/p", str(sparse), env=at, pass_fds=(descriptor,))
        run.failed_clearly("an object of 48.8 TiB is larger than this store holds (48.8 TiB)", str(sparse / "huge"))
        assert set(server.requests) <= {"GET", "HEAD"}
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("more", [("--cache",), ()], ids=["cache", "straight"])
def test_a_pull_writes_no_long_runs_of_zeros(
    program: Program, sparse: Path, s3_server: RcloneServer, more: tuple[str, ...]
) -> None:
    program.environment.update(s3_server.environment)
    bucket = f"sparse-{'-'.join(more).strip('-') or 'straight'}"
    s3_server.make_bucket(bucket)
    identifier = program.id("push", "--store", f"s3://{bucket}/s", str(sparse), env={"SNAPDIR_CACHE_DIR": "elsewhere"})
    pulled = program("pull", *more, "--store", f"s3://{bucket}/s", "--id", identifier, "pulled")
    assert (pulled.code, pulled.stderr) == (0, "")
    assert occupied(program.folder / "pulled") < MIB
    assert program.id("id", "pulled") == identifier
    assert {path.name: path.stat().st_size for path in (program.folder / "pulled").iterdir()} == SIZES
