"""A push verifies its assumptions about a store before it relies on them, and repairs damage that it meets."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from random import Random

import anyio.to_thread
import pytest

import snapdir
from snapdir.config import Config
from snapdir.hashing.tree import digest_of
from snapdir.model.digest import Digest
from snapdir.model.keys import manifest_key, object_key
from snapdir.repository import presence
from snapdir.repository import repository as repository_module
from snapdir.repository.known import KnownSnapshots
from snapdir.repository.presence import SAMPLE_OBJECTS
from snapdir.repository.repository import Repository
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.packs.receive import receive_pack
from snapdir.transfer.packs.send import send_pack
from snapdir.transfer.push import PushOptions, push
from snapdir.transfer.sync import StoreSync, SyncOptions
from snapdir.transfer.verify import check_snapshot
from tests.transfer.conftest import RecordingStore, push_tree

from .test_push import fill_pages

ALPHA = object_key(digest_of(b"alpha"))


@pytest.fixture
def known(tmp_path: Path, store: RecordingStore) -> KnownSnapshots:
    return KnownSnapshots(tmp_path / "cache", store.url)


@pytest.fixture
def again(
    tree: Path, repository: Repository, limits: Limits, known: KnownSnapshots
) -> Callable[..., Awaitable[tuple[str, Counters]]]:
    """Push the tree with the hints at hand."""

    async def push_again(*, recheck: bool = False, **more: object) -> tuple[str, Counters]:
        counters = Counters()
        options = PushOptions(recheck=recheck)
        hints = {"known": known, "random": Random(1), **more}
        pushed = await push(tree, repository, options=options, limits=limits, counters=counters, **hints)
        return pushed, counters

    return push_again


Again = Callable[..., Awaitable[tuple[str, Counters]]]


async def is_sound(snapshot_id: str, repository: Repository, limits: Limits) -> bool:
    report = await check_snapshot(Digest(snapshot_id), repository, limits=limits, counters=Counters())
    return not report.damage


@pytest.mark.parametrize("lost", ["gone", "torn", "a large one"])
async def test_an_object_removed_behind_our_back_is_sent_again(
    tree: Path, store: RecordingStore, repository: Repository, limits: Limits, again: Again, lost: str
) -> None:
    await again()
    if lost == "torn":
        store.objects[ALPHA] = b"alph"
    else:
        large = (tree / "sub" / "large").read_bytes()
        del store.objects[ALPHA if lost == "gone" else object_key(digest_of(large))]
    (tree / "new").write_bytes(b"something new")
    pushed, counters = await again()
    assert await is_sound(pushed, repository, limits)
    (warning,) = counters.warnings
    assert "missing or truncated" in warning
    assert counters.objects_sent == 2
    assert counters.bytes_sent == counters.bytes_taken == counters.bytes_to_send


async def test_after_a_hint_that_was_wrong_only_new_ones_are_kept(
    tree: Path, store: RecordingStore, again: Again, known: KnownSnapshots
) -> None:
    await again()
    (tree / "new").write_bytes(b"something new")
    await again()
    del store.objects[ALPHA]
    (tree / "new").write_bytes(b"newer still")
    pushed, _ = await again()
    assert await anyio.to_thread.run_sync(lambda: list(known.latest())) == [pushed]
    store.calls.clear()
    assert (await again())[0] == pushed
    assert store.kinds() == {"read": 1}


async def test_a_large_tree_is_proved_by_a_sample(
    tmp_path: Path, store: RecordingStore, repository: Repository, limits: Limits, again: Again, tree: Path
) -> None:
    for number in range(200):
        (tree / f"small-{number}").write_bytes(b"%d" % number)
    await again()
    (tree / "new").write_bytes(b"something new")
    store.calls.clear()
    _, counters = await again()
    assert (store.kinds()["stat"], counters.warnings) == (SAMPLE_OBJECTS, [])
    for number in range(0, 200, 2):
        del store.objects[object_key(digest_of(b"%d" % number))]
    (tree / "new").write_bytes(b"newer still")
    pushed, counters = await again()
    assert await is_sound(pushed, repository, limits)
    assert counters.objects_sent == 1 + 100
    assert len(counters.warnings) == 1


async def test_a_long_manifest_costs_one_request_for_what_is_known(
    tree: Path, store: RecordingStore, again: Again, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (presence, repository_module):
        monkeypatch.setattr(module, "READ_MANIFEST_BYTES", 0)
    pushed, _ = await again()
    store.calls.clear()
    assert (await again())[0] == pushed
    assert store.kinds() == {"stat": 1}


async def test_recheck_believes_no_hint(
    tree: Path, store: RecordingStore, repository: Repository, limits: Limits, again: Again
) -> None:
    pushed, _ = await again()
    store.objects[ALPHA] = b"alphA"
    await again()
    assert store.objects[ALPHA] == b"alphA", "damage of the same length is for --recheck"
    store.calls.clear()
    await again(recheck=True)
    assert store.kinds() == {"write": 3 + 1, "begin_upload": 2}, "nothing is asked, and the manifest is written too"
    assert store.objects[ALPHA] == b"alpha"
    assert await is_sound(pushed, repository, limits)


@pytest.mark.parametrize("stored", [b"", b"alph", b"alpha and more"], ids=["empty", "short", "long"])
async def test_an_object_that_is_looked_up_alone_has_to_have_its_length(
    tree: Path, store: RecordingStore, repository: Repository, limits: Limits, stored: bytes
) -> None:
    fill_pages(store)
    store.capabilities = store.capabilities._replace(list_page_keys=1)
    large = object_key(digest_of((tree / "sub" / "large").read_bytes()))
    store.objects |= {ALPHA: stored, large: stored}
    await push_tree(tree, repository, limits)
    assert store.calls["stat", ALPHA] == store.calls["stat", large] == 1
    assert store.objects[ALPHA] == b"alpha"
    assert len(store.objects[large]) == (tree / "sub" / "large").stat().st_size


# A manifest that is damaged where it stands


def flipped(stored: bytes) -> bytes:
    return stored.replace(b"./a\n", b"./b\n")


@pytest.mark.parametrize("longest", [1 << 20, 0], ids=["read", "looked up"])
async def test_a_push_mends_a_manifest_of_the_right_length(
    store: RecordingStore, again: Again, monkeypatch: pytest.MonkeyPatch, longest: int
) -> None:
    for module in (presence, repository_module):
        monkeypatch.setattr(module, "READ_MANIFEST_BYTES", longest)
    pushed, counters = await again()
    assert counters.warnings == []
    key = manifest_key(pushed)
    sound = store.objects[key]
    store.objects[key] = flipped(sound)
    assert len(store.objects[key]) == len(sound)
    _, counters = await again()
    assert store.objects[key] == sound
    assert ["was damaged" in warning for warning in counters.warnings] == [True]
    assert (await again())[1].warnings == []


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(cache_dir=tmp_path / "cache")


def damage(root: Path, snapshot_id: str) -> Path:
    file = root / manifest_key(snapshot_id)
    file.write_bytes(flipped(file.read_bytes()))
    return file


@pytest.mark.parametrize("verb", ["push", "stage", "push --id", "sync"])
async def test_every_verb_that_publishes_mends_a_manifest(
    tmp_path: Path, tree: Path, config: Config, verb: str
) -> None:
    store, other = str(tmp_path / "store"), str(tmp_path / "other")
    staged = await snapdir.stage(tree, config=config)
    await snapdir.push(tree, store, config=config)
    await snapdir.push(tree, other, config=config)
    place = tmp_path / ("cache" if verb == "stage" else "store")
    file = place / manifest_key(staged)
    sound = await anyio.to_thread.run_sync(file.read_bytes)
    await anyio.to_thread.run_sync(damage, place, staged)
    counters = Counters()
    if verb == "push":
        await snapdir.push(tree, store, config=config, counters=counters)
    elif verb == "stage":
        await snapdir.stage(tree, config=config, counters=counters)
    elif verb == "push --id":
        await snapdir.push_cached(staged, store, config=config, counters=counters)
    else:
        await snapdir.sync(staged, other, store, config=config, counters=counters)
    assert await anyio.to_thread.run_sync(file.read_bytes) == sound
    assert ["was damaged" in warning for warning in counters.warnings] == [True]


async def test_a_pack_mends_a_manifest(
    tree: Path, store: RecordingStore, repository: Repository, limits: Limits, again: Again
) -> None:
    pushed, _ = await again()
    pack = io.BytesIO()

    def write(data: bytes) -> None:
        pack.write(data)

    await send_pack([], repository, write, manifest_id=Digest(pushed), limits=limits, counters=Counters())
    key = manifest_key(pushed)
    sound, store.objects[key] = store.objects[key], flipped(store.objects[key])
    pack.seek(0)
    counters = Counters()
    await receive_pack(lambda: pack.read(1 << 16), repository, limits=limits, counters=counters)
    assert store.objects[key] == sound
    assert ["was damaged" in warning for warning in counters.warnings] == [True]


@pytest.mark.parametrize("cut", [0, 9], ids=["empty", "torn"])
async def test_a_mirror_of_all_mends_a_manifest_of_another_length(
    store: RecordingStore, repository: Repository, limits: Limits, again: Again, cut: int
) -> None:
    pushed, _ = await again()
    target = RecordingStore()
    sync = partial(StoreSync, repository, Repository(target), options=SyncOptions(), limits=limits)
    await sync(counters=Counters()).copy_all()
    key = manifest_key(pushed)
    sound, target.objects[key] = target.objects[key], target.objects[key][:-cut] if cut else b""
    counters = Counters()
    report = await sync(counters=counters).copy_all()
    assert target.objects[key] == sound
    assert (report.copied, len(counters.warnings)) == (0, 1)
