"""What is at hand is given, what may not be is not."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from snapdir.disk.filesystems import is_in_memory, memory_devices
from snapdir.disk.page_cache import PROBE_BYTES, is_at_hand, read_at_hand

CONTENT = bytes(range(251)) * 5000


@pytest.fixture(params=["disk", "memory"])
def fd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """A file of CONTENT in the page cache, or on a tmpfs."""
    with tempfile.TemporaryFile(dir=tmp_path if request.param == "disk" else "/dev/shm") as file:
        file.write(CONTENT)
        file.flush()
        yield file.fileno()


@pytest.mark.parametrize(("offset", "length"), [(0, 1), (7, 10_000), (0, len(CONTENT)), (len(CONTENT) - 1, 1)])
def test_what_is_in_memory_is_at_hand(fd: int, offset: int, length: int) -> None:
    buffer = bytearray(length)
    assert is_at_hand(fd, offset, length)
    assert read_at_hand(fd, offset, buffer)
    assert buffer == CONTENT[offset : offset + length]


def test_what_a_file_does_not_have_is_not_at_hand(fd: int) -> None:
    assert not read_at_hand(fd, len(CONTENT) - 1, bytearray(2))
    assert not read_at_hand(fd, len(CONTENT), bytearray(1))


def test_what_was_dropped_from_memory_is_not_at_hand(tmp_path: Path) -> None:
    content = os.urandom(4 * PROBE_BYTES)
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert not is_at_hand(file.fileno(), 0, len(content))
        assert not read_at_hand(file.fileno(), 0, bytearray(len(content)))


def test_what_cannot_be_read_is_not_at_hand() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not is_at_hand(ours.fileno(), 0, 1)
        assert not read_at_hand(ours.fileno(), 0, bytearray(1))
    writing = os.open("/dev/shm", os.O_TMPFILE | os.O_WRONLY)
    try:
        os.write(writing, b"x")
        assert is_in_memory(writing)
        assert not read_at_hand(writing, 0, bytearray(1))
    finally:
        os.close(writing)


def test_the_devices_of_memory_are_those_of_its_mounts() -> None:
    mounts = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
25 22 0:21 / /dev/shm rw,nosuid - tmpfs tmpfs rw
26 22 0:22 / /run/a\\040b rw shared:3 master:1 - ramfs none rw
27 22 0:300 / /home rw - nfs4 server:/tmpfs rw
"""
    assert memory_devices(mounts) == {os.makedev(0, 21), os.makedev(0, 22)}
    assert memory_devices("") == set()
