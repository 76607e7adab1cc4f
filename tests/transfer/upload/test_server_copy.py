"""Objects copied within one service: its requests, and services that refuse."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

# It takes sendfile by name, before `free_loop` puts a check in its place.
import snapdir.stores.s3.http.senders  # noqa: F401
from snapdir.errors import (
    AccessDenied,
    ConnectionFailed,
    CorruptObject,
    InvalidResponse,
    ObjectNotFound,
    SnapdirError,
    StoreMissing,
    StoreRefused,
    Throttled,
)
from snapdir.model.digest import SnapshotId
from snapdir.model.keys import OBJECTS
from snapdir.model.sizes import KIB, MIB
from snapdir.repository.repository import Repository
from snapdir.stores.base import Capabilities, StillAtWork, Store
from snapdir.stores.memory import MemoryUpload
from snapdir.stores.open import open_store
from snapdir.stores.wrapper import StoreWrapper
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.sync import StoreSync, SyncOptions
from snapdir.transfer.verify import check_snapshot
from tests.rclone_server import RcloneServer, s3_server
from tests.transfer.conftest import RecordingStore, push_tree

__all__ = ["s3_server"]


class Service:
    """Buckets that copy among themselves, or refuse to."""

    def __init__(self, *, whole: type[SnapdirError] | None = None, parts: str = "copied") -> None:
        self.buckets: dict[str, ServedStore] = {}
        self.whole = whole
        self.parts = parts

    def bucket(self, name: str) -> ServedStore:
        self.buckets[name] = ServedStore(self, name)
        return self.buckets[name]

    def find(self, source: str) -> bytes:
        bucket, _, key = source.partition("/")
        found = self.buckets[bucket].objects.get(key)
        if found is None:
            raise ObjectNotFound(key)
        return found


class ServedStore(RecordingStore):
    """One of its buckets."""

    def __init__(self, service: Service, name: str) -> None:
        super().__init__()
        self.service = service
        self.capabilities = self.capabilities._replace(
            copy_service="a service", copy_prefix=f"{name}/", max_copy_bytes=512 * KIB
        )

    async def copy_from(self, key: str, source: str) -> None:
        self.calls["copy", key] += 1
        if self.service.whole is StoreRefused:
            self.objects[key] = b""  # what a service makes of a header that it does not know
        if self.service.whole is not None:
            raise self.service.whole("copying is off")
        self.objects[key] = self.service.find(source)

    async def begin_upload(self, key: str, **more: int) -> ServedUpload:
        self.calls["begin_upload", key] += 1
        return ServedUpload(self, key, more["size"], more["part_bytes"])


class ServedUpload(MemoryUpload):
    def __init__(self, store: ServedStore, key: str, size: int, part_bytes: int) -> None:
        super().__init__(lambda data: store.objects.__setitem__(key, data), key, size, part_bytes)
        self._store = store

    async def copy_part(self, number: int, source: str, *, start: int, length: int) -> None:
        self._store.calls["copy part", str(number)] += 1
        if self._store.service.parts == "refused" or (self._store.service.parts == "refused later" and number > 1):
            raise StoreRefused("no parts")
        await self.write_part(number, self._store.service.find(source)[start : start + length])


async def pushed(tree: Path, store: Store) -> SnapshotId:
    return await push_tree(tree, Repository(store), Limits())


async def synced(
    snapshot: SnapshotId,
    source: Store,
    target: Store,
    limits: Limits,
    *,
    server_copy: bool = True,
    recheck: bool = False,
) -> Counters:
    counters = Counters()
    there, here = Repository(source), Repository(target)
    options = SyncOptions(recheck, server_copy)
    await StoreSync(there, here, options=options, limits=limits, counters=counters).copy(snapshot)
    return counters


def reads_of_objects(store: RecordingStore) -> int:
    return sum(count for (kind, key), count in store.calls.items() if kind.startswith("read") and OBJECTS in key)


async def test_no_byte_of_an_object_passes_through(tree: Path, limits: Limits) -> None:
    service = Service()
    source, target = service.bucket("one"), service.bucket("other")
    snapshot = await pushed(tree, source)
    counters = await synced(snapshot, source, target, limits)
    assert target.objects == source.objects
    assert (reads_of_objects(source), target.kinds()["write"]) == (0, 1)
    assert target.kinds()["copy part"] > 4
    assert (counters.objects_sent, counters.bytes_sent) == (5, counters.bytes_done)


@pytest.mark.parametrize(
    "refusal", [StoreRefused, AccessDenied, StoreMissing, ConnectionFailed, StillAtWork, InvalidResponse, Throttled]
)
@pytest.mark.parametrize("parts", ["copied", "refused", "refused later"])
async def test_a_copy_that_fails_is_tried_once_and_the_bytes_are_sent(
    refusal: type[SnapdirError], parts: str, tree: Path, limits: Limits
) -> None:
    service = Service(whole=refusal, parts=parts)
    source, target = service.bucket("one"), service.bucket("other")
    snapshot = await pushed(tree, source)
    counters = await synced(snapshot, source, target, replace(limits, jobs=1))
    assert target.objects == source.objects
    assert target.kinds()["copy"] == 1
    (warning,) = counters.warnings
    assert warning.startswith(f"the service cannot copy to {target.url}")
    assert counters.at_work == 0


async def test_a_copy_that_may_not_be_taken_back_is_replaced(tree: Path, limits: Limits) -> None:
    class Kept(ServedStore):
        async def delete(self, keys: Sequence[str]) -> None:
            raise AccessDenied("nothing may be deleted")

    service = Service(whole=StoreRefused)
    source, target = service.bucket("one"), Kept(service, "other")
    snapshot = await pushed(tree, source)
    await synced(snapshot, source, target, limits)
    assert target.objects == source.objects


async def test_what_another_program_sent_while_a_copy_failed_stays(tree: Path, limits: Limits) -> None:
    class Shared(ServedStore):
        async def copy_from(self, key: str, source: str) -> None:
            self.objects[key] = self.service.find(source)
            raise ConnectionFailed("no answer")

        async def delete(self, keys: Sequence[str]) -> None:
            self.calls["delete", keys[0]] += 1

    service = Service()
    source, target = service.bucket("one"), Shared(service, "other")
    snapshot = await pushed(tree, source)
    await synced(snapshot, source, target, limits)
    assert (target.objects, target.kinds()["delete"]) == (source.objects, 0)


async def test_what_the_service_copies_is_said_to_be_at_work(tree: Path, limits: Limits) -> None:
    class Slow(ServedStore):
        async def copy_from(self, key: str, source: str) -> None:
            at_work.append(counters.at_work)
            await super().copy_from(key, source)

    at_work: list[int] = []
    service = Service()
    source, target = service.bucket("one"), Slow(service, "other")
    snapshot = await pushed(tree, source)
    counters = Counters()
    there, here = Repository(source), Repository(target)
    await StoreSync(there, here, options=SyncOptions(), limits=limits, counters=counters).copy(snapshot)
    assert (min(at_work) > 0, counters.at_work, counters.warnings) == (True, 0, [])


@pytest.mark.parametrize("option", ["no server copy", "recheck"])
async def test_whoever_wants_hashes_gets_them(option: str, tree: Path, limits: Limits) -> None:
    service = Service()
    source, target = service.bucket("one"), service.bucket("other")
    snapshot = await pushed(tree, source)
    wanted = {"server_copy": False} if option == "no server copy" else {"recheck": True}
    await synced(snapshot, source, target, limits, **wanted)
    assert (target.objects, target.kinds()["copy"]) == (source.objects, 0)


async def test_stores_of_two_services_send_their_bytes(tree: Path, limits: Limits) -> None:
    source, target = Service().bucket("one"), Service().bucket("other")
    target.capabilities = target.capabilities._replace(copy_service="another")
    snapshot = await pushed(tree, source)
    await synced(snapshot, source, target, limits)
    assert (target.objects, target.kinds()["copy"]) == (source.objects, 0)


async def test_an_object_of_the_wrong_length_is_not_copied(tree: Path, limits: Limits) -> None:
    service = Service()
    source, target = service.bucket("one"), service.bucket("other")
    snapshot = await pushed(tree, source)
    damaged = next(key for key, data in source.objects.items() if data == b"alpha")
    source.objects[damaged] = b"alp"
    with pytest.raises(CorruptObject):
        await synced(snapshot, source, target, limits)
    assert damaged not in target.objects
    assert not [key for key in target.objects if not key.startswith(OBJECTS)]


async def test_an_absent_object_is_told_in_the_words_of_the_source(tree: Path, limits: Limits) -> None:
    service = Service()
    source, target = service.bucket("one"), service.bucket("other")
    snapshot = await pushed(tree, source)
    del source.objects[next(key for key, data in source.objects.items() if data == b"alpha")]
    with pytest.raises(ObjectNotFound):
        await synced(snapshot, source, target, limits)


class CountingStore(StoreWrapper):
    """A real store whose calls on objects are counted, and that may copy whole objects only up to a length."""

    def __init__(self, inner: Store, max_copy_bytes: int) -> None:
        super().__init__(inner)
        self.calls: Counter[str] = Counter()
        self._max_copy_bytes = max_copy_bytes

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities._replace(max_copy_bytes=self._max_copy_bytes)

    async def copy_from(self, key: str, source: str) -> None:
        self.calls["copy"] += 1
        await super().copy_from(key, source)

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        self.calls["read"] += key.startswith(OBJECTS)
        return await super().read(key, start=start, length=length)

    async def read_into(self, key: str, buffer: memoryview, *, start: int) -> int:
        self.calls["read"] += 1
        return await super().read_into(key, buffer, start=start)


@asynccontextmanager
async def two_prefixes(server: RcloneServer, max_copy_bytes: int) -> AsyncIterator[tuple[CountingStore, CountingStore]]:
    place = f"s3://{server.bucket}/copied-by-server/{max_copy_bytes}"
    async with open_store(f"{place}/from") as one, open_store(f"{place}/to") as other:
        assert one.capabilities.copy_prefix == f"{server.bucket}/copied-by-server/{max_copy_bytes}/from/"
        yield CountingStore(one, max_copy_bytes), CountingStore(other, max_copy_bytes)


@pytest.mark.parametrize(("max_copy_bytes", "copies", "reads"), [(64 * MIB, 5, False), (MIB, 3, True)])
async def test_a_real_server_copies_and_what_it_cannot_is_sent(
    max_copy_bytes: int, copies: int, reads: bool, s3_server: RcloneServer, tree: Path, limits: Limits,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """rclone copies whole objects; a part it would take for an empty one, which is noticed."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    async with two_prefixes(s3_server, max_copy_bytes) as (source, target):
        snapshot = await pushed(tree, source)
        await synced(snapshot, source, target, limits)
        (await check_snapshot(snapshot, Repository(target.inner), limits=limits, counters=Counters())).require_sound()
        assert (target.calls["copy"], source.calls["read"] > 0) == (copies, reads)


async def test_an_object_of_unknown_length_that_the_target_has_is_not_asked_of_the_source(
    tree: Path, limits: Limits
) -> None:
    (tree / "a").chmod(0o777)
    (tree / "same-as-a").chmod(0o777)
    source, target = RecordingStore(), RecordingStore()
    snapshot = await pushed(tree, source)
    key = next(key for key, data in source.objects.items() if data == b"alpha")
    target.objects[key] = b"alpha"
    del source.objects[key]
    counters = await synced(snapshot, source, target, limits)
    assert counters.objects_skipped == 1
    del target.objects[key]
    target.objects = {key: data for key, data in target.objects.items() if key.startswith(OBJECTS)}
    with pytest.raises(ObjectNotFound):
        await synced(snapshot, source, target, limits)
