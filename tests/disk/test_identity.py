from __future__ import annotations

import os
from pathlib import Path

import pytest

from snapdir.disk.identity import FileIdentity


def test_an_untouched_file_keeps_its_identity(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    assert FileIdentity.of(os.stat(file)) == FileIdentity.of(os.stat(file))


@pytest.mark.parametrize("change", ["size", "mtime", "mode", "replaced"])
def test_a_change_shows_in_the_identity(tmp_path: Path, change: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    os.utime(file, ns=(10**18, 10**18))
    before = FileIdentity.of(os.stat(file))
    if change == "size":
        os.truncate(file, 3)
        os.utime(file, ns=(10**18, 10**18))
    elif change == "mtime":
        os.utime(file, ns=(10**18, 10**18 + 1))
    elif change == "mode":
        while os.stat(file).st_ctime_ns == before.ctime_ns:  # until the clock of the filesystem ticks
            file.chmod(0o600)
    else:
        (tmp_path / "new").write_bytes(b"content")
        os.utime(tmp_path / "new", ns=(10**18, 10**18))
        os.replace(tmp_path / "new", file)
    assert FileIdentity.of(os.stat(file)) != before


def test_an_identity_holds_what_the_system_says(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    status = os.stat(file)
    identity = FileIdentity.of(status)
    assert identity == (7, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)
    with pytest.raises(AttributeError):
        identity.size = 8  # type: ignore[misc]
