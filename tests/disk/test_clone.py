from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snapdir.disk import clone
from snapdir.disk.clone import copy_contents
from snapdir.disk.system import CANNOT_CLONE
from snapdir.errors import InFluxError

CONTENT = bytes(range(256)) * 10_000


@contextmanager
def opened(source: Path, target: Path) -> Iterator[tuple[int, int]]:
    source_fd = os.open(source, os.O_RDONLY)
    target_fd = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        yield source_fd, target_fd
    finally:
        os.close(source_fd)
        os.close(target_fd)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "source"
    file.write_bytes(CONTENT)
    return file


def fails_with(number: int):
    def call(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return call


def copies_bytes(_: int, target_fd: int):
    """What FICLONE does, as far as a test can see: the target becomes all of the source."""

    def ioctl(fd: int, request: int, source_fd: int) -> int:
        assert request == 0x40049409
        os.pwrite(fd, os.pread(source_fd, 1 << 30, 0), 0)
        return 0

    return ioctl


def test_the_target_holds_the_bytes_of_the_source(source: Path, tmp_path: Path) -> None:
    with opened(source, tmp_path / "target") as (source_fd, target_fd):
        assert copy_contents(source_fd, target_fd, len(CONTENT)) in ("reflink", "copy")
    assert (tmp_path / "target").read_bytes() == CONTENT


def test_a_range_of_the_source_can_be_copied(source: Path, tmp_path: Path) -> None:
    with opened(source, tmp_path / "target") as (source_fd, target_fd):
        assert copy_contents(source_fd, target_fd, 1000, offset=777) == "copy"
    assert (tmp_path / "target").read_bytes() == CONTENT[777:1777]


@pytest.mark.parametrize("in_kernel", [True, False])
def test_a_range_can_land_in_the_middle_of_the_target(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_kernel: bool
) -> None:
    if not in_kernel:
        monkeypatch.setattr(os, "copy_file_range", fails_with(errno.ENOSYS))
    with opened(source, tmp_path / "target") as (source_fd, target_fd):
        os.pwrite(target_fd, b"0123456789", 0)
        assert copy_contents(source_fd, target_fd, 3, offset=65, target_offset=4) == "copy"
        assert copy_contents(source_fd, target_fd, 2, target_offset=8) == "copy"
    assert (tmp_path / "target").read_bytes() == b"0123ABC7\x00\x01"


@pytest.mark.parametrize("number", sorted(CANNOT_CLONE))
def test_a_filesystem_that_cannot_clone_gets_a_copy(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(fcntl, "ioctl", fails_with(number))
    with opened(source, tmp_path / "target") as (source_fd, target_fd):
        assert copy_contents(source_fd, target_fd, len(CONTENT)) == "copy"
    assert (tmp_path / "target").read_bytes() == CONTENT


def test_a_clone_of_a_grown_source_is_cut_to_size(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "ioctl", copies_bytes(0, 0))
    with opened(source, tmp_path / "target") as (source_fd, target_fd):
        assert copy_contents(source_fd, target_fd, 100) == "reflink"
    assert (tmp_path / "target").read_bytes() == CONTENT[:100]


def test_cloning_can_be_switched_off(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "ioctl", fails_with(errno.EIO))
    with opened(source, tmp_path / "target") as (source_fd, target_fd):
        assert copy_contents(source_fd, target_fd, len(CONTENT), clone=False) == "copy"


def test_a_real_failure_of_the_clone_is_raised(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "ioctl", fails_with(errno.ENOSPC))
    with opened(source, tmp_path / "target") as (source_fd, target_fd), pytest.raises(OSError, match="No space"):
        copy_contents(source_fd, target_fd, len(CONTENT))


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EINVAL, errno.ENOSYS])
def test_a_kernel_that_stops_midway_is_helped_out(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real, calls = os.copy_file_range, []

    def short_then_failing(source_fd: int, target_fd: int, count: int, *offsets: int) -> int:
        calls.append(count)
        if len(calls) > 2:
            raise OSError(number, os.strerror(number))
        return real(source_fd, target_fd, 12_345, *offsets)

    monkeypatch.setattr(os, "copy_file_range", short_then_failing)
    with opened(source, tmp_path / "target") as (source_fd, target_fd):
        copy_contents(source_fd, target_fd, len(CONTENT), clone=False)
    assert (tmp_path / "target").read_bytes() == CONTENT


def test_short_writes_lose_nothing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "copy_file_range", fails_with(errno.ENOSYS))
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, data[: max(1, len(data) // 2)], at))
    monkeypatch.setattr(clone, "BLOCK_BYTES", 1000)
    with opened(source, tmp_path / "target") as (source_fd, target_fd):
        copy_contents(source_fd, target_fd, 20_000, offset=1, clone=False)
    assert (tmp_path / "target").read_bytes() == CONTENT[1:20_001]


@pytest.mark.parametrize("reflink", [True, False])
def test_a_source_that_shrank_is_in_flux(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reflink: bool
) -> None:
    if reflink:
        monkeypatch.setattr(fcntl, "ioctl", copies_bytes(0, 0))
    with opened(source, tmp_path / "target") as (source_fd, target_fd), pytest.raises(InFluxError) as raised:
        copy_contents(source_fd, target_fd, len(CONTENT) + 1)
    assert raised.value.path == str(source)


def test_a_file_whose_size_the_system_does_not_know_can_be_copied(tmp_path: Path) -> None:
    content = Path("/proc/version").read_bytes()
    with opened(Path("/proc/version"), tmp_path / "target") as (source_fd, target_fd):
        assert copy_contents(source_fd, target_fd, len(content)) == "copy"
    assert (tmp_path / "target").read_bytes() == content


def test_an_empty_file_is_copied(source: Path, tmp_path: Path) -> None:
    with opened(source, tmp_path / "target") as (source_fd, target_fd):
        copy_contents(source_fd, target_fd, 0, clone=False)
    assert (tmp_path / "target").read_bytes() == b""


@pytest.mark.parametrize("in_kernel", [True, False])
def test_a_copy_can_be_stopped_between_two_chunks(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_kernel: bool
) -> None:
    monkeypatch.setattr(clone, "KERNEL_COPY_BYTES", 100_000)
    monkeypatch.setattr(clone, "BLOCK_BYTES", 50_000)
    if not in_kernel:
        monkeypatch.setattr(os, "copy_file_range", fails_with(errno.ENOSYS))
    calls = []

    def between() -> None:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt

    with opened(source, tmp_path / "target") as (source_fd, target_fd):
        with pytest.raises(KeyboardInterrupt):
            copy_contents(source_fd, target_fd, len(CONTENT), clone=False, between=between)
        assert 0 < os.fstat(target_fd).st_size < len(CONTENT)


def test_an_end_that_the_kernel_only_claims_is_helped_out(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with files of /proc: no bytes, and no error either."""
    real, calls = os.copy_file_range, []

    def ends_early(source_fd: int, target_fd: int, count: int, *offsets: int) -> int:
        calls.append(count)
        assert len(calls) < 3, "asked again and again"
        return real(source_fd, target_fd, 1000, *offsets) if len(calls) == 1 else 0

    monkeypatch.setattr(os, "copy_file_range", ends_early)
    with opened(source, tmp_path / "target") as (source_fd, target_fd):
        copy_contents(source_fd, target_fd, len(CONTENT), clone=False)
    assert (tmp_path / "target").read_bytes() == CONTENT


def test_a_sparse_source_keeps_the_position_that_another_thread_gives_it(tmp_path: Path) -> None:
    with (tmp_path / "source").open("wb") as file:
        file.truncate(1 << 20)
        file.seek(1 << 19)
        file.write(b"between holes")
    with opened(tmp_path / "source", tmp_path / "target") as (source_fd, target_fd):
        copy_contents(source_fd, target_fd, 1 << 20, clone=False, between=lambda: os.lseek(source_fd, 7, os.SEEK_SET))
        assert os.lseek(source_fd, 0, os.SEEK_CUR) == 7
    assert (tmp_path / "target").read_bytes() == (tmp_path / "source").read_bytes()
