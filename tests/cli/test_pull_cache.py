"""`pull` writes straight to its destination; what that means for the cache."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import snapdir
from snapdir import blocking
from snapdir.config import Config
from snapdir.disk import system
from snapdir.model.sizes import MIB
from tests.cli.conftest import Run, cli
from tests.cli.demanding_s3 import STORE, Bucket
from tests.cli.test_damaged_cache import (
    EVERY_KIND,
    LARGE,
    SAME_LENGTH,
    SMALL,
    flipped,
    manifest_of,
    object_of,
)
from tests.cli.test_damaged_cache import FILES as DAMAGED_FILES
from tests.cli.test_mirror import everything
from tests.conformance.harness import manifests, objects

FICLONE = 0x40049409
FILES = {"a.txt": b"alpha", "b/copy": b"alpha", "b/large": os.urandom(2 * MIB + 7), "empty": b""}
DIGESTS = 3
"""Distinct contents of FILES."""


@pytest.fixture
def tree(isolated: Path) -> Path:
    for name, data in FILES.items():
        file = isolated / "tree" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return isolated / "tree"


@pytest.fixture
def snapshot(tree: Path) -> str:
    """In the store ``./store``; the cache has nothing of it."""
    return ok("push", "--store", "./store", str(tree)).stdout.strip()


@pytest.fixture
def cache(isolated: Path) -> Path:
    return isolated / "cache"


def ok(*args: str) -> Run:
    run = cli(*args)
    assert run.code == 0, run.stderr
    return run


def pull(snapshot: str, dest: Path | str = "out", *flags: str) -> Run:
    return ok("pull", "--store", "./store", "--id", snapshot, *flags, str(dest))


def assert_out(dest: Path | str = "out") -> None:
    assert {name: (Path(dest) / name).read_bytes() for name in FILES} == FILES


def used_bytes(*folders: Path) -> int:
    """On the disk."""
    return sum(file.stat().st_blocks * 512 for folder in folders for file in folder.rglob("*") if file.is_file())


# The disk


def without_reflinks(real: Callable[..., object]) -> Callable[..., object]:
    def ioctl(fd: int, request: int, *more: object) -> object:
        if request == FICLONE:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return real(fd, request, *more)

    return ioctl


@pytest.mark.parametrize("flags", [[], ["--no-cache"]])
def test_without_reflinks_the_disk_is_used_once(
    flags: list[str], snapshot: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "ioctl", without_reflinks(fcntl.ioctl))
    before = used_bytes(cache)
    assert pull(snapshot, "out", *flags) == Run(0, "", "")
    assert_out()
    whole = sum(map(len, FILES.values()))
    assert whole <= used_bytes(Path("out")) < whole + 64 * 1024
    assert used_bytes(cache) - before < 64 * 1024
    assert objects(cache) == manifests(cache) == set()
    assert list((cache / ".partial").iterdir()) == []


@pytest.mark.parametrize("variable", ["", "1"])
def test_a_copy_is_kept_when_asked_for(
    variable: str, snapshot: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAPDIR_PULL_CACHE", variable)
    pull(snapshot, "out", *([] if variable else ["--cache"]))
    assert (len(objects(cache)), manifests(cache)) == (DIGESTS, {snapshot})
    ok("checkout", "--id", snapshot, "again")
    assert_out("again")
    pull(snapshot, "third", "--no-cache")
    assert manifests(cache) == {snapshot}


# Reflinks


@pytest.fixture
def clones(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A filesystem that makes reflinks, as far as a test can see: it copies the bytes. The files it was asked for."""
    asked: list[str] = []
    real = fcntl.ioctl

    def ioctl(fd: int, request: int, *more: object) -> object:
        if request != FICLONE:
            return real(fd, request, *more)  # type: ignore[call-overload]
        source = more[0]
        assert isinstance(source, int)
        asked.append(system.path_of_descriptor(fd))
        os.pwrite(fd, os.pread(source, 1 << 30, 0), 0)
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    return asked


def test_where_reflinks_are_free_the_cache_gets_them(snapshot: str, cache: Path, clones: list[str]) -> None:
    pull(snapshot)
    assert_out()
    assert len([path for path in clones if path.startswith(str(cache))]) == DIGESTS
    assert (len(objects(cache)), manifests(cache)) == (DIGESTS, {snapshot})
    assert ok("verify-cache").stderr == ""
    assert {file.stat().st_mode & 0o777 for file in (cache / ".objects").rglob("*") if file.is_file()} == {0o444}
    ok("checkout", "--id", snapshot, "again")
    assert_out("again")


def test_a_part_is_kept_as_a_part(snapshot: str, cache: Path, clones: list[str]) -> None:
    pull(snapshot, "out", "--include", "a.txt")
    assert (len(objects(cache)), manifests(cache)) == (1, set())
    ok("checkout", "--id", snapshot, "--include", "a.txt", "again")
    pull(snapshot, "whole")
    assert (len(objects(cache)), manifests(cache)) == (DIGESTS, {snapshot})


def test_what_the_destination_had_already_is_not_kept(snapshot: str, cache: Path, clones: list[str]) -> None:
    """A file of the user is no source for the cache: it may change at any time."""
    Path("out").mkdir()
    Path("out/a.txt").write_bytes(FILES["a.txt"])
    pull(snapshot)
    assert_out()
    assert manifests(cache) == {snapshot}, "another path of the snapshot has the same content"
    Path("other").mkdir()
    (Path("other") / "b").mkdir()
    cli("flush-cache")
    Path("other/b/large").write_bytes(FILES["b/large"])
    pull(snapshot, "other")
    assert (len(objects(cache)), manifests(cache)) == (DIGESTS - 1, set())


@pytest.mark.parametrize("flags", [["--no-cache"], ["SNAPDIR_CLONEFILE"]])
def test_no_reflink_is_kept_if_none_is_wanted(
    flags: list[str], snapshot: str, cache: Path, clones: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if flags == ["SNAPDIR_CLONEFILE"]:
        monkeypatch.setenv("SNAPDIR_CLONEFILE", "0")
        flags = []
    pull(snapshot, "out", *flags)
    assert objects(cache) == manifests(cache) == set()


def test_a_cache_on_another_filesystem_gets_none(
    snapshot: str, cache: Path, clones: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretended = fcntl.ioctl

    def ioctl(fd: int, request: int, *more: object) -> object:
        if request == FICLONE and system.path_of_descriptor(fd).startswith(str(cache)):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return pretended(fd, request, *more)  # type: ignore[call-overload]

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    assert pull(snapshot) == Run(0, "", "")
    assert_out()
    assert objects(cache) == manifests(cache) == set()
    assert list((cache / ".partial").iterdir()) == []


def test_a_pull_that_fails_leaves_no_copy_without_a_name(snapshot: str, cache: Path, clones: list[str]) -> None:
    victim = max(Path("store/.objects").rglob("*"), key=lambda file: file.stat().st_size if file.is_file() else 0)
    victim.chmod(0o644)
    victim.write_bytes(bytes(victim.stat().st_size))
    assert cli("pull", "--store", "./store", "--id", snapshot, "out").code == 1
    assert objects(cache) == manifests(cache) == set()
    assert list((cache / ".partial").iterdir()) == []


# What the cache holds


@pytest.mark.parametrize("flags", [[], ["--no-cache"]])
def test_what_the_cache_holds_is_not_fetched(flags: list[str], tree: Path, bucket: Bucket, isolated: Path) -> None:
    snapshot = ok("push", "--store", STORE, str(tree)).stdout.strip()
    ok("fetch", "--store", STORE, "--id", snapshot, "--include", "b/large")
    bucket.seen.clear()
    ok("pull", "--store", STORE, "--id", snapshot, *flags, "out")
    assert_out()
    assert len([request for request in bucket.seen if ".objects" in request.path]) == 1, "the one of a.txt"
    ok("fetch", "--store", STORE, "--id", snapshot)
    bucket.seen.clear()
    ok("pull", "--store", STORE, "--id", snapshot, *flags, "again")
    assert bucket.seen == []
    assert_out("again")


@pytest.mark.parametrize("flags", [[], ["--no-cache"], ["--cache"], ["--linked"]])
def test_a_cache_that_holds_everything_needs_no_store(flags: list[str], tree: Path) -> None:
    snapshot = ok("stage", str(tree)).stdout.strip()
    ok("pull", "--id", snapshot, *flags, "out")
    assert_out()


@pytest.mark.parametrize("flags", [[], ["--no-cache"], ["--cache"]])
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_cache_that_lacks_something_names_the_option(
    flags: list[str], dry: list[str], tree: Path, snapshot: str, cache: Path
) -> None:
    ok("fetch", "--store", "./store", "--id", snapshot, "--include", "a.txt")
    run = cli("pull", "--id", snapshot, *flags, *dry, "out")
    assert (run.code, "pass --store <uri>" in run.stderr) == (1, True)
    assert not Path("out").exists()
    ok("pull", "--id", snapshot, "--include", "a.txt", *dry, "out")


def damaged_cache(root: Path, name: str, damage: Callable[[Path], None]) -> str:
    """The id of a snapshot that the cache holds, with one damaged object."""
    for file, data in DAMAGED_FILES.items():
        (root / "t" / file).parent.mkdir(parents=True, exist_ok=True)
        (root / "t" / file).write_bytes(data)
    snapshot = ok("push", "--store", "./store", str(root / "t")).stdout.strip()
    ok("fetch", "--store", "./store", "--id", snapshot)
    damage(object_of(root / "cache", name))
    return snapshot


def written() -> dict[str, bytes]:
    return {file: (Path("out") / file).read_bytes() for file in DAMAGED_FILES}


@pytest.mark.parametrize("damage", EVERY_KIND, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("name", [SMALL, LARGE])
def test_a_damaged_object_of_the_cache_is_fetched_again(
    damage: Callable[[Path], None], name: str, isolated: Path
) -> None:
    snapshot = damaged_cache(isolated, name, damage)
    run = pull(snapshot, "out")
    assert written() == DAMAGED_FILES
    assert f"1 damaged object(s) in the cache were fetched again; the first is for ./{name}" in run.stderr
    ok("verify-cache")
    assert object_of(isolated / "cache", name).read_bytes() == DAMAGED_FILES[name]
    assert pull(snapshot, "again").stderr == ""


@pytest.mark.parametrize("damage", EVERY_KIND, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("name", [SMALL, LARGE])
def test_without_the_cache_a_damaged_object_is_left(damage: Callable[[Path], None], name: str, isolated: Path) -> None:
    snapshot = damaged_cache(isolated, name, damage)
    before = everything(isolated / "cache" / ".objects")
    run = pull(snapshot, "out", "--no-cache")
    assert written() == DAMAGED_FILES
    said = f"1 damaged object(s) in the cache were not used; the first is for ./{name}; `snapdir verify-cache --purge`"
    assert (said in run.stderr) == (damage in SAME_LENGTH)  # others are seen by their length, as missing
    assert everything(isolated / "cache" / ".objects") == before


def test_a_damaged_object_that_cannot_be_mended_stops_no_pull(isolated: Path) -> None:
    def directory(file: Path) -> None:
        file.unlink()
        file.mkdir()
        (file / "mine").touch()

    snapshot = damaged_cache(isolated, SMALL, directory)
    ok("pull", "--store", "./store", "--id", snapshot, "out")
    assert written() == DAMAGED_FILES
    assert (object_of(isolated / "cache", SMALL) / "mine").exists()


def test_a_damaged_manifest_of_the_cache_is_fetched_again(tree: Path, snapshot: str, cache: Path) -> None:
    ok("fetch", "--store", "./store", "--id", snapshot)
    flipped(manifest_of(cache, snapshot))
    assert f"the manifest of {snapshot} in the cache was damaged and was fetched again" in pull(snapshot).stderr
    assert_out()
    assert pull(snapshot, "again") == Run(0, "", "")


# In Python


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, False),
        ({"cache": True}, True),
        ({"cache": False}, False),
        ({"use_cache": True}, True),
        ({"use_cache": False}, False),
    ],
    ids=str,
)
def test_python_has_the_same(given: dict[str, bool], kept: bool, snapshot: str, cache: Path) -> None:
    report = blocking.pull(snapshot, "./store", "out", config=Config(cache_dir=cache), **given)
    assert_out()
    assert (report.files, report.bytes) == (len(FILES), sum(map(len, FILES.values())))
    assert bool(objects(cache)) == kept
    again = blocking.pull(snapshot, None if kept else "./store", "again", config=Config(cache_dir=cache))
    assert again.id == snapshot
    assert_out("again")


async def test_python_links_to_a_cache_that_a_bucket_fills(tree: Path, bucket: Bucket, cache: Path) -> None:
    config = Config(cache_dir=cache)
    pushed = await snapdir.push(tree, STORE, config=config)
    await snapdir.pull(pushed, STORE, "out", linked=True, config=config)
    assert Path("out/a.txt").is_symlink()
    assert_out()
    with pytest.raises(snapdir.InvalidOption):
        await snapdir.pull(pushed, STORE, "other", linked=True, cache=False, config=config)
    assert not Path("other").exists()
