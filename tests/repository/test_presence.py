"""Presence of objects is determined with as few requests as possible."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import anyio.to_thread
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from snapdir.hashing.crc32c import crc32c
from snapdir.hashing.tree import manifest_id
from snapdir.model.digest import SnapshotId
from snapdir.model.entry import DIRECTORY, FILE, Entry
from snapdir.model.keys import manifest_key, object_key
from snapdir.model.manifest import Manifest
from snapdir.repository import presence as presence_module
from snapdir.repository.known import MAX_SNAPSHOTS, KnownObjects, KnownSnapshots
from snapdir.repository.presence import LISTED_PREFIXES, SAMPLE_OBJECTS, Answer, Presence, listing_pays
from snapdir.repository.repository import Repository
from snapdir.stores.base import ObjectInfo, Page
from snapdir.stores.memory import MemoryStore
from tests.unsorted import by_hash as in_another_order

TEXT = Manifest([])
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)


def digest(number: int) -> str:
    return blake3(str(number).encode()).hexdigest()


def filled(count: int) -> MemoryStore:
    return MemoryStore({object_key(digest(number)): b"x" for number in range(count)})


@given(st.sets(digests), digests)
def test_known_objects_are_exactly_those_noted(
    tmp_path_factory: pytest.TempPathFactory, noted: set[str], other: str
) -> None:
    known = KnownObjects.of(noted)
    assert len(known) == len(noted)
    assert known == KnownObjects.of([*noted, *noted])
    assert (known == KnownObjects.of({*noted, other})) == (other in noted)
    assert all(one in known for one in noted)
    assert (other in known) == (other in noted)


def test_hints_survive_and_the_oldest_are_forgotten(tmp_path: Path) -> None:
    known = KnownSnapshots(tmp_path, "s3://b/p")
    ids = [SnapshotId(digest(number)) for number in range(MAX_SNAPSHOTS + 2)]
    for number, snapshot_id in enumerate(ids):
        known.remember(snapshot_id, [digest(100 + number)], TEXT)
    assert set(known.latest()) <= set(ids)
    assert len(list(known.latest())) == MAX_SNAPSHOTS
    hint = known.read(ids[-1])
    assert hint is not None
    assert digest(100 + len(ids) - 1) in hint.objects
    assert (hint.manifest_bytes, hint.manifest_crc32c) == (TEXT.stored_bytes, crc32c(TEXT.stored))
    assert not list(KnownSnapshots(tmp_path, "s3://b/other").latest())


@pytest.mark.parametrize("damage", ["torn", "shorter", "empty", "flipped", "gone"])
def test_a_damaged_hint_is_no_hint(tmp_path: Path, damage: str) -> None:
    known = KnownSnapshots(tmp_path, "s3://b/p")
    snapshot_id = SnapshotId(digest(0))
    known.remember(snapshot_id, [digest(1), digest(2)], TEXT)
    file = next(path for path in tmp_path.rglob("*") if path.is_file())
    whole = file.read_bytes()
    damaged = {"torn": whole[:-1], "shorter": whole[32:], "empty": b"", "flipped": bytes([whole[0] ^ 1]) + whole[1:]}
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(damaged[damage])
    assert known.read(snapshot_id) is None


def test_what_is_forgotten_is_no_hint_any_more(tmp_path: Path) -> None:
    known, other = KnownSnapshots(tmp_path, "s3://b/p"), KnownSnapshots(tmp_path, "s3://b/other")
    for hints in (known, other):
        hints.remember(SnapshotId(digest(0)), [digest(1)], TEXT)
        hints.remember(SnapshotId(digest(1)), [digest(1)], TEXT)
    known.forget()
    assert not list(known.latest())
    assert len(list(other.latest())) == 2


def test_a_cache_that_cannot_be_written_costs_only_the_hint(tmp_path: Path) -> None:
    (tmp_path / ".known").write_text("in the way")
    KnownSnapshots(tmp_path, "s3://b/p").remember(SnapshotId(digest(0)), [digest(1)], TEXT)
    assert not list(KnownSnapshots(tmp_path, "s3://b/p").latest())


def publish(store: MemoryStore, *named: str) -> tuple[SnapshotId, Manifest]:
    """A snapshot that names these objects, each of one byte."""
    files = [Entry(FILE, "644", checksum, 1, f"./{number}") for number, checksum in enumerate(named)]
    manifest = Manifest([Entry(DIRECTORY, "755", digest(0), 0, "./"), *files])
    identifier = manifest_id(manifest)
    store.objects[manifest_key(identifier)] = manifest.stored
    return identifier, manifest


async def hinted(store: MemoryStore, cache: Path, *noted: str, named: tuple[str, ...] = ()) -> Presence:
    """What is known by the hint that a published snapshot holds what is ``noted``."""
    known = KnownSnapshots(cache, store.url)
    identifier, manifest = publish(store, *(named or noted))
    await anyio.to_thread.run_sync(known.remember, identifier, noted, manifest)
    presence = Presence(Repository(store), random=Random(1))
    await presence.learn(known)
    return presence


async def test_a_confirmed_hint_answers_without_a_request(tmp_path: Path) -> None:
    presence = await hinted(filled(0), tmp_path, digest(1))
    assert presence.confirmed
    assert presence.answer(digest(1), 1) is Answer.PRESENT
    assert presence.answer(digest(2), 5) is Answer.PROBABLY_ABSENT


async def test_only_what_the_manifest_names_is_believed(tmp_path: Path) -> None:
    presence = await hinted(filled(2), tmp_path, digest(0), digest(1), named=(digest(0),))
    assert presence.answer(digest(0), 1) is Answer.PRESENT
    assert presence.answer(digest(1), 1) is Answer.PROBABLY_ABSENT


@pytest.mark.parametrize("longest", [1 << 20, 0], ids=["read", "looked up"])
@pytest.mark.parametrize("damage", ["flipped", "shorter", "gone"])
async def test_a_hint_whose_manifest_is_damaged_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str, longest: int
) -> None:
    monkeypatch.setattr(presence_module, "READ_MANIFEST_BYTES", longest)
    store = filled(0)
    known = KnownSnapshots(tmp_path, store.url)
    identifier, manifest = publish(store, digest(1))
    await anyio.to_thread.run_sync(known.remember, identifier, [digest(1)], manifest)
    stored = manifest.stored
    flipped = stored.replace(digest(1).encode(), digest(2).encode())
    store.objects[manifest_key(identifier)] = {"flipped": flipped, "shorter": stored[:-9], "gone": b""}[damage]
    presence = Presence(Repository(store))
    await presence.learn(known)
    assert presence.confirmed is None
    assert presence.answer(digest(1), 1) is Answer.ABSENT


async def test_a_long_manifest_is_compared_with_its_hint_before_something_new_relies_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_module, "READ_MANIFEST_BYTES", 0)
    sound = await hinted(filled(2), tmp_path / "sound", digest(0), digest(1))
    assert sound.answer(digest(0), 1) is Answer.PRESENT
    assert await sound.disproof() is None
    wrong = await hinted(filled(2), tmp_path / "wrong", digest(0), digest(1), named=(digest(0),))
    assert wrong.answer(digest(0), 1) is Answer.PRESENT
    assert "does not match its manifest" in (await wrong.disproof() or "")


@pytest.mark.parametrize("lost", ["gone", "torn"])
async def test_what_was_believed_is_disproved_by_one_object(tmp_path: Path, lost: str) -> None:
    store = filled(10)
    presence = await hinted(store, tmp_path, *map(digest, range(10)))
    for number in range(10):
        assert presence.answer(digest(number), 1) is Answer.PRESENT
    assert await presence.disproof() is None
    if lost == "gone":
        del store.objects[object_key(digest(3))]
    else:
        store.objects[object_key(digest(3))] = b""
    assert digest(3) in (await presence.disproof() or "")


async def test_a_sample_is_fair_and_of_a_fixed_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(400)
    looked_up: list[str] = []
    real = MemoryStore.stat

    async def stat(self: MemoryStore, key: str) -> ObjectInfo:
        looked_up.append(key)
        return await real(self, key)

    monkeypatch.setattr(MemoryStore, "stat", stat)
    presence = await hinted(store, tmp_path, *map(digest, range(400)))
    for number in range(400):
        presence.answer(digest(number), 1)
    looked_up.clear()
    assert await presence.disproof() is None
    drawn = [number for number in range(400) if object_key(digest(number)) in looked_up]
    assert len(looked_up) == len(drawn) == SAMPLE_OBJECTS
    assert min(drawn) < 133
    assert max(drawn) > 266


async def test_a_hint_whose_manifest_is_gone_is_not_believed(tmp_path: Path) -> None:
    store = filled(3)
    known = KnownSnapshots(tmp_path, store.url)
    await anyio.to_thread.run_sync(known.remember, SnapshotId(digest(7)), [digest(100)], TEXT)
    presence = Presence(Repository(store))
    await presence.learn(known)
    assert presence.confirmed is None
    assert presence.answer(digest(100), 5) is Answer.ABSENT


async def test_one_page_tells_all_of_a_small_store() -> None:
    presence = Presence(Repository(filled(999)))
    await presence.learn(None)
    assert presence.stored_objects == 999
    assert presence.answer(digest(5), 1) is Answer.PRESENT
    assert presence.answer(digest(5), 2) is Answer.ABSENT, "another length: torn"
    assert presence.answer(digest(5000), 1) is Answer.ABSENT


async def test_one_page_of_a_large_store_estimates_its_size() -> None:
    presence = Presence(Repository(filled(20_000)))
    await presence.learn(None)
    assert presence.stored_objects == pytest.approx(20_000, rel=0.2)
    unlisted = max(map(digest, range(20_000)))
    assert presence.answer(unlisted, 1) is Answer.UNKNOWN
    await presence.list_all()
    assert presence.answer(unlisted, 1) is Answer.PRESENT
    assert presence.answer("f" * 64, 1) is Answer.ABSENT


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(1, 1000))
def test_a_listing_is_chosen_only_when_it_takes_fewer_requests(stored: int, to_send: int, page: int) -> None:
    if listing_pays(stored_objects=stored, objects_to_send=to_send, page_keys=page):
        assert LISTED_PREFIXES + stored // page < to_send
    else:
        assert stored > 2_000_000 or LISTED_PREFIXES + stored // page >= to_send


async def test_a_store_is_listed_where_that_takes_fewer_requests() -> None:
    store = MemoryStore(filled(3000).objects)
    presence = Presence(Repository(store))
    assert not presence.should_list(10**6), "nobody knows yet how much there is"
    await presence.learn(None)
    assert presence.should_list(10**6)
    assert not presence.should_list(LISTED_PREFIXES)
    await presence.list_all()
    assert not presence.should_list(10**6), "it is listed"


def by_hash(count: int, page_keys: int) -> MemoryStore:
    """A store that lists by hash, in pages of so many keys where a full one has 1000."""

    class Short(MemoryStore):
        async def list(self, prefix: str, *, start_after: str = "", resume: str | None = None) -> AsyncIterator[Page]:
            async for page in super().list(prefix, start_after=start_after, resume=resume):
                for first in range(0, len(page), page_keys):
                    yield Page(page[first : first + page_keys])

    return Short(filled(count).objects, listed_by=in_another_order)


async def test_a_page_that_is_not_full_is_not_taken_for_the_last_one() -> None:
    presence = Presence(Repository(by_hash(30, 20)))
    await presence.learn(None)
    assert not presence.listed_all
    assert {presence.answer(digest(number), 1) for number in range(30)} == {Answer.PRESENT, Answer.UNKNOWN}


class Numbered(MemoryStore):
    """A store whose pages say how to go on behind them, as those of S3 do; it counts its requests."""

    def __init__(self, count: int, page_keys: int) -> None:
        super().__init__(filled(count).objects)
        self.page_keys = page_keys
        self.requests = 0

    async def list(self, prefix: str, *, start_after: str = "", resume: str | None = None) -> AsyncIterator[Page]:
        found = [info async for page in super().list(prefix, start_after=start_after) for info in page]
        for first in range(0, len(found), self.page_keys):
            self.requests += 1
            end = first + self.page_keys
            yield Page.of(found[first:end], str(end) if end < len(found) else None)


@pytest.mark.parametrize(("count", "page_keys", "is_all"), [(800, 799, False), (800, 7, False), (800, 800, True)])
async def test_whether_a_page_is_the_last_one_the_listing_says_without_another_request(
    count: int, page_keys: int, is_all: bool
) -> None:
    store = Numbered(count, page_keys)
    presence = Presence(Repository(store))
    await presence.learn(None)
    assert (presence.listed_all, store.requests) == (is_all, 1)
    assert presence.answer("f" * 64, 1) is (Answer.ABSENT if is_all else Answer.UNKNOWN)


async def test_a_full_page_that_is_the_last_one_tells_all() -> None:
    presence = Presence(Repository(Numbered(1000, 1000)))
    await presence.learn(None)
    assert presence.listed_all


async def test_a_listing_of_short_pages_counts_as_the_requests_it_takes() -> None:
    presence = Presence(Repository(Numbered(3000, 10)))
    await presence.learn(None)
    assert not presence.should_list(LISTED_PREFIXES + 200)
    assert presence.should_list(LISTED_PREFIXES + 400)


async def test_a_page_in_another_order_estimates_nothing() -> None:
    presence = Presence(Repository(by_hash(3000, 1000)))
    await presence.learn(None)
    assert presence.stored_objects is None
    assert not presence.should_list(10**6)


async def test_the_only_page_tells_all_in_any_order() -> None:
    presence = Presence(Repository(by_hash(30, 1000)))
    await presence.learn(None)
    assert presence.listed_all
    assert presence.stored_objects == 30


@pytest.mark.parametrize("page_keys", [1, 7, 1000])
async def test_an_id_is_found_among_all_that_begin_alike(page_keys: int) -> None:
    store = by_hash(0, page_keys)
    alike = [f"{number:02x}" * 32 for number in range(16)]
    for one in alike:
        store.objects[manifest_key(SnapshotId(one))] = b"its text"
    repository = Repository(store)
    assert await repository.find_snapshots(alike[3][:4]) == [alike[3]]
    assert len(await repository.find_snapshots("0")) > 1, "one page is not all of them"
    assert sorted([one.snapshot_id async for one in repository.list_published()]) == alike
