from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

import pytest

from snapdir.disk.durable import sync_directory, sync_filesystem


class Library:
    """A C library with the syncfs it is given, or with none."""

    def __init__(self, result: int | None) -> None:
        self.calls: list[int] = []
        if result is not None:
            self.syncfs = lambda fd: (self.calls.append(fd.value), ctypes.set_errno(errno.EIO), result)[2]


def test_a_filesystem_is_flushed_by_path_and_by_descriptor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(0)
    monkeypatch.setattr(ctypes, "CDLL", lambda name, use_errno: library)
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        sync_filesystem(fd)
        sync_filesystem(tmp_path)
        assert len(library.calls) == 2
        assert library.calls[0] == fd
    finally:
        os.close(fd)


def test_the_real_flush_works(tmp_path: Path, open_descriptors: None) -> None:
    sync_filesystem("/dev/shm" if os.path.isdir("/dev/shm") else tmp_path)


def test_a_failed_flush_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name, use_errno: Library(-1))
    with pytest.raises(OSError, match="Input/output"):
        sync_filesystem(tmp_path)


def test_without_syncfs_everything_is_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(ctypes, "CDLL", lambda name, use_errno: Library(None))
    monkeypatch.setattr(os, "sync", lambda: calls.append("sync"))
    monkeypatch.setattr(os, "fsync", lambda fd: calls.append("fsync"))
    sync_filesystem(tmp_path)
    assert calls == ["sync", "fsync"]


@pytest.mark.parametrize(("number", "fine"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_a_directory_that_cannot_be_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, fine: bool
) -> None:
    def refuse(fd: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    if fine:
        sync_directory(3)
    else:
        with pytest.raises(OSError, match="Input/output"):
            sync_directory(3)
