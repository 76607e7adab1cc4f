"""How a store in a directory fails."""
# the tests look at the disk themselves; only the package must not block the loop

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from snapdir.errors import (
    AccessDenied,
    NoSpace,
    ObjectNotFound,
    StoreMissing,
    StoreRefused,
)
from snapdir.stores.base import FileRange
from snapdir.stores.file.store import FileStore
from snapdir.stores.settings import StoreSettings
from tests.stores.file.layout import MANIFEST, OBJECT, files, keys, opened, temporaries

pytestmark = pytest.mark.usefixtures("open_descriptors")


async def test_a_store_that_is_not_there_is_named(store: FileStore, root: Path) -> None:
    with pytest.raises(StoreMissing, match=f"store directory does not exist: {root}"):
        await store.stat(OBJECT)
    with pytest.raises(StoreMissing, match="does not exist"):
        await keys(store, ".manifests/")
    await store.delete([OBJECT])
    root.mkdir()
    with pytest.raises(ObjectNotFound):
        await store.stat(OBJECT)
    assert await keys(store, ".manifests/") == []


async def test_a_file_is_not_a_store(store: FileStore, root: Path) -> None:
    root.write_bytes(b"data")
    for call in (
        lambda: store.stat(OBJECT),
        lambda: store.read(OBJECT),
        lambda: store.write(OBJECT, b"data"),
        lambda: store.write(MANIFEST, b"data"),
        lambda: store.begin_upload(OBJECT, size=1, part_bytes=1),
        lambda: keys(store),
    ):
        with pytest.raises(StoreMissing, match=f"store is not a directory: {root}"):
            await call()


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EACCES, AccessDenied),
        (errno.EROFS, AccessDenied),
        (errno.ENOSPC, NoSpace),
        (errno.EDQUOT, NoSpace),
        (errno.EIO, StoreRefused),
    ],
)
async def test_a_system_error_becomes_ours_and_names_the_path(
    store: FileStore, root: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[Exception]
) -> None:
    await store.write(OBJECT, b"data")

    def refuse(path: str, *_: object) -> int:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(expected, match=str(root / OBJECT)):
        await store.read(OBJECT)
    with pytest.raises(expected, match=str(root / ".partial")):
        await store.write(OBJECT, b"data")


async def test_a_full_disk_publishes_nothing(small_disk: Path) -> None:
    store = FileStore(small_disk / "store", StoreSettings(fsync=False))
    await store.write("fits", bytes(100_000))
    too_much = b"data" * 500_000
    with opened(small_disk.parent / "source", too_much) as fd:
        for body in (too_much, FileRange(fd, 0, 2_000_000)):
            with pytest.raises(NoSpace, match=str(small_disk)):
                await store.write(OBJECT, body)
    assert files(small_disk / "store") == ["fits"]
    await store.write(OBJECT, bytes(100_000))


async def test_only_regular_files_are_objects(store: FileStore, root: Path) -> None:
    (root / "folder").mkdir(parents=True)
    os.mkfifo(root / "fifo")
    (root / "broken").symlink_to("nothing")
    for key in ("folder", "fifo", "broken"):
        with pytest.raises(ObjectNotFound):
            await store.read(key)
        with pytest.raises(ObjectNotFound):
            await store.stat(key)
    assert await keys(store) == []
    await store.delete(["folder"])
    assert (root / "folder").is_dir()


async def test_a_directory_in_place_of_an_object_is_an_error_that_names_it(store: FileStore, root: Path) -> None:
    (root / OBJECT / "inside").mkdir(parents=True)
    with pytest.raises(StoreRefused, match=f"{root / OBJECT}: expected a file, found a directory that is not empty"):
        await store.write(OBJECT, b"data")
    assert (root / OBJECT / "inside").is_dir()
    (root / "file").write_bytes(b"in the way")
    with pytest.raises(StoreRefused, match="file"):
        await store.write("file/below", b"data")
    assert (root / "file").read_bytes() == b"in the way"
    assert temporaries(root) == []
