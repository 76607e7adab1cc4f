"""Temporaries of a destination, and how they move to a filesystem mounted inside it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from snapdir.disk.destination import Destination
from snapdir.disk.run_folder import CLAIMED
from snapdir.errors import DestinationConflict, LocalError
from snapdir.model.paths import STAGING_NAME

pytestmark = pytest.mark.usefixtures("open_descriptors")


def put(destination: Destination, names: tuple[str, ...], data: bytes, mode: int = 0o644, **options: bool) -> None:
    destination.staging.write("temporary", data)
    destination.publish("temporary", names, mode, **options)


def modes(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


class TestStaging:
    def test_it_is_private_and_made_on_first_use(self, destination: Destination, root: Path) -> None:
        assert not (root / STAGING_NAME).exists()
        os.close(destination.staging.create("temporary"))
        assert modes(root / STAGING_NAME) == 0o700
        assert modes(root / STAGING_NAME / "temporary") == 0o600
        assert destination.staging.path == str(root / STAGING_NAME)

    def test_an_open_one_becomes_private_again(self, destination: Destination, root: Path) -> None:
        (root / STAGING_NAME).mkdir(mode=0o777)
        os.close(destination.staging.create("temporary"))
        assert modes(root / STAGING_NAME) == 0o700

    @pytest.mark.parametrize("what", ["link", "file"])
    def test_what_is_no_directory_is_refused(
        self, destination: Destination, root: Path, outside: Path, what: str
    ) -> None:
        if what == "link":
            (root / STAGING_NAME).symlink_to(outside)
        else:
            (root / STAGING_NAME).write_bytes(b"data")
        with pytest.raises(DestinationConflict, match="remove it"):
            destination.staging.write("temporary", b"data")

    def test_one_of_another_user_is_refused(self, destination: Destination, monkeypatch: pytest.MonkeyPatch) -> None:
        real = os.fstat
        owners = iter([12345, 54321])

        def foreign(fd: int) -> os.stat_result:
            if stat.S_ISDIR(real(fd).st_mode) and monkeypatching:
                return os.stat_result([*real(fd)[:4], next(owners), *real(fd)[5:10]])
            return real(fd)

        monkeypatching = False
        monkeypatch.setattr(os, "fstat", foreign)
        destination.make_directory(())
        monkeypatch.setattr(destination._directories, "make", lambda names: None)
        monkeypatching = True
        with pytest.raises(DestinationConflict, match="another user"):
            destination.staging.create("temporary")

    def test_a_left_over_is_claimed_with_its_content(self, destination: Destination) -> None:
        fd = destination.staging.create("temporary")
        os.write(fd, b"half")
        os.close(fd)
        with pytest.raises(LocalError, match="File exists"):
            destination.staging.create("temporary")
        fd = destination.staging.claim("temporary")
        try:
            assert os.read(fd, 10) == b"half"
        finally:
            os.close(fd)

    @pytest.mark.parametrize("what", ["link", "hard link", "fifo", "directory"])
    def test_a_left_over_that_is_not_plainly_ours_is_not_claimed(
        self, destination: Destination, root: Path, outside: Path, what: str
    ) -> None:
        left = root / STAGING_NAME / "temporary"
        destination.staging.write("other", b"")
        if what == "link":
            left.symlink_to(outside / "precious")
        elif what == "hard link":
            os.link(outside / "precious", left)
        elif what == "fifo":
            os.mkfifo(left)
        else:
            left.mkdir()
        with pytest.raises(LocalError):
            destination.staging.claim("temporary")

    def test_discarded_temporaries_are_gone(self, destination: Destination, root: Path) -> None:
        destination.staging.write("temporary", b"data")
        destination.staging.discard("temporary")
        destination.staging.discard("temporary")
        assert os.listdir(root / STAGING_NAME) == []

    def test_it_is_removed_with_all_in_it(self, destination: Destination, root: Path) -> None:
        destination.staging.write("temporary", b"data")
        assert destination.staging.remove(keep=True) is False
        assert destination.staging.remove() is True
        assert destination.staging.remove() is True
        assert os.listdir(root) == []
        put(destination, ("file",), b"used again")

    def test_an_empty_one_is_removed_anyway(self, destination: Destination, root: Path) -> None:
        put(destination, ("file",), b"data")
        assert destination.staging.remove(keep=True) is True
        assert os.listdir(root) == ["file"]

    def test_what_the_next_run_goes_on_with_is_left(self, destination: Destination, root: Path) -> None:
        destination.staging.write("small", b"x")
        os.close(destination.staging.claim("large" + CLAIMED))
        destination.staging.leave()
        assert os.listdir(root / STAGING_NAME) == ["large" + CLAIMED]
        (root / STAGING_NAME / ("large" + CLAIMED)).unlink()
        destination.staging.leave()
        assert not (root / STAGING_NAME).exists()


class TestOtherFilesystem:
    """Something is mounted inside the tree: rename cannot cross."""

    @pytest.fixture(autouse=True)
    def no_crossing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = os.rename

        def rename(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
            if os.path.samestat(os.fstat(src_dir_fd), os.fstat(dst_dir_fd)):
                real(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
            else:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

        monkeypatch.setattr(os, "rename", rename)

    def test_a_file_crosses(self, destination: Destination, root: Path) -> None:
        destination.make_directory(("mounted",))
        put(destination, ("mounted", "file"), b"data", 0o4750)
        assert os.listdir(root / "mounted") == ["file"]
        assert modes(root / "mounted" / "file") == 0o4750
        assert os.listdir(root / STAGING_NAME) == []

    def test_it_is_flushed_too(self, destination: Destination, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        flushed: list[Path] = []
        monkeypatch.setattr(
            "snapdir.disk.destination.sync_filesystem",
            lambda fd: flushed.append(Path(os.readlink(f"/proc/self/fd/{fd}"))),
        )
        destination.make_directory(("mounted",))
        put(destination, ("file",), b"data")
        destination.sync()
        put(destination, ("mounted", "file"), b"data")
        destination.sync()
        assert flushed[-2:] == [root, root / "mounted"]

    @pytest.mark.parametrize("mode", [0o000, 0o200])
    def test_a_file_that_nobody_may_read_crosses(
        self, destination: Destination, root: Path, monkeypatch: pytest.MonkeyPatch, mode: int
    ) -> None:
        """Root can read everything, so the test checks that the file is not opened again after its mode is set."""
        destination.make_directory(("mounted",))
        destination.staging.write("temporary", b"data")
        changed: list[int] = []
        fchmod, real_open = os.fchmod, os.open

        def change(fd: int, bits: int) -> None:
            fchmod(fd, bits)
            changed.append(bits)

        def reopen(path: str, flags: int, *more: int, **options: int) -> int:
            assert path != "temporary" or not changed
            return real_open(path, flags, *more, **options)

        monkeypatch.setattr(os, "fchmod", change)
        monkeypatch.setattr(os, "open", reopen)
        destination.publish("temporary", ("mounted", "file"), mode)
        assert modes(root / "mounted" / "file") == mode
        (root / "mounted" / "file").chmod(0o600)
        assert (root / "mounted" / "file").read_bytes() == b"data"

    def test_a_rename_alone_does_not_reach_it(self, destination: Destination, root: Path) -> None:
        destination.make_directory(("mounted",))
        destination.staging.write("temporary", b"data", mode=0o640)
        assert not destination.publish_at_once("temporary", ("mounted", "file"))
        assert os.listdir(root / "mounted") == []
        assert (root / STAGING_NAME / "temporary").read_bytes() == b"data"

    def test_a_conflict_leaves_nothing_beside(self, destination: Destination, root: Path) -> None:
        destination.make_directory(("mounted", "file", "inside"))
        with pytest.raises(DestinationConflict):
            put(destination, ("mounted", "file"), b"data")
        assert os.listdir(root / "mounted") == ["file"]
        assert os.listdir(root / "mounted" / "file") == ["inside"]
        assert os.listdir(root / STAGING_NAME) == ["temporary"]
        (root / "mounted" / "file" / "inside").rmdir()
        destination.publish("temporary", ("mounted", "file"), 0o644)
        assert (root / "mounted" / "file").read_bytes() == b"data"


class TestAtOnce:
    def test_a_file_is_replaced(self, destination: Destination, root: Path) -> None:
        (root / "file").write_bytes(b"old")
        destination.staging.write("temporary", b"data", mode=0o4750)
        assert destination.publish_at_once("temporary", ("file",))
        assert (root / "file").read_bytes() == b"data"
        assert modes(root / "file") == 0o4750
        assert os.listdir(root / STAGING_NAME) == []

    def test_a_directory_is_left(self, destination: Destination, root: Path) -> None:
        (root / "file").mkdir()
        destination.staging.write("temporary", b"data", mode=0o640)
        assert not destination.publish_at_once("temporary", ("file",))
        assert (root / "file").is_dir()
        assert (root / STAGING_NAME / "temporary").read_bytes() == b"data"

    def test_another_failure_names_the_file(self, destination: Destination) -> None:
        destination.staging.write("temporary", b"data", mode=0o640)
        with pytest.raises(LocalError, match="missing"):
            destination.publish_at_once("temporary", ("missing", "file"))
