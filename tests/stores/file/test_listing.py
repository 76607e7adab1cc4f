"""How a store in a directory is listed."""
# the tests look at the disk themselves; only the package must not block the loop

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from snapdir.model.keys import manifest_key, object_key
from snapdir.stores.file.listing import listed
from snapdir.stores.file.store import FileStore
from snapdir.stores.settings import StoreSettings

pytestmark = pytest.mark.usefixtures("open_descriptors")

OBJECT = object_key("49dc870df1de7fd60794cebce449f5ccdae575affaa67a24b62acb03e039db92")
MANIFEST = manifest_key("5f3a0df5b7f2a2d0f6b0e6c8f4f2f9d2a4a1c0b7e8d9f0a1b2c3d4e5f6071829")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
async def store(root: Path) -> AsyncIterator[FileStore]:
    store = FileStore(root, StoreSettings(fsync=False))
    yield store
    await store.aclose()


async def keys(store: FileStore, prefix: str = "") -> list[str]:
    return [info.key for page in [page async for page in store.list(prefix)] for info in page]


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
