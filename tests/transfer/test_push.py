"""push: every object once, the manifest last, and nothing that was not hashed."""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from blake3 import blake3

from snapdir.errors import InFluxError, SnapdirError, StoreError, UnsafeName, WalkFailed
from snapdir.hashing.tree import digest_of, manifest_id
from snapdir.model.keys import MANIFESTS, manifest_key, object_key
from snapdir.repository.known import KnownSnapshots
from snapdir.repository.presence import LISTED_PREFIXES
from snapdir.repository.repository import Repository
from snapdir.stores.base import Body, FileRange
from snapdir.stores.file.store import FileStore
from snapdir.stores.memory import MemoryUpload
from snapdir.transfer.engine.byte_budget import ByteBudget
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.push import PushOptions, push
from snapdir.transfer.snapshot import snapshot_tree
from snapdir.transfer.tree_options import TreeOptions
from snapdir.transfer.upload import objects
from tests.transfer.conftest import RecordingStore, push_tree

DISTINCT = 5  # alpha, nothing, large, two-parts, script


async def test_what_is_to_be_sent_is_all_taken_in_the_end(tree: Path, repository: Repository, limits: Limits) -> None:
    counters = Counters()
    await push(tree, repository, options=PushOptions(), limits=limits, counters=counters)
    assert 0 < counters.bytes_to_send == counters.bytes_taken == counters.bytes_sent
    again = Counters()
    await push(tree, repository, options=PushOptions(), limits=limits, counters=again)
    assert (again.bytes_to_send, again.bytes_taken) == (0, 0)


async def test_it_returns_the_id_of_the_tree(tree: Path, repository: Repository, limits: Limits) -> None:
    manifest = await anyio.to_thread.run_sync(snapshot_tree, tree, TreeOptions(), Counters())
    assert await push_tree(tree, repository, limits) == manifest_id(manifest)


async def test_a_store_that_one_page_shows_is_asked_for_no_object(
    tree: Path, store: RecordingStore, repository: Repository, limits: Limits
) -> None:
    await push_tree(tree, repository, limits)
    assert store.kinds() == {"list": 1, "read": 1, "write": 3 + 1, "begin_upload": 2}
    assert all(count == 1 for count in store.calls.values())


async def test_each_distinct_object_is_looked_up_once_and_sent_once(
    tree: Path, store: RecordingStore, repository: Repository, limits: Limits
) -> None:
    fill_pages(store)
    await push_tree(tree, repository, limits)
    assert all(count == 1 for count in store.calls.values())
    assert store.kinds() == {"list": 1, "stat": DISTINCT, "read": 1, "write": 3 + 1, "begin_upload": 2}


async def test_a_second_push_sends_nothing(
    tree: Path, store: RecordingStore, repository: Repository, limits: Limits
) -> None:
    first = await push_tree(tree, repository, limits)
    store.calls.clear()
    assert await push_tree(tree, repository, limits) == first
    assert store.kinds() == {"list": 1, "read": 1}


async def test_a_second_push_from_the_same_machine_takes_one_request(
    tmp_path: Path, tree: Path, store: RecordingStore, repository: Repository, limits: Limits
) -> None:
    known = KnownSnapshots(tmp_path / "cache", store.url)
    first = await push_tree(tree, repository, limits, known=known)
    store.calls.clear()
    assert await push_tree(tree, repository, limits, known=known) == first
    assert store.kinds() == {"read": 1}


@pytest.mark.parametrize("conditional", [True, False])
async def test_what_changed_since_the_last_push_is_sent_without_a_look_up(
    tmp_path: Path, tree: Path, store: RecordingStore, repository: Repository, limits: Limits, conditional: bool
) -> None:
    store.capabilities = store.capabilities._replace(conditional_write=conditional)
    known = KnownSnapshots(tmp_path / "cache", store.url)
    await push_tree(tree, repository, limits, known=known)
    store.calls.clear()
    (tree / "a").write_bytes(b"another")
    await push_tree(tree, repository, limits, known=known)
    assert store.kinds() == {"read": 2, "stat": DISTINCT, "write": 2}, (
        "the old manifest, the new one; what is believed to be there; the object, the manifest"
    )


async def test_a_store_with_few_objects_is_listed_rather_than_asked(
    tmp_path: Path, store: RecordingStore, repository: Repository, limits: Limits
) -> None:
    fill_pages(store)
    for number in range(3000):
        (tmp_path / str(number)).write_text(str(number))
    await push_tree(tmp_path, repository, limits)
    assert store.kinds()["list"] == 1 + LISTED_PREFIXES


async def test_a_store_that_is_known_to_be_empty_is_not_listed_again(
    tmp_path: Path, store: RecordingStore, repository: Repository, limits: Limits
) -> None:
    for number in range(2 * LISTED_PREFIXES):
        (tmp_path / str(number)).write_text(str(number))
    await push_tree(tmp_path, repository, limits)
    assert store.kinds()["list"] == 1


def fill_pages(store: RecordingStore) -> None:
    """More objects than one page of a listing shows."""
    for number in range(1100):
        store.objects[object_key(blake3(f"old {number}".encode()).hexdigest())] = b"old"


async def test_the_stored_bytes_are_the_files(
    tree: Path, store: RecordingStore, repository: Repository, limits: Limits
) -> None:
    await push_tree(tree, repository, limits)
    for file in (path for path in tree.rglob("*") if path.is_file()):
        data = file.read_bytes()
        assert store.objects[object_key(digest_of(data))] == data


async def test_the_manifest_is_written_after_every_object(
    tree: Path, store: RecordingStore, repository: Repository, limits: Limits
) -> None:
    await push_tree(tree, repository, limits)
    assert list(store.objects)[-1].startswith(MANIFESTS)


async def test_a_failed_upload_publishes_no_manifest(
    tree: Path, store: RecordingStore, repository: Repository, limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(key: str, body: Body, *, if_absent: bool = False) -> bool:
        raise StoreError("disk on fire", key=key)

    monkeypatch.setattr(store, "write", refuse)
    with pytest.raises(SnapdirError, match="disk on fire"):
        await push_tree(tree, repository, limits)
    assert not [key for key in store.objects if key.startswith(MANIFESTS)]


@pytest.mark.parametrize("stored", [b"", b"alph", b"alpha and more"], ids=["empty", "short", "long"])
async def test_an_object_of_the_wrong_length_is_sent_again(
    tree: Path, store: RecordingStore, repository: Repository, limits: Limits, stored: bytes
) -> None:
    key = object_key(digest_of(b"alpha"))
    store.objects[key] = stored
    await push_tree(tree, repository, limits)
    assert store.objects[key] == b"alpha"


async def test_recheck_replaces_damage_of_the_same_length(
    tree: Path, store: RecordingStore, repository: Repository, limits: Limits
) -> None:
    key = object_key(digest_of(b"alpha"))
    await push_tree(tree, repository, limits)
    store.objects[key] = b"alphA"
    await push_tree(tree, repository, limits)
    assert store.objects[key] == b"alphA"
    await push_tree(tree, repository, limits, recheck=True)
    assert store.objects[key] == b"alpha"


async def test_a_torn_manifest_is_written_again(
    tree: Path, store: RecordingStore, repository: Repository, limits: Limits
) -> None:
    key = manifest_key(await push_tree(tree, repository, limits))
    whole, store.objects[key] = store.objects[key], b""
    await push_tree(tree, repository, limits)
    assert store.objects[key] == whole


@pytest.mark.parametrize("name", ["two-parts", "large"])
async def test_a_file_that_changes_while_it_is_sent_fails_the_push_and_leaves_no_object(
    tree: Path,
    store: RecordingStore,
    repository: Repository,
    limits: Limits,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    file = tree / "sub" / name
    (tree / "sub" / "large-copy").unlink()
    begin = store.begin_upload
    size_before = file.stat().st_size

    async def begin_and_touch(key: str, *, size: int, **more: Any) -> object:
        if size == size_before:
            await anyio.to_thread.run_sync(overwrite, file)
        return await begin(key, size=size, **more)

    monkeypatch.setattr(store, "begin_upload", begin_and_touch)
    digest = digest_of(file.read_bytes())
    with pytest.raises(InFluxError, match=name):
        await push_tree(tree, repository, limits)
    assert object_key(digest) not in store.objects
    assert not [key for key in store.objects if key.startswith(MANIFESTS)]


def overwrite(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.write(b"changed!")
    os.utime(file, ns=(1, 1))


async def test_uploads_start_before_the_tree_is_hashed(
    tmp_path: Path, store: RecordingStore, repository: Repository, limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(limits.batch_files * 12):
        (tmp_path / f"f{number:05d}").write_text(str(number))
    counters = Counters()
    hashed_at_first_write: list[tuple[int, int]] = []
    write = store.write

    async def note(key: str, body: Body, *, if_absent: bool = False) -> bool:
        hashed_at_first_write.append((counters.files_done, counters.files_total))
        return await write(key, body, if_absent=if_absent)

    monkeypatch.setattr(store, "write", note)
    await push(tmp_path, repository, options=PushOptions(), limits=limits, counters=counters)
    assert hashed_at_first_write[0][0] < counters.files_total


async def test_memory_in_flight_stays_within_the_budget(
    tmp_path: Path, store: RecordingStore, repository: Repository, limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    peak = 0
    acquire = ByteBudget.acquire

    async def watch(self: ByteBudget, count: int) -> None:
        nonlocal peak
        await acquire(self, count)
        if self.total_bytes == budget:
            peak = max(peak, self.held_bytes)

    budget = 300_000
    monkeypatch.setattr(ByteBudget, "acquire", watch)
    for number in range(100):
        (tmp_path / str(number)).write_bytes(bytes([number]) * 50_000)
    await push_tree(tmp_path, repository, dataclasses.replace(limits, memory_bytes=budget))
    assert 50_000 <= peak <= budget


class OsThatFails:
    """The system, where files of some names cannot be opened."""

    def __init__(self, fail: Callable[[str], str], *names: str) -> None:
        self._fail = fail
        self._names = names

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def open(self, path: str, flags: int, **more: Any) -> int:
        opened = self._fail(path) if Path(path).name in self._names else path
        return os.open(opened, flags, **more)


def refused(path: str) -> str:
    raise PermissionError(errno.EACCES, "no", path)


def vanished(path: str) -> str:
    return f"{path} of a moment ago"


async def read_tree(verb: str, tree: Path, store: RecordingStore, limits: Limits) -> None:
    if verb == "push":
        await push_tree(tree, Repository(store), limits)
    else:
        await anyio.to_thread.run_sync(snapshot_tree, tree, TreeOptions(), Counters())


@pytest.mark.parametrize("verb", ["push", "id"])
async def test_unreadable_entries_are_all_named(
    tree: Path, store: RecordingStore, limits: Limits, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    for name in ("one", "two"):
        (tree / name).symlink_to("/proc/self/mem/x")  # no user can follow it
    small, large = ["a", "script"], ["large", "two-parts"]
    for module in ("snapdir.hashing.files.os", "snapdir.disk.long_paths.os"):
        monkeypatch.setattr(module, OsThatFails(refused, *small, *large))
    with pytest.raises(WalkFailed) as caught:
        await read_tree(verb, tree, store, limits)
    assert {Path(path).name for path, _ in caught.value.failures} == {"one", "two", *small, *large}
    assert all(str(tree / name) in str(caught.value) for name in ("one", "two", "a", "sub/script", "sub/large"))
    assert not [key for key in store.objects if key.startswith(MANIFESTS)]


@pytest.mark.parametrize("name", ["a", "large", "two-parts"])
@pytest.mark.parametrize("verb", ["push", "id"])
async def test_a_file_that_vanished_before_it_was_opened_is_in_flux(
    tree: Path, store: RecordingStore, limits: Limits, monkeypatch: pytest.MonkeyPatch, verb: str, name: str
) -> None:
    for module in ("snapdir.hashing.files.os", "snapdir.disk.long_paths.os"):
        monkeypatch.setattr(module, OsThatFails(vanished, name))
    with pytest.raises(InFluxError, match=rf"vanished while it was read: .*/{name};.*--exclude"):
        await read_tree(verb, tree, store, limits)
    assert not [key for key in store.objects if key.startswith(MANIFESTS)]


@pytest.mark.parametrize("name", ["new\nline", "carriage\r"])
async def test_names_that_no_manifest_can_carry_are_refused(
    tree: Path, store: RecordingStore, repository: Repository, limits: Limits, name: str
) -> None:
    (tree / name).touch()
    with pytest.raises(UnsafeName):
        await push_tree(tree, repository, limits)
    assert not [key for key in store.objects if key.startswith(MANIFESTS)]


async def test_followed_links_are_counted_in_a_warning(tree: Path, repository: Repository, limits: Limits) -> None:
    (tree / "link").symlink_to("a")
    (tree / "directory").symlink_to("sub/empty")
    counters = Counters()
    await push(tree, repository, options=PushOptions(), limits=limits, counters=counters)
    assert "2 followed link" in counters.warnings[0]


async def test_what_was_left_out_is_in_the_counters(tree: Path, repository: Repository, limits: Limits) -> None:
    before = await push_tree(tree, repository, limits)
    (tree / "broken").symlink_to("nowhere")
    os.mkfifo(tree / "sub" / "pipe")
    counters = Counters()
    after = await push(tree, repository, options=PushOptions(), limits=limits, counters=counters)
    assert after == before
    assert sorted(counters.left_out) == [("./broken", "broken link"), ("./sub/pipe", "FIFO")]
    assert len(counters.warnings) == 1


async def test_a_store_within_the_tree_is_warned_of(tree: Path, limits: Limits) -> None:
    counters = Counters()
    inside = Repository(FileStore(tree / "store"))
    await push(tree, inside, options=PushOptions(), limits=limits, counters=counters)
    assert "is inside" in counters.warnings[0]


@pytest.mark.parametrize("in_memory", [True, False])
async def test_a_store_is_told_of_files_that_wait_for_no_disk(
    in_memory: bool, tree: Path, limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory_seen = set[bool]()

    class ToldStore(RecordingStore):
        async def begin_upload(self, key: str, **more: Any) -> MemoryUpload:
            begun = await super().begin_upload(key, **more)
            write_part = begun.write_part

            async def write(number: int, body: Body) -> None:
                assert isinstance(body, FileRange)
                in_memory_seen.add(body.in_memory)
                await write_part(number, body)

            monkeypatch.setattr(begun, "write_part", write)
            return begun

    devices = frozenset({tree.stat().st_dev}) if in_memory else frozenset()
    monkeypatch.setattr(objects, "memory_devices", lambda: devices)
    await push_tree(tree, Repository(ToldStore()), limits)
    assert in_memory_seen == {in_memory}
