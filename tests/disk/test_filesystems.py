"""Facts about the filesystem of a path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snapdir.disk import filesystems
from snapdir.disk.filesystems import devices_of, filesystem_of, is_on_local_filesystem, memory_devices

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:26 / /home rw,nosuid shared:5 master:2 - nfs4 server:/home rw,vers=4.2
31 22 0:27 / /mnt/a\\040b rw - xfs /dev/sdb rw
32 31 0:28 / /mnt/a\\040b rw - tmpfs none rw
33 30 0:29 / /home/me/scratch rw - lustre mgs:/scratch rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/data", "ext4"),
        ("/home", "nfs4"),
        ("/home/me", "nfs4"),
        ("/homes", "ext4"),
        ("/home/me/scratch/x", "lustre"),
        ("/mnt/a b/c", "tmpfs"),
        ("/mnt/a", "ext4"),
    ],
)
def test_the_innermost_mount_that_is_on_top_holds_a_path(path: str, kind: str) -> None:
    assert filesystem_of(path, MOUNTS) == kind


def test_without_mounts_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert filesystem_of("/x", "") == ""
    monkeypatch.setattr(filesystems, "MOUNTS", tmp_path / "absent")
    assert not is_on_local_filesystem(tmp_path)


def test_links_are_followed_to_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to("here")
    mounts = tmp_path / "mounts"
    mounts.write_text(f"1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / {tmp_path}/here rw - nfs x rw\n")
    monkeypatch.setattr(filesystems, "MOUNTS", mounts)
    assert is_on_local_filesystem(tmp_path)
    assert not is_on_local_filesystem(tmp_path / "link" / "file")


@pytest.mark.parametrize("end", ["\u2028", "\x0c", "\x1c", "\x85", "\r"])
def test_a_name_may_hold_what_looks_like_the_end_of_a_line(end: str) -> None:
    mounts = f"1 0 8:1 / / rw - ext4 x rw\n2 1 0:40 / /a{end}b rw - tmpfs none rw\n3 1 0:41 / /c rw - tmpfs none rw\n"
    assert filesystem_of(f"/a{end}b/x", mounts) == "tmpfs"
    assert devices_of(frozenset({"tmpfs"}), mounts) == {os.makedev(0, 40), os.makedev(0, 41)}


@pytest.mark.parametrize("line", ["", "x", "1 2", "1 0 8 / / rw - ext4 x rw", "1 0 a:b / / rw - ext4 x rw"])
def test_a_line_that_is_none_is_left_out(line: str) -> None:
    mounts = f"{line}\n2 1 0:40 / /a rw - tmpfs none rw\n"
    assert filesystem_of("/a/x", mounts) == "tmpfs"
    assert devices_of(frozenset({"tmpfs", "ext4"}), mounts) == {os.makedev(0, 40)}


def test_the_devices_in_memory_are_those_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = os.stat(tmp_path).st_dev
    mounts = tmp_path / "mounts"
    monkeypatch.setattr(filesystems, "MOUNTS", mounts)
    for kind, expected in (("tmpfs", {device}), ("ramfs", {device}), ("nfs4", set()), ("ext4", set())):
        mounts.write_text(f"1 0 {os.major(device)}:{os.minor(device)} / / rw - {kind} x rw\n")
        assert memory_devices() == expected
    mounts.unlink()
    assert memory_devices() == set()
