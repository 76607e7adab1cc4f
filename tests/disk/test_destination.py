"""Directories, files and modes of a destination. (Tests with ``outside`` also check containment.)"""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from snapdir.disk.destination import Destination
from snapdir.disk.directories import remove_tree
from snapdir.errors import DestinationConflict, LocalError, NoSpace, UnsafePath
from snapdir.model.paths import STAGING_NAME

pytestmark = pytest.mark.usefixtures("open_descriptors")


def put(destination: Destination, names: tuple[str, ...], data: bytes, mode: int = 0o644, **options: bool) -> None:
    destination.staging.write("temporary", data)
    destination.publish("temporary", names, mode, **options)


def modes(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


class TestOpen:
    def test_missing_parents_are_made(self, tmp_path: Path) -> None:
        with Destination.open(tmp_path / "a" / "b" / "c") as destination:
            assert destination.stat(()) is not None
        assert (tmp_path / "a" / "b" / "c").is_dir()
        assert modes(tmp_path / "a" / "b" / "c") == 0o700

    def test_several_make_roots_below_one_another_at_once(self, tmp_path: Path) -> None:
        """As the ranks of one job do: some open a directory, the others one below it, and nothing above is there."""
        start = threading.Barrier(8, timeout=10)

        def open_roots(rank: int) -> None:
            for round_number in range(40):
                root = tmp_path / f"{round_number}" / "missing" / "too" / "run"
                start.wait()
                try:
                    Destination.open(root / f"rank-{rank}" / "data" if rank % 2 else root).close()
                except BaseException:
                    start.abort()
                    raise

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(open_roots, range(8)))
        assert len(list(tmp_path.glob("*/missing/too/run/rank-*/data"))) == 40 * 4

    def test_a_relative_root_works(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with Destination.open(Path("x/y")) as destination:
            put(destination, ("file",), b"data")
            monkeypatch.chdir("/")
            put(destination, ("file2",), b"data")
        assert sorted(os.listdir(tmp_path / "x" / "y")) == [STAGING_NAME, "file", "file2"]

    @pytest.mark.parametrize("what", ["file", "dangling link", "link to file"])
    def test_a_root_that_is_no_directory_is_a_conflict(self, tmp_path: Path, root: Path, what: str) -> None:
        (tmp_path / "file").write_bytes(b"data")
        if what == "file":
            root.write_bytes(b"data")
        else:
            root.symlink_to("file" if what == "link to file" else "nothing")
        with pytest.raises(DestinationConflict, match="not a directory: move it away") as raised:
            Destination.open(root)
        assert raised.value.path == str(root)

    def test_a_link_to_a_directory_is_resolved_once(self, tmp_path: Path, root: Path, outside: Path) -> None:
        (tmp_path / "real").mkdir()
        root.symlink_to("real")
        with Destination.open(root) as destination:
            root.unlink()
            root.symlink_to(outside)
            put(destination, ("file",), b"data")
        assert (tmp_path / "real" / "file").read_bytes() == b"data"

    def test_a_missing_root_is_an_error_when_it_must_exist(self, root: Path) -> None:
        with pytest.raises(LocalError) as raised:
            Destination.open(root, create=False)
        assert raised.value.errno == errno.ENOENT
        assert not root.exists()


class TestDirectories:
    def test_missing_components_are_made_private(self, destination: Destination, root: Path) -> None:
        destination.make_directory(("a", "b", "c"))
        destination.make_directory(("a", "b", "c"))
        assert [modes(root / path) for path in ("a", "a/b", "a/b/c")] == [0o700] * 3

    def test_the_owner_gets_access_to_an_existing_one(self, destination: Destination, root: Path) -> None:
        (root / "a" / "b").mkdir(parents=True)
        (root / "a" / "b").chmod(0o055)
        (root / "a").chmod(0o511)
        destination.make_directory(("a", "b"))
        assert modes(root / "a") == 0o711
        assert modes(root / "a" / "b") == 0o755

    def test_a_read_only_root_can_be_written_into(self, destination: Destination, root: Path) -> None:
        root.chmod(0o555)
        put(destination, ("file",), b"data")
        assert modes(root) == 0o755

    @pytest.mark.parametrize("names", [("link",), ("link", "below")])
    def test_a_link_is_a_conflict(
        self, destination: Destination, root: Path, outside: Path, names: tuple[str, ...]
    ) -> None:
        (root / "link").symlink_to(outside)
        with pytest.raises(DestinationConflict) as raised:
            destination.make_directory(names)
        assert raised.value.path == str(root / "link")

    @pytest.mark.parametrize("what", ["link", "file", "fifo"])
    def test_what_is_no_directory_is_a_conflict_and_stays(
        self, destination: Destination, root: Path, outside: Path, what: str
    ) -> None:
        if what == "link":
            (root / "name").symlink_to(outside)
        elif what == "file":
            (root / "name").write_bytes(b"data")
        else:
            os.mkfifo(root / "name")
        before = (root / "name").lstat()
        for names in (("name",), ("name", "below")):
            with pytest.raises(DestinationConflict):
                destination.make_directory(names)
        assert os.path.samestat((root / "name").lstat(), before)


class TestReading:
    def test_stat_sees_what_is_there(self, destination: Destination, root: Path, outside: Path) -> None:
        put(destination, ("file",), b"data")
        (root / "link").symlink_to(outside)
        found = destination.stat(("file",))
        assert found is not None
        assert found.st_size == 4
        link = destination.stat(("link",))
        assert link is not None
        assert stat.S_ISLNK(link.st_mode)

    @pytest.mark.parametrize(
        "names", [("none",), ("none", "below"), ("file", "below"), ("link", "precious"), ("broken",) * 2]
    )
    def test_stat_of_nothing_is_none(
        self, destination: Destination, root: Path, outside: Path, names: tuple[str, ...]
    ) -> None:
        put(destination, ("file",), b"data")
        (root / "link").symlink_to(outside)
        (root / "broken").symlink_to("nothing")
        assert destination.stat(names) is None

    def test_a_regular_file_is_opened(self, destination: Destination) -> None:
        put(destination, ("file",), b"data")
        fd = destination.open_file(("file",))
        try:
            assert os.read(fd, 10) == b"data"
        finally:
            os.close(fd)

    @pytest.mark.parametrize("what", ["link", "fifo", "directory", "socket"])
    def test_only_regular_files_are_opened(
        self, destination: Destination, root: Path, outside: Path, what: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.socket(socket.AF_UNIX) as unix:
            if what == "link":
                (root / "name").symlink_to(outside / "precious")
            elif what == "fifo":
                os.mkfifo(root / "name")
            elif what == "directory":
                (root / "name").mkdir()
            else:
                monkeypatch.chdir(root)
                unix.bind("name")
            with pytest.raises(LocalError) as raised:
                destination.open_file(("name",))
        assert raised.value.path == str(root / "name")

    def test_opening_nothing_names_the_path(self, destination: Destination, root: Path) -> None:
        with pytest.raises(LocalError) as raised:
            destination.open_file(("a", "b"))
        assert raised.value.errno == errno.ENOENT
        assert str(raised.value) == f"I/O error: {root}/a/b: No such file or directory (os error 2)"


class TestPublish:
    @pytest.mark.parametrize("mode", [0o644, 0o400, 0o755, 0o000, 0o6755])
    def test_a_file_appears_with_its_mode(self, destination: Destination, root: Path, mode: int) -> None:
        put(destination, ("file",), b"data", mode)
        assert modes(root / "file") == mode
        assert os.listdir(root / STAGING_NAME) == []

    def test_the_longest_name_works(self, destination: Destination, root: Path) -> None:
        put(destination, ("n" * 255,), b"data")
        assert (root / ("n" * 255)).read_bytes() == b"data"

    @pytest.mark.parametrize("what", ["file", "read-only file", "link", "broken link", "fifo", "hard link"])
    def test_what_has_the_name_is_replaced_alone(
        self, destination: Destination, root: Path, outside: Path, what: str
    ) -> None:
        if what.endswith("file"):
            (root / "name").write_bytes(b"old")
            (root / "name").chmod(0o444 if what == "read-only file" else 0o644)
        elif what == "fifo":
            os.mkfifo(root / "name")
        elif what == "hard link":
            os.link(outside / "precious", root / "name")
        else:
            (root / "name").symlink_to(outside / ("precious" if what == "link" else "nothing"))
        put(destination, ("name",), b"new")
        assert (root / "name").read_bytes() == b"new"
        assert not (root / "name").is_symlink()

    def test_a_directory_is_a_conflict_and_stays(self, destination: Destination, root: Path) -> None:
        destination.make_directory(("name",))
        put(destination, ("name", "inside"), b"data")
        with pytest.raises(DestinationConflict) as raised:
            put(destination, ("name",), b"new")
        assert raised.value.path == str(root / "name")
        assert (root / "name" / "inside").read_bytes() == b"data"
        assert os.listdir(root / STAGING_NAME) == ["temporary"]

    def test_an_empty_directory_is_replaced(self, destination: Destination, root: Path) -> None:
        destination.make_directory(("name",))
        (root / "name").chmod(0o000)
        put(destination, ("name",), b"new")
        assert (root / "name").read_bytes() == b"new"
        assert destination.stat(("name", "deep")) is None
        (root / "name").unlink()
        destination.make_directory(("name", "deep"))
        assert (root / "name" / "deep").is_dir(), "the one that went is not taken for one that is still there"

    def test_a_missing_directory_is_an_error(self, destination: Destination, root: Path) -> None:
        with pytest.raises(LocalError, match="No such file"):
            put(destination, ("none", "file"), b"data")

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../../outside/precious"])
    def test_a_temporary_lies_in_the_staging_directory(
        self, destination: Destination, outside: Path, name: str
    ) -> None:
        for call in (
            destination.staging.create,
            destination.staging.discard,
            lambda name: destination.staging.write(name, b""),
        ):
            with pytest.raises(UnsafePath):
                call(name)
        with pytest.raises(UnsafePath):
            destination.publish(name, ("file",), 0o644)

    @pytest.mark.parametrize("names", [(), ("..", "x"), ("a/b",), (STAGING_NAME,), (STAGING_NAME, "x")])
    def test_a_final_name_lies_in_the_tree_and_not_in_the_staging_directory(
        self, destination: Destination, names: tuple[str, ...]
    ) -> None:
        with pytest.raises(UnsafePath):
            put(destination, names, b"data")

    def test_data_of_every_kind_is_written_whole(
        self, destination: Destination, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.write
        monkeypatch.setattr(os, "write", lambda fd, data: real(fd, memoryview(data)[:3]))
        for number, data in enumerate((b"", b"0123456789", bytearray(b"0123456789"), memoryview(b"x0123456789")[1:])):
            put(destination, (str(number),), data)
            assert (root / str(number)).read_bytes() == bytes(data)

    def test_a_temporary_changed_for_a_link_gives_no_mode_away(
        self, destination: Destination, root: Path, outside: Path
    ) -> None:
        destination.staging.write("temporary", b"data")
        (root / STAGING_NAME / "temporary").unlink()
        (root / STAGING_NAME / "temporary").symlink_to(outside)
        with pytest.raises(LocalError):
            destination.publish("temporary", ("file",), 0o777)


class TestFullDisk:
    def test_a_full_disk_leaves_no_file(self, small_disk: Path) -> None:
        with Destination.open(small_disk / "root") as destination:
            put(destination, ("fits",), b"x" * 100_000)
            with pytest.raises(NoSpace) as raised:
                put(destination, ("file",), b"x" * 2_000_000)
            assert raised.value.path.startswith(str(small_disk))
            assert destination.stat(("file",)) is None
            assert os.listdir(small_disk / "root" / STAGING_NAME) == []
        assert (small_disk / "root" / "fits").stat().st_size == 100_000


class TestModesAndRemoval:
    def test_modes_are_set(self, destination: Destination, root: Path) -> None:
        destination.make_directory(("a", "b"))
        put(destination, ("a", "file"), b"data")
        for names, mode in [(("a", "file"), 0o1400), (("a", "b"), 0o2750), (("a",), 0o555), ((), 0o711)]:
            destination.set_mode(names, mode)
            assert modes(root.joinpath(*names)) == mode

    def test_a_link_has_no_mode(self, destination: Destination, root: Path, outside: Path) -> None:
        (root / "link").symlink_to(outside)
        with pytest.raises(DestinationConflict):
            destination.set_mode(("link",), 0o777)
        with pytest.raises(LocalError):
            destination.set_mode(("link", "precious"), 0o777)

    def test_a_mode_of_what_is_absent_is_an_error_that_says_so(self, destination: Destination) -> None:
        with pytest.raises(LocalError, match="No such file") as caught:
            destination.set_mode(("absent",), 0o777)
        assert caught.value.errno == errno.ENOENT

    def test_a_tree_is_removed_and_links_are_not_followed(
        self, destination: Destination, root: Path, outside: Path
    ) -> None:
        destination.make_directory(("a", "b", "c"))
        put(destination, ("a", "b", "file"), b"data")
        (root / "a" / "link").symlink_to(outside)
        (root / "link").symlink_to(outside)
        os.mkfifo(root / "a" / "fifo")
        (root / "a" / "b").chmod(0o500)
        for name in ("link", "a", "a"):
            remove_tree(name, dir_fd=destination.directories.root_handle.fd)
        assert sorted(os.listdir(root)) == [STAGING_NAME]

    def test_it_can_be_flushed(self, destination: Destination, monkeypatch: pytest.MonkeyPatch) -> None:
        flushed: list[int] = []
        monkeypatch.setattr("snapdir.disk.destination.sync_filesystem", flushed.append)
        destination.sync()
        assert len(flushed) == 1


class TestClosed:
    def test_calls_after_close_fail_and_touch_nothing(self, root: Path) -> None:
        destination = Destination.open(root)
        destination.make_directory(("a",))
        destination.close()
        destination.close()
        for call in (lambda: destination.stat(("a", "b")), lambda: put(destination, ("a", "file"), b"data")):
            with pytest.raises(LocalError, match="Bad file descriptor"):
                call()
        assert os.listdir(root) == ["a"]
