"""Directories with a set-group-id bit: files and directories that a verb creates in them inherit group and bit."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.disk.test_modes import GROUP, shared
from tests.e2e.conftest import Program


def all_shared(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        status = path.lstat()
        assert status.st_gid == GROUP, path
        assert not stat.S_ISDIR(status.st_mode) or status.st_mode & stat.S_ISGID, path


@pytest.mark.parametrize("more", [[], ["--cache"], ["--linked"]], ids=" ".join)
def test_a_shared_directory_stays_one(program: Program, tree: Path, more: list[str]) -> None:
    for name in ("store", "cache", "out"):
        shared(program.folder / name)
    identifier = program.id("push", "--store", "./store", str(tree))
    for _ in range(2):
        pulled = program("pull", "--store", "./store", "--id", identifier, *more, "--force", "out")
        assert (pulled.code, pulled.stderr) == (0, "")
    for name in ("store", "cache", "out"):
        all_shared(program.folder / name)
    assert not more or (program.folder / "cache/.objects").is_dir()


def test_special_modes_are_those_of_the_snapshot_on_request(program: Program, tree: Path) -> None:
    out = shared(program.folder / "out")
    identifier = program.id("push", "--store", "./store", str(tree))
    pulled = program("pull", "--store", "./store", "--id", identifier, "--preserve-special-modes", "out")
    assert (pulled.code, pulled.stderr) == (0, "")
    assert not os.stat(out).st_mode & stat.S_ISGID
    assert program.id("id", "out") == identifier
