"""Modes that the system refuses, and directories that hand their group on. (Refusals by the kernel: tests/e2e.)"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from snapdir.disk import directories, modes
from snapdir.disk.destination import Destination
from snapdir.disk.modes import RefusedModes, change_mode, is_member_of, set_mode

GROUP = 54_321 if os.geteuid() == 0 else os.getgid()
"""Of the shared directories: for root one that this process has not got."""
OTHER = GROUP + (os.geteuid() == 0)

pytestmark = pytest.mark.usefixtures("open_descriptors")


def shared(folder: Path, group: int = GROUP) -> Path:
    folder.mkdir(exist_ok=True)
    os.chown(folder, -1, group)
    folder.chmod(0o2770)
    return folder


def seen(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_gid, stat.S_IMODE(status.st_mode)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return shared(tmp_path / "root")


def fill(root: Path) -> None:
    """Write a file as a checkout does, in both of its ways."""
    with Destination.open(root) as destination:
        destination.make_directory(("sub", "deep"), 0o755)
        destination.staging.write("small", b"small", mode=0o644)
        assert destination.publish_at_once("small", ("sub", "small"))
        destination.staging.write("large", b"large")
        destination.publish("large", ("sub", "deep", "large"), 0o640)
        destination.place_link("small", ("sub", "link"))
        for names in (("sub", "deep"), ("sub",), ()):
            destination.set_mode(names, 0o755)
        assert destination.refused_modes.warnings() == []
        destination.staging.remove()


def test_all_that_is_made_below_a_shared_directory_has_its_group_and_bit(root: Path) -> None:
    fill(root)
    for folder in (root, root / "sub", root / "sub/deep"):
        assert seen(folder) == (GROUP, 0o2755)
    assert seen(root / "sub/small") == (GROUP, 0o644)
    assert seen(root / "sub/deep/large") == (GROUP, 0o640)
    assert (root / "sub/link").lstat().st_gid == GROUP


def test_the_staging_directory_keeps_the_bit_and_is_private(root: Path) -> None:
    with Destination.open(root) as destination:
        os.close(destination.staging.create("temporary"))
        assert seen(root / ".snapdir-partial") == (GROUP, 0o2700)
        assert (root / ".snapdir-partial/temporary").stat().st_gid == GROUP
        destination.staging.remove()


def test_files_get_the_group_of_their_directory_where_the_root_has_another(root: Path) -> None:
    shared(root / "sub", OTHER)
    with Destination.open(root) as destination:
        destination.make_directory(("sub",))
        destination.staging.write("small", b"small", mode=0o644)
        assert destination.publish_at_once("small", ("sub", "small")) == (GROUP == OTHER)
        destination.staging.write("large", b"large")
        destination.publish("large", ("sub", "large"), 0o4755)
        destination.staging.remove()
    assert seen(root / "sub/large") == (OTHER, 0o4755)


def test_a_group_that_cannot_be_given_is_got_in_its_directory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "fchown", refuse)
    shared(root / "sub", OTHER)
    with Destination.open(root) as destination:
        destination.staging.write("file", b"content")
        destination.publish("file", ("sub", "file"), 0o644)
        destination.staging.remove()
    assert seen(root / "sub/file") == (OTHER, 0o644)
    assert (root / "sub/file").read_bytes() == b"content"
    assert os.listdir(root / "sub") == ["file"]


def test_who_is_not_in_the_group_takes_no_bit_away(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (modes, directories):
        monkeypatch.setattr(module, "is_member_of", lambda _: False)
    with Destination.open(root) as destination:
        destination.make_directory(("new",), 0o755)
        destination.set_mode(("new",), 0o755)
        assert destination.refused_modes.warnings() == []
        destination.set_mode(("new",), 0o700)
        (warning,) = destination.refused_modes.warnings()
    assert warning == "the mode of 1 path(s) could not be set (./new); their content is complete"
    assert seen(root / "new") == (GROUP, 0o2755)


def test_a_bit_goes_only_on_request(root: Path) -> None:
    with Destination.open(root) as destination:
        destination.set_mode((), 0o750)
        assert seen(root) == (GROUP, 0o2750)
        destination.set_mode((), 0o755, keep_group_bit=False)
    assert seen(root) == (GROUP, 0o755)


def test_without_the_bit_a_directory_hands_nothing_on(tmp_path: Path) -> None:
    with Destination.open(tmp_path / "plain") as destination:
        assert destination.directories.root_handle.group is None
        destination.make_directory(("sub",), 0o755)
        assert seen(tmp_path / "plain/sub")[1] == 0o700, "private until it is complete"


def test_root_and_members_may_set_the_bit() -> None:
    assert is_member_of(os.getegid())
    assert is_member_of(99_999) == (os.geteuid() == 0)


@pytest.mark.parametrize("set_it", [set_mode, change_mode])
def test_a_mode_is_set(tmp_path: Path, set_it: Callable[[int, int], bool]) -> None:
    file = tmp_path / "file"
    file.touch(0o600)
    descriptor = os.open(file, os.O_RDONLY)
    assert set_it(descriptor, 0o4751)
    assert stat.S_IMODE(file.stat().st_mode) == 0o4751
    os.close(descriptor)


def test_three_are_named_and_all_are_counted() -> None:
    refused = RefusedModes()
    for name in "abcde":
        refused.add(f"./{name}")
    (warning,) = refused.warnings()
    assert "of 5 path(s)" in warning
    assert "(./a, ./b, ./c and 2 more)" in warning
