"""A claimed file is locked by one process, and is a regular file."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snapdir.disk.claims import open_locked

pytestmark = pytest.mark.usefixtures("open_descriptors")

HOLD = """
import sys
from snapdir.disk.claims import open_locked
descriptor = open_locked(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "claimed"


@contextmanager
def claimed(path: Path) -> Iterator[int]:
    descriptor = open_locked(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def held_elsewhere(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process has the claim; it ends with the block."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder
        finally:
            holder.kill()


def refused(path: Path) -> int | None:
    """The errno of a failed claim."""
    with pytest.raises(OSError) as caught:  # noqa: PT011  # the number is what counts
        open_locked(path)
    return caught.value.errno


def test_a_missing_file_is_made_for_us_alone(path: Path) -> None:
    with claimed(path) as descriptor:
        assert stat.S_IMODE(os.fstat(descriptor).st_mode) == 0o600
        os.pwrite(descriptor, b"data", 0)
        assert os.pread(descriptor, 9, 0) == b"data"
        assert not os.get_inheritable(descriptor)


def test_what_is_in_it_is_kept(path: Path) -> None:
    path.write_bytes(b"half of it")
    with claimed(path) as descriptor:
        assert os.pread(descriptor, 99, 0) == b"half of it"


def test_a_file_of_an_open_directory_is_claimed_there(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        os.close(open_locked("inside", directory_fd=folder))
    finally:
        os.close(folder)
    assert (tmp_path / "inside").is_file()


def test_a_file_can_be_claimed_once_at_a_time(path: Path) -> None:
    with claimed(path):
        assert refused(path) == errno.EWOULDBLOCK
    with claimed(path):
        pass


def test_the_claim_of_another_process_holds_until_it_is_killed(path: Path) -> None:
    with held_elsewhere(path) as holder:
        assert refused(path) == errno.EWOULDBLOCK
        holder.kill()
        holder.wait()
        with claimed(path):
            pass


@pytest.mark.parametrize("dangling", [True, False])
def test_a_link_is_never_followed(path: Path, tmp_path: Path, dangling: bool) -> None:
    target = tmp_path / "precious"
    if not dangling:
        target.write_bytes(b"precious")
    path.symlink_to(target)
    assert refused(path) == errno.ELOOP
    assert target.exists() is not dangling


def test_a_file_with_a_second_name_is_not_ours(path: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    path.hardlink_to(tmp_path / "precious")
    assert refused(path) == errno.EINVAL
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_a_fifo_is_refused_and_nobody_waits_for_its_other_end(path: Path) -> None:
    os.mkfifo(path)
    assert refused(path) == errno.EINVAL


def test_a_directory_is_refused(path: Path) -> None:
    path.mkdir()
    assert refused(path) == errno.EISDIR


def rename_away(path: Path) -> None:
    path.rename(path.with_name("final"))


def replace(path: Path) -> None:
    path.with_name("new").write_bytes(b"new")
    path.with_name("new").rename(path)


@pytest.mark.parametrize("happens", [rename_away, Path.unlink, replace], ids=["renamed", "removed", "replaced"])
def test_what_happens_between_open_and_lock_is_noticed(
    path: Path, monkeypatch: pytest.MonkeyPatch, happens: Callable[[Path], object]
) -> None:
    """Its last holder publishes or removes the file just before it is locked: the bytes belong to someone else."""
    path.write_bytes(b"published")
    lock = fcntl.flock
    first = [True]

    def late(descriptor: int, operation: int) -> None:
        if first:
            first.clear()
            happens(path)
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with claimed(path) as descriptor:
        assert os.fstat(descriptor).st_ino == path.stat().st_ino
        os.pwrite(descriptor, b"ours", 0)
    if happens is rename_away:
        assert path.with_name("final").read_bytes() == b"published"
    assert path.read_bytes() == b"ours"


def test_a_name_that_never_stands_still_is_given_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = fcntl.flock

    def always_late(descriptor: int, operation: int) -> None:
        path.unlink()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", always_late)
    assert refused(path) == errno.EWOULDBLOCK


def test_without_locks_there_is_no_claim(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert refused(path) == errno.ENOLCK
