"""No race with a destination changes anything outside, and its own threads do not disturb each other."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from snapdir.disk.destination import Destination
from snapdir.disk.directories import remove_tree
from snapdir.errors import DestinationConflict

pytestmark = pytest.mark.usefixtures("open_descriptors")


def put(destination: Destination, names: tuple[str, ...], data: bytes, mode: int = 0o644, **options: bool) -> None:
    destination.staging.write("temporary", data)
    destination.publish("temporary", names, mode, **options)


class TestRaces:
    """Replaces a directory by a link right before or after one system call of snapdir."""

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

    def test_a_mode_is_not_set_outside(
        self, destination: Destination, outside: Path, monkeypatch: pytest.MonkeyPatch, swap: Callable[[], None]
    ) -> None:
        destination.make_directory(("victim",))
        self.hook(monkeypatch, "open", swap, after=False, when="victim")
        with pytest.raises(DestinationConflict):
            destination.set_mode(("victim",), 0o777)

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
            remove_tree("victim", dir_fd=destination.directories.root_handle.fd)
        except OSError:
            assert call != "unlink"


class TestThreads:
    def test_threads_share_it(self, destination: Destination, root: Path) -> None:
        """More directories than are kept open; every thread creates all of them."""

        def write(thread: int) -> None:
            for number in range(300):
                names = (f"{number % 30}", f"{number}")
                destination.make_directory(names)
                destination.staging.write(f"{thread}-{number}", f"{thread} {number}".encode())
                destination.publish(f"{thread}-{number}", (*names, f"{thread}"), 0o600)

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(write, range(6)))
        for number in range(300):
            for thread in range(6):
                assert (root / str(number % 30) / str(number) / str(thread)).read_text() == f"{thread} {number}"

    def test_threads_replace_one_empty_directory_together(self, destination: Destination, root: Path) -> None:
        def write(thread: int, name: str) -> None:
            destination.staging.write(f"{thread}", name.encode())
            destination.publish(f"{thread}", (name,), 0o600)

        for round_number in range(20):
            name = f"{round_number}"
            (root / name).mkdir()
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(write, range(4), [name] * 4))
            assert (root / name).read_text() == name
