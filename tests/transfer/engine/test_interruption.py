"""Cancellation stops the hashing of a 64 GiB file at the next block."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

import snapdir
from snapdir.config import Config
from snapdir.errors import AccessDenied, ConnectionFailed, CorruptObject, TransferFailed
from snapdir.hashing.tree import manifest_id
from snapdir.model.digest import Digest
from snapdir.model.entry import DIRECTORY, FILE, Entry
from snapdir.model.keys import object_key
from snapdir.model.manifest import Manifest
from snapdir.model.sizes import GIB, MIB
from snapdir.repository.repository import Repository
from snapdir.stores.base import FileRange
from snapdir.stores.file.store import FileStore
from snapdir.stores.memory import MemoryStore
from snapdir.stores.settings import StoreSettings
from snapdir.transfer.checkout import checkout
from snapdir.transfer.destination.options import CheckoutOptions
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.interruption import is_interruption
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.push import PushOptions, push
from snapdir.transfer.repair import repair

pytestmark = pytest.mark.timeout(60)

SIZE = 64 * GIB
DIGEST = Digest("ab" * 32)
MANIFEST = Manifest([Entry(DIRECTORY, "755", "0" * 64, SIZE, "./"), Entry(FILE, "644", DIGEST, SIZE, "./large")])
ID = manifest_id(MANIFEST)

NEXT_BLOCK = 1
WITHIN_50_MS = 1000
"""Blocks of 2 MiB, of 32,768: hashing threads of the pool learn of it from the one that waits for them."""


class Cancelling:
    """Replaces a function of ``os``: the first call cancels the scope; later calls are counted."""

    def __init__(self, scope: anyio.CancelScope, call: Callable[..., Any]) -> None:
        self._scope = scope
        self._call = call
        self._loop = asyncio.get_running_loop()
        self.after = -1

    def __call__(self, *args: Any) -> Any:
        self.after += 1
        if self.after == 0:
            cancelled = threading.Event()
            self._loop.call_soon_threadsafe(lambda: (self._scope.cancel(), cancelled.set()))
            cancelled.wait()
        return self._call(*args)


async def calls_after_cancelling(
    monkeypatch: pytest.MonkeyPatch, name: str, verb: Callable[[], Awaitable[object]]
) -> int:
    with anyio.CancelScope() as scope:
        hook = Cancelling(scope, getattr(os, name))
        monkeypatch.setattr(os, name, hook)
        try:
            await verb()
        finally:
            monkeypatch.undo()
    assert scope.cancelled_caught
    assert hook.after >= 0
    return hook.after


def sparse(file: Path, size: int = SIZE) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    os.truncate(file, size)
    file.chmod(0o644)
    return file


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    large = sparse(tmp_path / "tree" / "large")
    with large.open("r+b") as file:
        file.write(b"content: the holes after it may be hashed without a read")
    return large.parent


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(cache_dir=tmp_path / "cache")


@pytest.fixture
async def store(tmp_path: Path) -> str:
    """A store with the manifest of a tree whose large file has an impossible digest."""
    store = FileStore(tmp_path / "store")
    await Repository(store).write_manifest(MANIFEST, ID)
    await store.aclose()
    return str(tmp_path / "store")


READING = ["id", "manifest", "push to a file store", "push across a network", "stage", "status"]


@pytest.mark.parametrize("verb", READING)
async def test_reading_one_large_file_stops(
    tree: Path, store: str, config: Config, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    verbs: dict[str, Callable[[], Awaitable[object]]] = {
        "id": partial(snapdir.id, tree, config=config),
        "manifest": partial(snapdir.manifest, tree, config=config),
        "push to a file store": partial(snapdir.push, tree, store, config=config),
        "push across a network": partial(
            push, tree, Repository(MemoryStore()), options=PushOptions(), limits=Limits(), counters=Counters()
        ),
        "stage": partial(snapdir.stage, tree, config=config),
        "status": partial(snapdir.status, tree, id=ID, store=store, config=config),
    }
    pooled = verb in ("id", "manifest", "status")
    blocks = await calls_after_cancelling(monkeypatch, "preadv", verbs[verb])
    assert blocks <= (WITHIN_50_MS if pooled else NEXT_BLOCK)


async def test_the_look_for_what_mends_a_store_stops(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Repository(MemoryStore())
    manifest = Manifest([MANIFEST.entries[0], MANIFEST.entries[1]._replace(size=5)])
    identifier = manifest_id(manifest)
    await store.write_manifest(manifest, identifier)
    mend = partial(repair, identifier, store, tree, limits=Limits(), counters=Counters())
    assert await calls_after_cancelling(monkeypatch, "preadv", mend) <= NEXT_BLOCK


async def test_a_large_file_at_a_destination_stops(
    tree: Path, store: str, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull = partial(snapdir.pull, ID, store, tree, config=config)
    assert await calls_after_cancelling(monkeypatch, "preadv", pull) <= WITHIN_50_MS
    assert os.listdir(tree) == ["large"]


async def test_a_copy_from_a_store_on_this_host_stops(
    tmp_path: Path, store: str, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    sparse(tmp_path / "store" / object_key(DIGEST))
    monkeypatch.setattr("snapdir.disk.clone.has_holes", lambda _: False)  # as if it were all data
    pull = partial(snapdir.pull, ID, store, tmp_path / "out", config=config)
    assert await calls_after_cancelling(monkeypatch, "copy_file_range", pull) <= NEXT_BLOCK
    assert os.listdir(tmp_path / "out") == []


async def test_the_hash_of_such_a_copy_stops(
    tmp_path: Path, store: str, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    sparse(tmp_path / "store" / object_key(DIGEST), 32 * MIB)
    manifest = Manifest([MANIFEST.entries[0], MANIFEST.entries[1]._replace(size=32 * MIB)])
    source = FileStore(Path(store))
    pull = partial(
        checkout,
        manifest,
        Repository(source),
        tmp_path / "out",
        options=CheckoutOptions(fsync=False),
        limits=Limits(),
        counters=Counters(),
    )
    assert await calls_after_cancelling(monkeypatch, "preadv", pull) <= NEXT_BLOCK
    assert os.listdir(tmp_path / "out") == []


async def test_the_proof_of_a_copy_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(tmp_path / "store", StoreSettings(fsync=False, clone=False, verify_copies=True))
    fd = os.open(sparse(tmp_path / "file", 32 * MIB), os.O_RDONLY)
    try:
        write = partial(store.write, object_key(DIGEST), FileRange(fd, 0, 32 * MIB))
        assert await calls_after_cancelling(monkeypatch, "pread", write) <= NEXT_BLOCK
    finally:
        os.close(fd)
    await store.aclose()
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


def test_what_was_stopped_from_outside_is_an_interruption() -> None:
    gone, stopped = ConnectionFailed("gone"), asyncio.CancelledError()
    damaged = CorruptObject("there", expected="a", actual="b")
    for error in (gone, stopped, BaseExceptionGroup("", [gone, stopped]), TransferFailed("", [gone])):
        assert is_interruption(error)
    for error in (damaged, AccessDenied("no"), OSError(), KeyboardInterrupt(), BaseExceptionGroup("", [gone, damaged])):
        assert not is_interruption(error)
