from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from snapdir.disk.destination import STAGING_NAME, Destination
from snapdir.errors import DestinationConflict, LocalError, NoSpace, UnsafePath

pytestmark = pytest.mark.usefixtures("open_descriptors")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def destination(root: Path) -> Iterator[Destination]:
    with Destination.open(root) as opened:
        yield opened


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir(mode=0o751)
    (folder / "precious").write_bytes(b"precious")
    return folder


def assert_untouched(outside: Path) -> None:
    assert os.listdir(outside) == ["precious"]
    assert (outside / "precious").read_bytes() == b"precious"
    assert stat.S_IMODE(outside.stat().st_mode) == 0o751


def put(destination: Destination, names: tuple[str, ...], data: bytes, mode: int = 0o644, **options: bool) -> None:
    destination.write_temporary("temporary", data)
    destination.publish("temporary", names, mode, **options)


def modes(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


class TestOpen:
    def test_missing_parents_are_made(self, tmp_path: Path) -> None:
        with Destination.open(tmp_path / "a" / "b" / "c") as destination:
            assert destination.stat(()) is not None
        assert (tmp_path / "a" / "b" / "c").is_dir()
        assert modes(tmp_path / "a" / "b" / "c") == 0o700

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
        assert_untouched(outside)

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
        assert_untouched(outside)

    @pytest.mark.parametrize("what", ["link", "file", "fifo"])
    def test_what_is_no_directory_can_be_replaced(
        self, destination: Destination, root: Path, outside: Path, what: str
    ) -> None:
        if what == "link":
            (root / "name").symlink_to(outside)
        elif what == "file":
            (root / "name").write_bytes(b"data")
        else:
            os.mkfifo(root / "name")
        with pytest.raises(DestinationConflict):
            destination.make_directory(("name", "below"))
        destination.make_directory(("name", "below"), replace=True)
        assert (root / "name" / "below").is_dir()
        assert not (root / "name").is_symlink()
        assert_untouched(outside)


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
        assert_untouched(outside)

    def test_a_directory_is_a_conflict_and_stays(self, destination: Destination, root: Path) -> None:
        destination.make_directory(("name",))
        put(destination, ("name", "inside"), b"data")
        with pytest.raises(DestinationConflict) as raised:
            put(destination, ("name",), b"new")
        assert raised.value.path == str(root / "name")
        assert (root / "name" / "inside").read_bytes() == b"data"
        assert os.listdir(root / STAGING_NAME) == ["temporary"]

    def test_a_directory_can_be_replaced(self, destination: Destination, root: Path, outside: Path) -> None:
        destination.make_directory(("name", "deep"))
        (root / "name" / "link").symlink_to(outside)
        (root / "name" / "deep").chmod(0o000)
        put(destination, ("name",), b"new", replace=True)
        assert (root / "name").read_bytes() == b"new"
        assert destination.stat(("name", "deep")) is None
        assert_untouched(outside)

    def test_a_missing_directory_is_an_error(self, destination: Destination, root: Path) -> None:
        with pytest.raises(LocalError, match="No such file"):
            put(destination, ("none", "file"), b"data")

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../../outside/precious"])
    def test_a_temporary_lies_in_the_staging_directory(
        self, destination: Destination, outside: Path, name: str
    ) -> None:
        for call in (
            destination.create_temporary,
            destination.discard,
            lambda name: destination.write_temporary(name, b""),
        ):
            with pytest.raises(UnsafePath):
                call(name)
        with pytest.raises(UnsafePath):
            destination.publish(name, ("file",), 0o644)
        assert_untouched(outside)

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
        destination.write_temporary("temporary", b"data")
        (root / STAGING_NAME / "temporary").unlink()
        (root / STAGING_NAME / "temporary").symlink_to(outside)
        with pytest.raises(LocalError):
            destination.publish("temporary", ("file",), 0o777)
        assert_untouched(outside)


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


class TestStaging:
    def test_it_is_private_and_made_on_first_use(self, destination: Destination, root: Path) -> None:
        assert not (root / STAGING_NAME).exists()
        os.close(destination.create_temporary("temporary"))
        assert modes(root / STAGING_NAME) == 0o700
        assert modes(root / STAGING_NAME / "temporary") == 0o600
        assert destination.staging_path == str(root / STAGING_NAME)

    def test_an_open_one_becomes_private_again(self, destination: Destination, root: Path) -> None:
        (root / STAGING_NAME).mkdir(mode=0o777)
        os.close(destination.create_temporary("temporary"))
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
            destination.write_temporary("temporary", b"data")
        assert_untouched(outside)

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
        monkeypatch.setattr(destination._directories, "make", lambda names, replace: None)
        monkeypatching = True
        with pytest.raises(DestinationConflict, match="another user"):
            destination.create_temporary("temporary")

    def test_a_left_over_is_opened_with_its_content(self, destination: Destination) -> None:
        fd = destination.create_temporary("temporary")
        os.write(fd, b"half")
        os.close(fd)
        with pytest.raises(LocalError, match="File exists"):
            destination.create_temporary("temporary")
        fd = destination.create_temporary("temporary", exist_ok=True)
        try:
            assert os.read(fd, 10) == b"half"
        finally:
            os.close(fd)

    @pytest.mark.parametrize("what", ["link", "hard link", "fifo", "directory", "unreadable"])
    def test_a_left_over_that_is_not_plainly_ours_is_replaced(
        self, destination: Destination, root: Path, outside: Path, what: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        left = root / STAGING_NAME / "temporary"
        destination.write_temporary("other", b"")
        if what == "link":
            left.symlink_to(outside / "precious")
        elif what == "hard link":
            os.link(outside / "precious", left)
        elif what == "fifo":
            os.mkfifo(left)
        elif what == "directory":
            left.mkdir()
        else:
            left.write_bytes(b"old")
            left.chmod(0o000)
        fd = destination.create_temporary("temporary", exist_ok=True)
        os.write(fd, b"new")
        os.close(fd)
        assert left.read_bytes() == b"new" if what != "unreadable" or os.geteuid() else b"newold"
        assert_untouched(outside)

    def test_discarded_temporaries_are_gone(self, destination: Destination, root: Path) -> None:
        destination.write_temporary("temporary", b"data")
        destination.discard("temporary")
        destination.discard("temporary")
        assert os.listdir(root / STAGING_NAME) == []

    def test_it_is_removed_with_all_in_it(self, destination: Destination, root: Path) -> None:
        destination.write_temporary("temporary", b"data")
        assert destination.remove_staging(keep=True) is False
        assert destination.remove_staging() is True
        assert destination.remove_staging() is True
        assert os.listdir(root) == []
        put(destination, ("file",), b"used again")

    def test_an_empty_one_is_removed_anyway(self, destination: Destination, root: Path) -> None:
        put(destination, ("file",), b"data")
        assert destination.remove_staging(keep=True) is True
        assert os.listdir(root) == ["file"]


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

    def test_a_conflict_leaves_nothing_beside(self, destination: Destination, root: Path) -> None:
        destination.make_directory(("mounted", "file"))
        with pytest.raises(DestinationConflict):
            put(destination, ("mounted", "file"), b"data")
        assert os.listdir(root / "mounted") == ["file"]
        assert os.listdir(root / STAGING_NAME) == ["temporary"]
        destination.publish("temporary", ("mounted", "file"), 0o644, replace=True)
        assert (root / "mounted" / "file").read_bytes() == b"data"


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
        assert_untouched(outside)

    def test_a_tree_is_removed_and_links_are_not_followed(
        self, destination: Destination, root: Path, outside: Path
    ) -> None:
        destination.make_directory(("a", "b", "c"))
        put(destination, ("a", "b", "file"), b"data")
        (root / "a" / "link").symlink_to(outside)
        os.mkfifo(root / "a" / "fifo")
        (root / "a" / "b").chmod(0o500)
        destination.remove(("a", "link"))
        (root / "a" / "link").symlink_to(outside)
        destination.remove(("a",))
        destination.remove(("a",))
        destination.remove(("a", "b"))
        assert sorted(os.listdir(root)) == [STAGING_NAME]
        destination.make_directory(("a", "b"))
        assert_untouched(outside)

    def test_nothing_below_a_link_is_removed(self, destination: Destination, root: Path, outside: Path) -> None:
        (root / "link").symlink_to(outside)
        destination.remove(("link", "precious"))
        assert_untouched(outside)

    def test_the_root_itself_is_not_removed(self, destination: Destination) -> None:
        with pytest.raises(UnsafePath):
            destination.remove(())

    def test_it_can_be_flushed(self, destination: Destination, monkeypatch: pytest.MonkeyPatch) -> None:
        flushed: list[int] = []
        monkeypatch.setattr("snapdir.disk.destination.sync_filesystem", flushed.append)
        destination.sync()
        assert len(flushed) == 1


class TestRaces:
    """Somebody swaps a directory for a link at the worst moment: right before or after one system call of ours."""

    @pytest.fixture
    def swap(self, root: Path, outside: Path) -> Callable[[], None]:
        def swap() -> None:
            if not (root / "victim").is_symlink():
                os.rename(root / "victim", root / "moved")
                os.symlink(outside, root / "victim")

        return swap

    @staticmethod
    def hook(monkeypatch: pytest.MonkeyPatch, name: str, swap: Callable[[], None], *, after: bool, when: str) -> None:
        real = getattr(os, name)

        def hooked(*arguments, **options):
            ours = arguments[0] == when
            if ours and not after:
                swap()
            result = real(*arguments, **options)
            if ours and after:
                swap()
            return result

        monkeypatch.setattr(os, name, hooked)

    def test_a_directory_swapped_after_it_was_made_is_not_entered(
        self, destination: Destination, outside: Path, monkeypatch: pytest.MonkeyPatch, swap: Callable[[], None]
    ) -> None:
        self.hook(monkeypatch, "mkdir", swap, after=True, when="victim")
        with pytest.raises(DestinationConflict):
            destination.make_directory(("victim", "below"))
        assert_untouched(outside)

    def test_a_directory_swapped_before_it_is_opened_is_replaced_not_entered(
        self,
        destination: Destination,
        root: Path,
        outside: Path,
        monkeypatch: pytest.MonkeyPatch,
        swap: Callable[[], None],
    ) -> None:
        (root / "victim").mkdir()
        self.hook(monkeypatch, "open", swap, after=False, when="victim")
        with pytest.raises(DestinationConflict):
            destination.make_directory(("victim", "below"))
        assert_untouched(outside)

    @pytest.mark.parametrize("call", ["rename", "open"])
    def test_a_file_goes_into_the_directory_that_was_opened(
        self,
        destination: Destination,
        root: Path,
        outside: Path,
        monkeypatch: pytest.MonkeyPatch,
        swap: Callable[[], None],
        call: str,
    ) -> None:
        destination.make_directory(("victim",))
        self.hook(monkeypatch, call, swap, after=False, when="temporary")
        put(destination, ("victim", "precious"), b"data")
        assert (root / "moved" / "precious").read_bytes() == b"data"
        assert_untouched(outside)

    def test_a_mode_is_not_set_outside(
        self, destination: Destination, outside: Path, monkeypatch: pytest.MonkeyPatch, swap: Callable[[], None]
    ) -> None:
        destination.make_directory(("victim",))
        self.hook(monkeypatch, "open", swap, after=False, when="victim")
        with pytest.raises(DestinationConflict):
            destination.set_mode(("victim",), 0o777)
        assert_untouched(outside)

    @pytest.mark.parametrize("call", ["unlink", "open", "rmdir"])
    def test_nothing_is_removed_outside(
        self,
        destination: Destination,
        outside: Path,
        monkeypatch: pytest.MonkeyPatch,
        swap: Callable[[], None],
        call: str,
    ) -> None:
        destination.make_directory(("victim", "below"))
        self.hook(monkeypatch, call, swap, after=False, when="victim")
        try:
            destination.remove(("victim",))
        except LocalError:
            assert call != "unlink"
        assert_untouched(outside)


class TestThreads:
    def test_threads_share_it(self, destination: Destination, root: Path) -> None:
        """More directories than are kept open, all threads making all of them."""

        def write(thread: int) -> None:
            for number in range(300):
                names = (f"{number % 30}", f"{number}")
                destination.make_directory(names)
                destination.write_temporary(f"{thread}-{number}", f"{thread} {number}".encode())
                destination.publish(f"{thread}-{number}", (*names, f"{thread}"), 0o600)

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(write, range(6)))
        for number in range(300):
            for thread in range(6):
                assert (root / str(number % 30) / str(number) / str(thread)).read_text() == f"{thread} {number}"

    def test_threads_replace_one_obstacle_together(self, destination: Destination, root: Path) -> None:
        for round_number in range(20):
            (root / f"{round_number}").write_bytes(b"in the way")
            with ThreadPoolExecutor(4) as pool:
                names = (f"{round_number}", "below")
                list(pool.map(lambda _, names=names: destination.make_directory(names, replace=True), range(4)))
            assert (root / f"{round_number}" / "below").is_dir()
