"""checkout: exact bytes and modes, nothing outside, nothing partly written."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from snapdir.errors import CorruptObject, DestinationConflict, ObjectNotFound, SnapdirError
from snapdir.hashing.files import SMALL_FILE_BYTES
from snapdir.hashing.tree import digest_of, manifest_id
from snapdir.model.keys import object_key
from snapdir.model.manifest import Manifest
from snapdir.model.paths import STAGING_NAME
from snapdir.repository.repository import Repository
from snapdir.stores.file.store import FileStore
from snapdir.stores.settings import StoreSettings
from snapdir.transfer.checkout import checkout
from snapdir.transfer.destination.options import CheckoutOptions
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.snapshot import snapshot_tree
from snapdir.transfer.tree_options import TreeOptions
from tests.transfer.conftest import RecordingStore, push_tree


@pytest.fixture
async def manifest(tree: Path, repository: Repository, store: RecordingStore, limits: Limits) -> Manifest:
    identifier = await push_tree(tree, repository, limits)
    manifest = await repository.read_manifest(identifier)
    store.calls.clear()
    return manifest


async def check_out(manifest: Manifest, source: Repository, into: Path, limits: Limits, **options: bool) -> Counters:
    counters = Counters()
    await checkout(manifest, source, into, options=CheckoutOptions(**options), limits=limits, counters=counters)
    return counters


async def id_of(root: Path) -> str:
    return manifest_id(await anyio.to_thread.run_sync(snapshot_tree, root, TreeOptions(), Counters()))


async def test_a_fresh_destination_has_the_same_id(
    tmp_path: Path, manifest: Manifest, repository: Repository, limits: Limits
) -> None:
    await check_out(manifest, repository, tmp_path / "deep" / "out", limits)
    assert await id_of(tmp_path / "deep" / "out") == manifest_id(manifest)


async def test_each_distinct_object_is_fetched_once(
    tmp_path: Path, manifest: Manifest, store: RecordingStore, repository: Repository, limits: Limits
) -> None:
    await check_out(manifest, repository, tmp_path / "out", limits)
    # alpha and script whole, large and two-parts in one stream each; an empty file needs no request
    assert store.kinds() == {"read": 2, "read_through": 2}


async def test_what_is_right_already_is_not_fetched(
    tmp_path: Path, manifest: Manifest, store: RecordingStore, repository: Repository, limits: Limits
) -> None:
    await check_out(manifest, repository, tmp_path / "out", limits)
    store.calls.clear()
    counters = await check_out(manifest, repository, tmp_path / "out", limits)
    assert not store.calls
    assert counters.files_done == counters.files_total


async def test_a_wrong_mode_is_mended_without_a_fetch(
    tmp_path: Path, manifest: Manifest, store: RecordingStore, repository: Repository, limits: Limits
) -> None:
    await check_out(manifest, repository, tmp_path / "out", limits)
    (tmp_path / "out" / "a").chmod(0o600)
    store.calls.clear()
    await check_out(manifest, repository, tmp_path / "out", limits)
    assert not store.calls
    assert await id_of(tmp_path / "out") == manifest_id(manifest)


async def test_large_files_that_are_there_are_hashed_by_threads_in_any_order(
    tmp_path: Path, store: RecordingStore, repository: Repository, limits: Limits
) -> None:
    tree, into = tmp_path / "large", tmp_path / "out"
    tree.mkdir()
    for number in range(6):
        (tree / f"{number}").write_bytes(bytes([number]) * (SMALL_FILE_BYTES + 1 + number))
    (tree / "small").write_bytes(b"small")
    identifier = await push_tree(tree, repository, limits)
    manifest = await repository.read_manifest(identifier)
    await check_out(manifest, repository, into, limits)
    (into / "1").write_bytes(b"x" * (SMALL_FILE_BYTES + 2))
    (into / "3").chmod(0o600)
    (into / "4").unlink()
    (into / "5").unlink()
    (into / "5").mkdir()
    store.calls.clear()
    counters = await check_out(manifest, repository, into, limits)
    assert {key for _, key in store.calls} == {
        object_key(digest_of((tree / name).read_bytes())) for name in ("1", "4", "5")
    }
    assert counters.files_replaced == 1
    assert await id_of(into) == manifest_id(manifest)


@pytest.mark.parametrize("delete", [False, True])
async def test_what_is_right_needs_no_right_to_write(
    tmp_path: Path,
    manifest: Manifest,
    repository: Repository,
    limits: Limits,
    delete: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A data set is often mounted to be read only, and every change there is refused, also one that changes nothing."""
    await check_out(manifest, repository, tmp_path / "out", limits)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    for change in ("chmod", "fchmod", "rmdir", "unlink", "rename", "utime"):
        monkeypatch.setattr(os, change, refuse)
    counters = await check_out(manifest, repository, tmp_path / "out", limits, delete=delete)
    assert counters.files_done == counters.files_total


@pytest.mark.parametrize("text", ["a file of somebody's", None], ids=["file", "link"])
async def test_what_only_has_the_name_of_the_staging_directory_stays(
    tmp_path: Path, manifest: Manifest, repository: Repository, limits: Limits, text: str | None
) -> None:
    await check_out(manifest, repository, tmp_path / "out", limits)
    there = tmp_path / "out" / STAGING_NAME
    if text is None:
        there.symlink_to("elsewhere")
    else:
        there.write_text(text)
    await check_out(manifest, repository, tmp_path / "out", limits)
    assert there.is_symlink() if text is None else there.read_text() == text


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_link(path: Path) -> None:
    target = path.parent.parent / "outside"
    target.write_text("outside")
    path.unlink()
    path.symlink_to(target)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"other"),
        lambda path: path.write_bytes(b"alphA"),
        lambda path: path.chmod(0o444),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), os.mkfifo(path)),
        make_directory,
        make_link,
    ],
    ids=["other size", "same size", "read only", "gone", "fifo", "empty directory", "link"],
)
async def test_whatever_stands_in_the_place_of_a_file_is_replaced(
    tmp_path: Path, manifest: Manifest, repository: Repository, limits: Limits, spoil
) -> None:
    out = tmp_path / "out"
    await check_out(manifest, repository, out, limits)
    spoil(out / "a")
    await check_out(manifest, repository, out, limits)
    assert await id_of(out) == manifest_id(manifest)
    if (tmp_path / "outside").exists():
        assert (tmp_path / "outside").read_text() == "outside"


async def test_no_overwrite_stops_before_anything_is_written(
    tmp_path: Path, manifest: Manifest, repository: Repository, limits: Limits
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a").write_text("mine")
    with pytest.raises(DestinationConflict, match=r"\./a"):
        await check_out(manifest, repository, out, limits, overwrite=False)
    assert os.listdir(out) == ["a"]
    assert (out / "a").read_text() == "mine"


async def test_files_that_the_snapshot_does_not_name_stay(
    tmp_path: Path, manifest: Manifest, repository: Repository, limits: Limits
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    await check_out(manifest, repository, tmp_path / "out", limits)
    assert (tmp_path / "out" / "mine").read_text() == "mine"


async def test_a_destination_that_is_a_file_is_refused(
    tmp_path: Path, manifest: Manifest, repository: Repository, limits: Limits
) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(DestinationConflict, match="out"):
        await check_out(manifest, repository, tmp_path / "out", limits)


@pytest.mark.parametrize("content", [b"alpha", bytes(range(256)) * 4096 * 3], ids=["small", "large"])
async def test_damage_in_the_store_is_found_and_gets_no_final_name(
    tmp_path: Path, manifest: Manifest, store: RecordingStore, repository: Repository, limits: Limits, content: bytes
) -> None:
    digest = digest_of(content)
    damaged = bytearray(content)
    damaged[len(damaged) // 2] ^= 1
    store.objects[object_key(digest)] = bytes(damaged)
    with pytest.raises(CorruptObject, match=digest):
        await check_out(manifest, repository, tmp_path / "out", limits)
    for file in (tmp_path / "out").rglob("*"):
        assert not file.is_file() or file.read_bytes() != bytes(damaged)
    assert not (tmp_path / "out" / STAGING_NAME).exists()


@pytest.mark.parametrize("content", [b"alpha", bytes(range(256)) * 4096 * 3], ids=["small", "large"])
async def test_damage_on_the_way_is_fetched_again(
    tmp_path: Path, manifest: Manifest, store: RecordingStore, repository: Repository, limits: Limits, content: bytes
) -> None:
    key = object_key(digest_of(content))
    store.objects[key] = bytes(len(content))
    reads = {"read": store.read, "read_through": store.read_through}

    def healing(kind: str):
        async def read(asked: str, *arguments: object, **keywords: object) -> object:
            answer = await reads[kind](asked, *arguments, **keywords)
            if asked == key:
                store.objects[key] = content
            return answer

        return read

    store.read = healing("read")
    store.read_through = healing("read_through")
    await check_out(manifest, repository, tmp_path / "out", limits)
    assert await id_of(tmp_path / "out") == manifest_id(manifest)


async def test_a_truncated_object_is_named(
    tmp_path: Path, manifest: Manifest, store: RecordingStore, repository: Repository, limits: Limits
) -> None:
    digest = digest_of(b"alpha")
    store.objects[object_key(digest)] = b"al"
    with pytest.raises(CorruptObject, match=digest):
        await check_out(manifest, repository, tmp_path / "out", limits)


async def test_a_missing_object_is_named(
    tmp_path: Path, manifest: Manifest, store: RecordingStore, repository: Repository, limits: Limits
) -> None:
    digest = digest_of(b"alpha")
    del store.objects[object_key(digest)]
    with pytest.raises(ObjectNotFound, match=digest[9:]):
        await check_out(manifest, repository, tmp_path / "out", limits)


async def test_a_full_disk_is_named_and_leaves_no_partial_file(
    small_disk: Path, manifest: Manifest, repository: Repository, limits: Limits
) -> None:
    with pytest.raises(SnapdirError, match="no space left"):
        await check_out(manifest, repository, small_disk, limits, fsync=False)
    sizes = {entry.path[2:]: entry.size for entry in manifest.files}
    for file in (path for path in small_disk.rglob("*") if path.is_file()):
        assert file.stat().st_size == sizes[str(file.relative_to(small_disk))]


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("fsync", [False, True])
async def test_a_checkout_is_flushed_once_or_never(
    tmp_path: Path, tree: Path, limits: Limits, monkeypatch: pytest.MonkeyPatch, fsync: bool, linked: bool
) -> None:
    cache = Repository(FileStore(tmp_path / "cache", StoreSettings()))
    identifier = await push_tree(tree, cache, limits)
    manifest = await cache.read_manifest(identifier)
    flushed: list[str] = []

    class Library:
        """A C library that notes which directory is flushed, and whether it was complete."""

        @staticmethod
        def syncfs(descriptor: ctypes.c_int) -> int:
            flushed.append(os.readlink(f"/proc/self/fd/{descriptor.value}"))
            assert (tmp_path / "out" / "sub" / "script").read_bytes() == b"#!/bin/sh\n"
            return 0

    monkeypatch.setattr(ctypes, "CDLL", lambda name, use_errno: Library)
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(f"file {descriptor}"))
    await check_out(manifest, cache, tmp_path / "out", limits, fsync=fsync, linked=linked)
    assert flushed == ([str(tmp_path / "out")] if fsync else [])


async def test_special_modes_are_restored_only_on_request(
    tmp_path: Path, repository: Repository, limits: Limits
) -> None:
    tree = tmp_path / "special"
    tree.mkdir()
    (tree / "tool").write_text("x")
    (tree / "tool").chmod(0o4755)
    identifier = await push_tree(tree, repository, limits)
    manifest = await repository.read_manifest(identifier)
    counters = await check_out(manifest, repository, tmp_path / "plain", limits)
    assert stat.S_IMODE((tmp_path / "plain" / "tool").stat().st_mode) == 0o755
    assert "--preserve-special-modes" in counters.warnings[0]
    await check_out(manifest, repository, tmp_path / "special-too", limits, preserve_special_modes=True)
    assert await id_of(tmp_path / "special-too") == identifier


async def test_a_followed_link_comes_back_with_its_targets_content(
    tmp_path: Path, tree: Path, repository: Repository, limits: Limits
) -> None:
    (tree / "link").symlink_to("sub/large")
    (tree / "sub" / "only").write_bytes(b"only through the link")
    (tree / "other").symlink_to("sub/only")
    identifier = await push_tree(tree, repository, limits)
    await check_out(await repository.read_manifest(identifier), repository, tmp_path / "out", limits)
    assert (tmp_path / "out" / "link").read_bytes() == (tree / "sub" / "large").read_bytes()
    assert (tmp_path / "out" / "other").read_bytes() == b"only through the link"


async def test_a_failed_run_keeps_what_it_received_only_on_request(
    tmp_path: Path, manifest: Manifest, store: RecordingStore, repository: Repository, limits: Limits
) -> None:
    content = bytes(range(256)) * 4096 * 3
    key = object_key(digest_of(content))
    store.objects[key] = content[:-1] + b"?"
    for keep in (False, True):
        with pytest.raises(CorruptObject):
            await check_out(manifest, repository, tmp_path / f"keep-{keep}", limits, keep=keep)
        kept = list((tmp_path / f"keep-{keep}").glob(f"{STAGING_NAME}/*.part"))
        assert len(kept) == keep
    store.objects[key] = content
    await check_out(manifest, repository, tmp_path / "keep-True", limits)
    assert await id_of(tmp_path / "keep-True") == manifest_id(manifest)


async def test_a_cancelled_checkout_cleans_up_and_the_next_one_ends_right(
    tmp_path: Path, store: RecordingStore, repository: Repository, limits: Limits
) -> None:
    """It is stopped when it waits for its last object and all others are in place."""
    tree, out = tmp_path / "small", tmp_path / "out"
    tree.mkdir()
    for name in ("a", "b", "last"):
        (tree / name).write_text(name)
    identifier = await push_tree(tree, repository, limits)
    manifest = await repository.read_manifest(identifier)
    read, counters = store.read, Counters()

    async def wait_for_last(key: str, **more: int) -> bytes:
        if key == object_key(digest_of(b"last")):
            await anyio.sleep_forever()
        return await read(key, **more)

    store.read = wait_for_last
    run = partial(checkout, manifest, repository, out, options=CheckoutOptions(), limits=limits, counters=counters)
    async with anyio.create_task_group() as group:
        group.start_soon(run)
        while counters.files_done < 2:
            await anyio.lowlevel.checkpoint()
        assert sorted(os.listdir(out)) == [STAGING_NAME, "a", "b"]
        group.cancel_scope.cancel()
    assert sorted(os.listdir(out)) == ["a", "b"]
    store.read = read
    await check_out(manifest, repository, out, limits)
    assert await id_of(out) == identifier
