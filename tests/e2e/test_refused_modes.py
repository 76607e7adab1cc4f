"""The content is written on filesystems that refuse chmod (CIFS, FAT, FUSE) and over files of other users."""

from __future__ import annotations

import errno
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import Program, Run
from tests.rclone_server import RcloneServer
from tests.refused_calls import python_with_refusals

REFUSALS = [errno.EPERM, errno.EACCES, errno.ENOTSUP]


@dataclass
class Refused(Program):
    """The program where the kernel refuses every chmod."""

    number: int = errno.EPERM

    def command(self, *args: str) -> list[str]:
        main = "from snapdir.cli.main import main\nmain()"
        return [sys.executable, "-c", f"{python_with_refusals(chmod=self.number)}\n{main}", *args]


class Ignored(Program):
    """The program where a chmod changes nothing, and is no error."""

    def command(self, *args: str) -> list[str]:
        main = "import os\nos.chmod = lambda *_, **__: None\nfrom snapdir.cli.main import main\nmain()"
        return [sys.executable, "-c", main, *args]


@pytest.fixture(params=REFUSALS, ids=errno.errorcode.get)
def refused(program: Program, request: pytest.FixtureRequest) -> Refused:
    return Refused(program.folder, program.environment, request.param)


@pytest.fixture
def s3(program: Program, s3_server: RcloneServer) -> str:
    program.environment.update(s3_server.environment)
    bucket = f"refused-{program.folder.name}".lower().replace("_", "-")[-40:].strip("-")
    s3_server.make_bucket(bucket)
    return f"s3://{bucket}/store"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def warned(run: Run, count: int) -> None:
    """It ended well, with one line that counts and names."""
    assert run.code == 0, run
    (line,) = run.stderr.splitlines()
    assert f"the mode of {count} path(s) could not be set (./" in line, line
    assert "their content is complete" in line


def test_a_pull_lands_from_every_kind_of_store(refused: Refused, tree: Path, s3: str) -> None:
    plain = Program(refused.folder, refused.environment)
    for number, store in enumerate((s3, "./store")):
        identifier = plain.id("push", "--store", store, str(tree))
        run = refused("pull", "--store", store, "--id", identifier, f"out{number}")
        warned(run, 6)  # four files, the directory in it and the root
        assert " and 3 more)" in run.stderr
        assert contents(refused.folder / f"out{number}") == contents(tree)
        warned(refused("pull", "--store", store, "--id", identifier, f"out{number}"), 6)
        assert plain("pull", "--store", store, "--id", identifier, f"out{number}") == Run(0, "", "")
        assert plain.id("id", f"out{number}") == identifier, "a filesystem that allows it gets the modes later"


def test_stores_and_the_cache_take_everything(program: Program, tree: Path, s3: str) -> None:
    refused = Refused(program.folder, program.environment)
    (tree / "huge").write_bytes(os.urandom(17 << 20))
    identifier = refused.id("push", "--store", "./store", str(tree))
    assert refused("sync", "--from", "./store", "--to", s3, "--id", identifier).code == 0
    assert "warning" not in refused("sync", "--from", s3, "--to", "./other", "--id", identifier).stderr
    fetched = refused("fetch", "--store", s3, "--id", identifier)
    assert fetched.code == 0
    assert fetched.stderr.count("\n") == 1
    assert "the mode of 1 path(s) could not be set" in fetched.stderr
    assert ".objects/" in fetched.stderr
    for store in ("./store", "./other", str(program.folder / "cache")):
        assert program("verify", "--store", store, "--id", identifier).code == 0
    objects = [path for path in (program.folder / "other/.objects").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in objects} == {0o444}, "made with their mode, not given it"
    assert refused("checkout", "--id", identifier, "out").code == 0
    assert contents(program.folder / "out") == contents(tree)


@pytest.mark.parametrize("kind", [Refused, Ignored])
def test_a_linked_checkout_says_which_objects_stay_writable(kind: type[Program], program: Program, tree: Path) -> None:
    refused = kind(program.folder, program.environment)
    identifier = program.id("stage", str(tree))
    digests = [path for path in (program.folder / "cache/.objects").rglob("*") if path.is_file()]
    digests[0].chmod(0o644)
    run = refused("checkout", "--linked", "--id", identifier, "out")
    assert run.code == 0, run
    assert f"({digests[0]})" in run.stderr
    assert contents(refused.folder / "out") == contents(tree)


def test_a_mode_that_is_right_already_is_no_refusal(program: Program, tree: Path) -> None:
    identifier = program.id("push", "--store", "./store", str(tree))
    assert program("pull", "--store", "./store", "--id", identifier, "out").code == 0
    refused = Refused(program.folder, program.environment)
    assert refused("pull", "--store", "./store", "--id", identifier, "out") == Run(0, "", "")


def test_another_failure_of_chmod_is_an_error(program: Program, tree: Path) -> None:
    identifier = program.id("push", "--store", "./store", str(tree))
    refused = Refused(program.folder, program.environment, errno.EIO)
    refused("pull", "--store", "./store", "--id", identifier, "out").failed_clearly("Input/output error")
