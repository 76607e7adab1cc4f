"""What a store in a directory promises beyond the contract."""
# the tests look at the disk themselves; only the package must not block the loop

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from snapdir.errors import HashMismatchError, InFluxError, StoreRefused
from snapdir.hashing.crc32c import crc32c
from snapdir.hashing.tree import digest_of
from snapdir.stores.base import FileRange
from snapdir.stores.file import failures, writing
from snapdir.stores.file.store import FileStore
from snapdir.stores.settings import StoreSettings
from tests.stores.file.layout import MANIFEST, OBJECT, files, keys, mode, opened, temporaries

pytestmark = pytest.mark.usefixtures("open_descriptors")


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


# Layout and modes


async def test_the_key_is_the_path_and_the_store_is_made_by_the_first_write(store: FileStore, root: Path) -> None:
    await store.write(OBJECT, b"hello\n")
    await store.write(MANIFEST, b"manifest\n")
    assert files(root) == sorted([OBJECT, MANIFEST])
    assert store.local_path(OBJECT) == root / OBJECT
    assert store.url == f"file://{root}"


async def test_modes_come_from_the_umask_not_from_the_source(
    store: FileStore, root: Path, tmp_path: Path, umask: None
) -> None:
    with opened(tmp_path / "source", b"data") as fd:
        os.chmod(tmp_path / "source", 0o4600)
        await store.write(OBJECT, FileRange(fd, 0, 4))
    await store.write(MANIFEST, b"data")
    upload = await store.begin_upload(OBJECT[:-1], size=4, part_bytes=4)
    await upload.write_part(1, b"data")
    await upload.commit()
    assert mode(root / OBJECT) == mode(root / OBJECT[:-1]) == 0o440
    assert mode(root / MANIFEST) == 0o640
    assert {mode(path) for path in root.rglob("*") if path.is_dir()} == {0o750}


def test_a_relative_root_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = FileStore(Path("store"))
    monkeypatch.chdir("/")
    anyio.run(store.write, "key", b"data")
    assert (tmp_path / "store" / "key").read_bytes() == b"data"


@pytest.mark.parametrize("key", ["", "/a", "a//b", "a/", "../a", "a/../../b", ".", "a\0b", ".partial/x", "a\ud800"])
async def test_a_key_cannot_lead_elsewhere(store: FileStore, root: Path, key: str) -> None:
    await store.write("there", b"data")
    for call in (
        lambda: store.write(key, b"data"),
        lambda: store.read(key),
        lambda: store.stat(key),
        lambda: store.delete([key]),
        lambda: store.begin_upload(key, size=1, part_bytes=1),
    ):
        with pytest.raises(StoreRefused):
            await call()
    assert files(root) == ["there"]


# Writing


async def test_temporaries_never_stay_and_are_never_listed(store: FileStore, root: Path) -> None:
    upload = await store.begin_upload(OBJECT, size=10, part_bytes=10)
    assert len(temporaries(root)) == 1
    assert await keys(store) == await keys(store, ".p") == await keys(store, ".partial/x") == []
    await upload.abort()
    assert temporaries(root) == []


async def test_a_file_that_changed_is_not_published(store: FileStore, root: Path, tmp_path: Path) -> None:
    def check() -> None:
        raise InFluxError(tmp_path / "source")

    with opened(tmp_path / "source", b"data") as fd:
        for body in (FileRange(fd, 0, 4, check=check), FileRange(fd, 0, 5)):
            with pytest.raises(InFluxError, match="source"):
                await store.write(OBJECT, body)
    assert files(root) == []


async def test_the_source_is_checked_after_the_copy_and_before_the_rename(
    store: FileStore, root: Path, tmp_path: Path
) -> None:
    seen = []

    def check() -> None:
        (temporary,) = temporaries(root)
        seen.append((temporary.read_bytes(), (root / OBJECT).exists()))

    with opened(tmp_path / "source", b"data") as fd:
        await store.write(OBJECT, FileRange(fd, 0, 4, check=check))
    assert seen == [(b"data", False)]


async def test_a_long_copy_stops_when_its_caller_is_cancelled(
    store: FileStore, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first chunk cancels the caller; a second one must not be asked for."""
    chunks = []

    def copy_and_cancel(*arguments: int) -> int:
        chunks.append(arguments)
        anyio.from_thread.run_sync(scope.cancel)
        return real(arguments[0], arguments[1], 10, *arguments[3:])

    real = os.copy_file_range
    monkeypatch.setattr(os, "copy_file_range", copy_and_cancel)
    with opened(tmp_path / "source", bytes(1000)) as fd:
        with anyio.CancelScope() as scope:
            await FileStore(root, StoreSettings(clone=False)).write(OBJECT, FileRange(fd, 0, 1000))
        assert scope.cancelled_caught
    assert len(chunks) == 1
    assert files(root) == []


@pytest.mark.parametrize("known", [True, False])
async def test_verified_copies_are_read_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    store = FileStore(root, StoreSettings(fsync=False, verify_copies=True))
    real = writing.copy_contents

    def damaging(source_fd: int, target_fd: int, size: int, **options: object) -> None:
        real(source_fd, target_fd, size, **options)  # type: ignore[arg-type]
        os.pwrite(target_fd, b"!", 3)

    monkeypatch.setattr(writing, "copy_contents", damaging)
    with opened(tmp_path / "source", b"123456789") as fd, pytest.raises(HashMismatchError, match="e3069283"):
        await store.write(OBJECT, FileRange(fd, 0, 9, crc32c=0xE3069283 if known else None))
    await store.aclose()
    assert files(root) == []


@pytest.mark.parametrize("verified", [True, False])
async def test_a_damaged_copy_of_a_file_that_was_hashed_is_noticed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verified: bool
) -> None:
    """That it is the copy is said: the file still is what was hashed."""
    store = FileStore(root, StoreSettings(fsync=False, verify_copies=verified))
    real = writing.copy_contents

    def damaging(source_fd: int, target_fd: int, size: int, **options: object) -> None:
        real(source_fd, target_fd, size, **options)  # type: ignore[arg-type]
        os.pwrite(target_fd, b"!", 3)

    monkeypatch.setattr(writing, "copy_contents", damaging)
    with opened(tmp_path / "source", b"123456789") as fd, pytest.raises(HashMismatchError, match="partial"):
        await store.write(OBJECT, FileRange(fd, 0, 9, digest=digest_of(b"123456789")))
    await store.aclose()
    assert files(root) == []


@pytest.mark.parametrize("verified", [True, False])
async def test_an_error_names_a_file_that_changed_after_hashing(root: Path, verified: bool) -> None:
    store = FileStore(root, StoreSettings(fsync=False, verify_copies=verified))
    with opened(root.parent / "source", b"123456789") as fd:
        for known in ({"crc32c": 1}, {"digest": "f" * 64}):
            with pytest.raises(InFluxError, match="source"):
                await store.write(OBJECT, FileRange(fd, 0, 9, **known))
    await store.aclose()
    assert files(root) == []


async def test_an_error_names_a_file_of_which_a_part_changed_after_hashing(store: FileStore, root: Path) -> None:
    upload = await store.begin_upload(OBJECT, size=9, part_bytes=5)
    with opened(root.parent / "source", b"123456789") as fd:
        await upload.write_part(1, FileRange(fd, 0, 5, crc32c=crc32c(b"12345")))
        with pytest.raises(InFluxError, match="source"):
            await upload.write_part(2, FileRange(fd, 5, 4, crc32c=1))
    await upload.abort()
    assert files(root) == []


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP])
async def test_without_hard_links_a_conditional_write_still_writes(
    store: FileStore, root: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    assert await store.write(OBJECT, b"data", if_absent=True) is True
    assert await store.write(OBJECT, b"late", if_absent=True) is False
    assert (root / OBJECT).read_bytes() == b"data"
    assert temporaries(root) == []


async def test_a_lost_race_leaves_no_temporary(store: FileStore, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.write(OBJECT, b"first")
    taken = iter([False])
    real = os.path.isfile
    monkeypatch.setattr(os.path, "isfile", lambda path: next(taken, None) is None and real(path))
    assert await store.write(OBJECT, b"second", if_absent=True) is False
    assert (root / OBJECT).read_bytes() == b"first"
    assert temporaries(root) == []


async def test_parts_must_fit_and_none_may_be_missing(store: FileStore, root: Path) -> None:
    upload = await store.begin_upload(OBJECT, size=25, part_bytes=10)
    for number, size in [(0, 10), (1, 9), (1, 11), (3, 10), (4, 10), (4, 0)]:
        with pytest.raises(StoreRefused, match="does not fit"):
            await upload.write_part(number, bytes(size))
    await upload.write_part(1, bytes(10))
    await upload.write_part(3, bytes(5))
    with pytest.raises(StoreRefused, match="part 2 is missing"):
        await upload.commit()
    await upload.abort()
    assert files(root) == []


async def test_an_upload_of_nothing_is_an_empty_object(store: FileStore, root: Path) -> None:
    upload = await store.begin_upload(OBJECT, size=0, part_bytes=10)
    await upload.commit()
    assert (root / OBJECT).read_bytes() == b""


async def test_a_short_write_is_continued(store: FileStore, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, memoryview(data)[:3], at))
    await store.write("key", b"0123456789")
    assert (root / "key").read_bytes() == b"0123456789"


async def test_a_worker_thread_that_keeps_its_last_call_keeps_no_data(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker thread may keep a reference to its function for a while after the call."""
    kept = []
    real = failures.run_sync

    async def keeping(call: Callable[[], object]) -> object:
        kept.append(call)
        return await real(call)

    monkeypatch.setattr(failures, "run_sync", keeping)
    data = bytearray(b"0123456789")
    await store.write("key", data)
    upload = await store.begin_upload("large", size=10, part_bytes=10)
    await upload.write_part(1, memoryview(data))
    await upload.commit()
    await store.read_into("key", memoryview(data), start=0)
    data.extend(b"which fails while somebody holds a view of it")
    assert len(kept) == 5


# Durability


async def test_objects_are_durable_before_their_manifest(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    real = os.rename

    def rename(source: str, target: str) -> None:
        real(source, target)
        events.append(f"rename {Path(target).relative_to(root).parts[0]}")

    def sync_filesystem(path: str) -> None:
        assert (root / MANIFEST).parent.is_dir(), "its directories become durable with the rest"
        events.append("sync filesystem")

    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(os, "fsync", lambda fd: events.append("sync file"))
    monkeypatch.setattr(writing, "sync_directory", lambda fd: events.append("sync directory"))
    monkeypatch.setattr(writing, "sync_filesystem", sync_filesystem)
    store = FileStore(root, StoreSettings(fsync=True))
    await store.write(OBJECT, b"data")
    await store.write(MANIFEST, b"manifest")
    ordered = ["sync file", "rename .objects", "sync filesystem", "sync file", "rename .manifests", "sync directory"]
    assert events == ordered


async def test_flushing_can_be_switched_off(
    store: FileStore, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "fsync")
    monkeypatch.delattr(writing, "sync_filesystem")
    await store.write(MANIFEST, b"manifest")
    with opened(tmp_path / "source", b"data") as fd:
        await store.write(OBJECT, FileRange(fd, 0, 4))
    upload = await store.begin_upload(OBJECT[:-1], size=4, part_bytes=4)
    await upload.write_part(1, b"data")
    await upload.commit()
    await store.flush()
    assert await store.swap("swapped", None, b"data")
    await store.delete(["swapped"])
    batch = store.batch_writer()
    await anyio.to_thread.run_sync(partial(batch.put, "small", b"data", replace=True))
    assert files(root) == sorted([MANIFEST, OBJECT, OBJECT[:-1], "small"]), "named at once, and without a flush"
    batch.publish()


async def test_an_object_is_on_the_disk_before_it_has_a_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file has its full length once an upload begins: named too early, its zeros would be trusted."""
    flushed: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda fd: flushed.append(os.pread(fd, 100, 0)))
    store = FileStore(root)

    def rename(source: str, target: str) -> None:
        assert flushed[-1] == Path(source).read_bytes()
        real(source, target)

    real = os.rename
    monkeypatch.setattr(os, "rename", rename)
    upload = await store.begin_upload(OBJECT, size=10, part_bytes=10)
    await upload.write_part(1, b"ten bytes.")
    await upload.commit()
    await store.write(OBJECT[:-1], b"data")
    await store.write(".catalog/record", b"record")
    assert flushed == [b"ten bytes.", b"data", b"record"]


async def test_a_flush_is_one_of_the_filesystem(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    monkeypatch.setattr(writing, "sync_filesystem", flushed.append)
    store = FileStore(root)
    await store.flush()
    assert not flushed, "a store that is not there has nothing to flush"
    await store.write("key", b"data")
    await store.flush()
    assert flushed == [str(root)]


async def test_a_failed_flush_publishes_no_manifest(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(writing, "sync_filesystem", fail)
    with pytest.raises(StoreRefused, match="Input/output error"):
        await FileStore(root, StoreSettings(fsync=True)).write(MANIFEST, b"manifest")
    assert files(root) == []
