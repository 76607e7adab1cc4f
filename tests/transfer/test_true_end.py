"""An object ends where its manifest says: further bytes are damage, for every store and verb."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import anyio.to_thread
import pytest

import snapdir
from snapdir.config import Config
from snapdir.errors import CorruptObject, LocalError, ObjectNotFound, StoreRefused
from snapdir.hashing.tree import digest_of
from snapdir.model.digest import Digest
from snapdir.model.keys import manifest_key, object_key
from snapdir.model.sizes import MIB
from snapdir.repository.repository import Repository
from snapdir.stores.base import Store
from snapdir.stores.file.store import FileStore
from snapdir.stores.memory import MemoryStore
from snapdir.transfer.checkout import checkout
from snapdir.transfer.destination.options import CheckoutOptions
from snapdir.transfer.download.reading import ObjectReader
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.planned_objects import PlannedObject
from snapdir.transfer.packs.send import send_pack
from snapdir.transfer.sync import StoreSync, SyncOptions
from snapdir.transfer.verify import check_snapshot
from tests.rclone_server import RcloneServer, s3_server
from tests.transfer.conftest import RecordingStore, push_tree

__all__ = ["s3_server"]

CONTENTS = {"empty": b"", "small": b"alpha", "large": bytes(range(256)) * 4096 * 3 + b"12345"}
READ = [content for content in CONTENTS.values() if content]  # an empty file is made, whatever a store has of it


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(cache_dir=tmp_path / "cache")


def store_of(kind: str, folder: Path) -> Store:
    return {"file": lambda: FileStore(folder), "memory": MemoryStore, "remote": RecordingStore}[kind]()


async def pushed_with_more(root: Path, content: bytes, store: Store, limits: Limits) -> tuple[Digest, Repository]:
    """A snapshot of one file, with a byte behind the end of its object."""
    await anyio.to_thread.run_sync((root / "file").write_bytes, content)
    repository = Repository(store)
    pushed = await push_tree(root, repository, limits)
    assert not (await check_snapshot(pushed, repository, limits=limits, counters=Counters())).damage
    await store.write(object_key(digest_of(content)), content + b"!")
    return pushed, repository


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("kind", ["file", "memory", "remote"])
async def test_verify_reads_to_the_true_end(
    tmp_path: Path, root: Path, content: bytes, kind: str, limits: Limits
) -> None:
    pushed, source = await pushed_with_more(root, content, store_of(kind, tmp_path / "store"), limits)
    report = await check_snapshot(pushed, source, limits=limits, counters=Counters())
    assert [one.path for one in report.corrupt] == ["./file"]


@pytest.mark.parametrize("size", [5, 20 * MIB + 5], ids=["small", "large"])
async def test_verify_of_a_real_service_reads_to_the_true_end(
    s3_server: RcloneServer, root: Path, config: Config, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    url = f"s3://bucket/true-end-{size}"
    await anyio.to_thread.run_sync((root / "file").write_bytes, bytes(size))
    pushed = await snapdir.push(root, url, config=config)
    assert await snapdir.verify(pushed, url, config=config)
    file = s3_server.folder / "bucket" / f"true-end-{size}" / object_key(digest_of(bytes(size)))
    await anyio.to_thread.run_sync(append, file)
    with pytest.raises(CorruptObject):
        await snapdir.verify(pushed, url, config=config)
    with pytest.raises(CorruptObject):
        await snapdir.pull(pushed, url, root.parent / "out", config=config)
    assert await snapdir.verify(pushed, url, repair_from=root, config=config)
    assert await snapdir.verify(pushed, url, config=config)


def append(file: Path) -> None:
    with file.open("ab") as stream:
        stream.write(b"!")


@pytest.mark.parametrize("verb", ["checkout", "sync", "send-pack"])
@pytest.mark.parametrize("content", READ, ids=["small", "large"])
@pytest.mark.parametrize("kind", ["file", "memory", "remote"])
async def test_every_verb_gives_the_same_answer(
    tmp_path: Path, root: Path, content: bytes, kind: str, verb: str, limits: Limits
) -> None:
    pushed, source = await pushed_with_more(root, content, store_of(kind, tmp_path / "store"), limits)

    async def run() -> None:
        if verb == "checkout":
            manifest = await source.read_manifest(pushed)
            options = CheckoutOptions()
            await checkout(manifest, source, tmp_path / "out", options=options, limits=limits, counters=Counters())
        elif verb == "sync":
            target = Repository(MemoryStore())
            pair = StoreSync(source, target, options=SyncOptions(), limits=limits, counters=Counters())
            await pair.copy(pushed)
        else:
            digests = [Digest(digest_of(content))]
            await send_pack(digests, source, lambda _: None, limits=limits, counters=Counters())

    with pytest.raises(CorruptObject):
        await run()


@pytest.mark.parametrize("verify", ["before", "after"])
@pytest.mark.parametrize("content", READ, ids=["small", "large"])
@pytest.mark.parametrize("kind", ["file", "memory", "remote"])
async def test_a_file_that_is_opened_gives_the_same_answer(
    tmp_path: Path, root: Path, content: bytes, kind: str, verify: str, limits: Limits
) -> None:
    _, source = await pushed_with_more(root, content, store_of(kind, tmp_path / "store"), limits)
    reader = ObjectReader(source, limits, spool=tmp_path / "spool")
    wanted = PlannedObject(Digest(digest_of(content)), len(content), "./file")

    async def read() -> None:
        await (await reader.open(wanted, verify)).read_at(0)

    with pytest.raises(CorruptObject):
        await read()


# Something else in a file's place


def put_in_place(path: Path, kind: str) -> None:
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            listener.bind(f"/proc/self/fd/{folder}/{path.name}")  # the path itself is too long for a socket
            os.close(folder)
    else:
        path.mkdir()
        if kind == "full directory":
            (path / "file").write_bytes(b"mine")


KINDS = ["directory", "full directory", "fifo", "socket"]


@pytest.mark.parametrize("kind", KINDS)
async def test_verify_names_what_lies_in_the_place_of_an_object(
    tmp_path: Path, root: Path, config: Config, kind: str
) -> None:
    await anyio.to_thread.run_sync((root / "file").write_bytes, b"alpha")
    await anyio.to_thread.run_sync((root / "other").write_bytes, b"beta")
    url = str(tmp_path / "store")
    pushed = await snapdir.push(root, url, config=config)
    path = tmp_path / "store" / object_key(digest_of(b"alpha"))
    await anyio.to_thread.run_sync(put_in_place, path, kind)
    report = await snapdir.examine(pushed, url, config=config)
    assert [(one.path, report.sound_bytes) for one in report.missing] == [("./file", 4)]
    assert any(str(path) in note for note in report.missing[0].error.__notes__)
    with pytest.raises((ObjectNotFound, CorruptObject, LocalError), match=digest_of(b"alpha")[-20:]):
        await snapdir.pull(pushed, url, tmp_path / "out", config=config)


@pytest.mark.parametrize("recheck", [False, True])
@pytest.mark.parametrize("size", [5, 0, 4096, MIB + 1])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_push_heals_an_object_where_nothing_of_others_is_lost(
    tmp_path: Path, root: Path, config: Config, kind: str, size: int, recheck: bool
) -> None:
    """4096: what a directory says of its own length; 0: what a pipe says."""
    await anyio.to_thread.run_sync((root / "file").write_bytes, bytes(size))
    url = str(tmp_path / "store")
    pushed = await snapdir.push(root, url, config=config)
    path = tmp_path / "store" / object_key(digest_of(bytes(size)))
    await anyio.to_thread.run_sync(put_in_place, path, kind)
    if kind == "full directory":
        with pytest.raises(StoreRefused, match=f"{path}: expected a file, found a directory that is not empty"):
            await snapdir.push(root, url, recheck=recheck, config=config)
        assert await anyio.to_thread.run_sync((path / "file").read_bytes) == b"mine"
    else:
        await snapdir.push(root, url, recheck=recheck, config=config)
        assert await snapdir.verify(pushed, url, config=config)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_manifest_is_healed_or_what_lies_there_is_named(
    tmp_path: Path, root: Path, config: Config, kind: str
) -> None:
    await anyio.to_thread.run_sync((root / "file").write_bytes, b"alpha")
    url = str(tmp_path / "store")
    pushed = await snapdir.push(root, url, config=config)
    path = tmp_path / "store" / manifest_key(pushed)
    await anyio.to_thread.run_sync(put_in_place, path, kind)
    with pytest.raises(Exception, match="manifest not found") as caught:
        await snapdir.verify(pushed, url, config=config)
    assert any(str(path) in note for note in caught.value.__notes__)
    if kind == "full directory":
        with pytest.raises(StoreRefused, match=f"{path}: expected a file, found a directory that is not empty"):
            await snapdir.push(root, url, config=config)
    else:
        await snapdir.push(root, url, config=config)
        assert await snapdir.verify(pushed, url, config=config)


@pytest.mark.parametrize("kind", ["directory", "fifo", "socket"])
async def test_a_conditional_write_takes_only_a_file_for_what_is_there(tmp_path: Path, kind: str) -> None:
    store = FileStore(tmp_path / "store")
    await store.write("key", b"data")
    await anyio.to_thread.run_sync(put_in_place, tmp_path / "store" / "key", kind)
    assert await store.write("key", b"data", if_absent=True) is True
    assert await store.read("key") == b"data"
