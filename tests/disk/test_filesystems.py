"""What is known of a path's filesystem."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapdir.disk import filesystems
from snapdir.disk.filesystems import filesystem_of, is_on_local_filesystem

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
