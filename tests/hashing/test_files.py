"""Hashing a file: the right digest, or an error that names the file that changed, vanished or cannot be read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3

from snapdir.errors import InFluxError, LocalError
from snapdir.hashing.crc32c import crc32c
from snapdir.hashing.files import BLOCK_BYTES, SMALL_FILE_BYTES, hash_descriptor, hash_large_file, hash_small_files
from snapdir.model.source import HashedFile, SourceFile

SIZES = [0, 1, 10, SMALL_FILE_BYTES]
LARGE = 2 * BLOCK_BYTES + 5


def found(path: Path) -> SourceFile:
    """The file as a walk lists it."""
    return SourceFile(f"./{path.name}", str(path), "644", path.stat().st_size, identity(path))


def identity(path: Path) -> tuple[int, int, int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def written(path: Path, size: int) -> SourceFile:
    path.write_bytes(bytes(number % 251 for number in range(size)))
    return found(path)


def hash_small(source: SourceFile) -> HashedFile:
    (hashed,), failures = hash_small_files([source])
    assert failures == []
    return hashed


HASHES: list[Callable[[SourceFile], HashedFile]] = [hash_small, hash_large_file]
both = pytest.mark.parametrize("hash_file", HASHES, ids=["small", "large"])


@pytest.mark.parametrize("size", [*SIZES, LARGE])
@both
def test_the_checksum_is_that_of_the_bytes(
    tmp_path: Path, hash_file: Callable[[SourceFile], HashedFile], size: int
) -> None:
    source = written(tmp_path / "file", size)
    assert hash_file(source) == HashedFile(source, blake3((tmp_path / "file").read_bytes()).hexdigest())


def test_the_bytes_of_small_files_are_kept_on_request(tmp_path: Path) -> None:
    source = written(tmp_path / "file", 10)
    (hashed,), _ = hash_small_files([source], keep_data=True)
    assert hashed.data == (tmp_path / "file").read_bytes()


def test_a_large_file_has_a_checksum_for_each_part(tmp_path: Path) -> None:
    source = written(tmp_path / "file", LARGE)
    data = (tmp_path / "file").read_bytes()
    part = BLOCK_BYTES - 1
    counted: list[int] = []
    hashed = hash_large_file(source, part_bytes=part, crc32c=crc32c, on_bytes=counted.append)
    assert hashed.part_crc32c == tuple(crc32c(data[start : start + part], 0) for start in range(0, LARGE, part))
    assert sum(counted) == LARGE


def grown(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"more")


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def another_mtime(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def another_ctime(path: Path) -> None:
    path.chmod(0o600)  # neither its size, nor its mtime, nor its inode


def another_inode(path: Path) -> None:
    beside = path.with_name("beside")
    beside.write_bytes(path.read_bytes())
    os.utime(beside, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    beside.rename(path)


CHANGES = [grown, truncated, emptied, another_mtime, another_ctime, another_inode]


@pytest.mark.parametrize("change", CHANGES)
@both
def test_a_file_that_changed_since_its_listing_is_named(
    tmp_path: Path, hash_file: Callable[[SourceFile], HashedFile], change: Callable[[Path], None]
) -> None:
    source = written(tmp_path / "file", LARGE)
    change(tmp_path / "file")
    with pytest.raises(InFluxError, match="changed while it was read") as caught:
        hash_file(source)
    assert caught.value.path == source.file


@pytest.mark.parametrize("field", range(4), ids=["size", "mtime", "ctime", "inode"])
@pytest.mark.parametrize("claimed_more", [True, False])
@both
def test_each_part_of_the_identity_counts_alone(
    tmp_path: Path, hash_file: Callable[[SourceFile], HashedFile], field: int, claimed_more: bool
) -> None:
    source = written(tmp_path / "file", LARGE)
    size, mtime, ctime, inode = source.identity
    off_by_one = 1 if claimed_more else -1
    claims = [
        (size + off_by_one, mtime, ctime, inode),
        (size, mtime + off_by_one, ctime, inode),
        (size, mtime, ctime + off_by_one, inode),
        (size, mtime, ctime, inode + off_by_one),
    ]
    with pytest.raises(InFluxError):
        hash_file(source._replace(identity=claims[field]))


@pytest.mark.parametrize("change", CHANGES)
def test_a_small_file_that_changes_once_it_is_open_is_named(
    tmp_path: Path, change: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = written(tmp_path / "file", 100)
    monkeypatch.setattr("snapdir.hashing.files.os", OsThatChanges(lambda: change(tmp_path / "file")))
    with pytest.raises(InFluxError):
        hash_small_files([source])


@pytest.mark.parametrize("given", [b"", b"x", bytes(101)], ids=["nothing", "less", "more"])
def test_a_read_that_gives_another_length_is_noticed_without_its_status(
    tmp_path: Path, given: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a file on another host whose status is a cached one."""
    source = written(tmp_path / "file", 100)
    monkeypatch.setattr("snapdir.hashing.files.os", OsThatReads(given))
    with pytest.raises(InFluxError):
        hash_small_files([source])


class OsThatReads:
    """The system, where every file has the same content."""

    def __init__(self, content: bytes) -> None:
        self._reads = iter([content])

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def read(self, descriptor: int, length: int) -> bytes:
        return next(self._reads, b"")


class OsThatChanges:
    """The system, where something happens right after a file was opened."""

    def __init__(self, change: Callable[[], None]) -> None:
        self._change = change

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def open(self, path: str, flags: int) -> int:
        descriptor = os.open(path, flags)
        self._change()
        return descriptor


@pytest.mark.parametrize("change", CHANGES)
def test_a_large_file_that_changes_while_it_is_hashed_is_named(tmp_path: Path, change: Callable[[Path], None]) -> None:
    source = written(tmp_path / "file", LARGE)
    blocks: list[int] = []

    def after_the_last_block(length: int) -> None:
        blocks.append(length)
        if sum(blocks) == LARGE:
            change(tmp_path / "file")

    with pytest.raises(InFluxError):
        hash_large_file(source, on_bytes=after_the_last_block)
    assert sum(blocks) == LARGE


@pytest.mark.parametrize("change", CHANGES)
def test_a_large_file_that_is_open_already_is_compared_too(tmp_path: Path, change: Callable[[Path], None]) -> None:
    source = written(tmp_path / "file", LARGE)
    descriptor = os.open(source.file, os.O_RDONLY)
    try:
        change(tmp_path / "file")
        with pytest.raises(InFluxError):
            hash_large_file(source, descriptor=descriptor)
    finally:
        os.close(descriptor)


def gone(path: Path) -> None:
    path.unlink()


def parent_is_a_file(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()
    path.parent.touch()


@pytest.mark.parametrize("vanish", [gone, parent_is_a_file])
@both
def test_a_file_that_vanished_before_it_was_opened_is_in_flux_and_names_the_way_out(
    tmp_path: Path, hash_file: Callable[[SourceFile], HashedFile], vanish: Callable[[Path], None]
) -> None:
    (tmp_path / "sub").mkdir()
    source = written(tmp_path / "sub" / "writer.tmp", 10)
    vanish(tmp_path / "sub" / "writer.tmp")
    with pytest.raises(
        InFluxError, match=r"vanished while it was read: .*writer\.tmp;.*--exclude to leave out temporary files"
    ):
        hash_file(source)


@pytest.mark.parametrize("replace", [Path.mkdir, os.mkfifo])
@both
def test_a_file_that_became_something_else_has_changed(
    tmp_path: Path, hash_file: Callable[[SourceFile], HashedFile], replace: Callable[[Path], object]
) -> None:
    source = written(tmp_path / "file", 10)
    (tmp_path / "file").unlink()
    replace(tmp_path / "file")
    with pytest.raises(InFluxError, match="changed"):
        hash_file(source)


def test_all_small_files_that_cannot_be_read_are_told_beside_those_that_can(tmp_path: Path) -> None:
    good = written(tmp_path / "good", 5)
    bad = [claimed_size(tmp_path / name, 5) for name in ("one", "two")]
    hashed, failures = hash_small_files([bad[0], good, bad[1]])
    assert [one.source for one in hashed] == [good]
    assert [path for path, _ in failures] == [one.file for one in bad]


def test_a_large_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    source = claimed_size(tmp_path / "bad", LARGE)
    with pytest.raises(LocalError) as caught:
        hash_large_file(source)
    assert caught.value.path == source.file


def claimed_size(path: Path, size: int) -> SourceFile:
    """A file that no user can read (the first page of this process's memory), listed with a size."""
    path.symlink_to("/proc/self/mem")
    return SourceFile(f"./{path.name}", str(path), "777", 14, (size, *identity(path)[1:]))


def test_a_descriptor_is_hashed_from_its_start_wherever_it_stands(tmp_path: Path) -> None:
    written(tmp_path / "file", LARGE)
    data = (tmp_path / "file").read_bytes()
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        os.lseek(descriptor, 7, os.SEEK_SET)
        assert hash_descriptor(descriptor) == (blake3(data).hexdigest(), LARGE)
        assert os.lseek(descriptor, 0, os.SEEK_CUR) == 7
    finally:
        os.close(descriptor)


def test_a_file_that_claims_to_be_empty_is_read_to_its_end() -> None:
    """As those of /proc do."""
    hashed = hash_small(found(Path("/proc/version")))
    assert hashed.checksum == blake3(Path("/proc/version").read_bytes()).hexdigest()
    assert hashed.source.content_bytes == 0
