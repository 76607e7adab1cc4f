"""How a store in a directory is listed."""
# the tests look at the disk themselves; only the package must not block the loop

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snapdir.stores.file.listing import listed
from snapdir.stores.file.store import FileStore
from tests.stores.file.layout import OBJECT, keys

pytestmark = pytest.mark.usefixtures("open_descriptors")


async def test_moved_directories_are_followed_once(store: FileStore, root: Path, tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "loop").symlink_to(tmp_path / "moved")
    root.mkdir()
    (root / ".objects").symlink_to(tmp_path / "moved")
    await store.write(OBJECT, b"data")
    assert await keys(store, ".objects/") == await keys(store) == [OBJECT]


def test_a_listing_reads_only_the_directories_it_needs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for first in "abc":
        for second in "xyz":
            (root / first / second).mkdir(parents=True)
            (root / first / second / "key").write_bytes(b"data")
    read = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (read.append(str(Path(path).relative_to(root))), real(path))[1])
    assert [info.key for info in listed(str(root), "b/", "b/y/key", hidden="")] == ["b/z/key"]
    assert read == ["b", "b/y", "b/z"]
    read.clear()
    next(listed(str(root), "", "", hidden=""))
    assert read == [".", "a", "a/x"], "and only when their turn comes"


def test_a_file_deleted_during_the_listing_is_left_out(root: Path) -> None:
    root.mkdir()
    for name in "abc":
        (root / name).write_bytes(b"data")
    found = listed(str(root), "", "", hidden="")
    assert next(found).key == "a"
    (root / "b").unlink()
    assert next(found).key == "c"
