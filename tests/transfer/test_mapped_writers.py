"""Writes through a mapping do not change a file's times: the bytes stored are those hashed, or nothing is stored.

Each test lets a real thread write between the hash of a file and its transfer: it waits for the end of the hash, and
the transfer for the end of its write.
"""

from __future__ import annotations

import mmap
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

import snapdir
from snapdir.config import Config
from snapdir.disk import clone
from snapdir.errors import InFluxError, SnapdirError
from snapdir.hashing.tree import digest_of
from snapdir.model.keys import object_key
from snapdir.model.sizes import MIB
from snapdir.repository.repository import Repository
from snapdir.stores.base import Capabilities
from snapdir.stores.memory import MemoryStore
from snapdir.transfer import repair, snapshot
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.push import PushOptions, push
from snapdir.transfer.upload import objects
from tests.e2e.scripted_s3 import ScriptedS3
from tests.rclone_server import RcloneServer, s3_server

__all__ = ["s3_server"]

pytestmark = pytest.mark.usefixtures("aws_settings")

SIZE = 3 * MIB + 77
LARGE = 21 * MIB + 77  # above the size that goes in one piece: three parts, the last of 5 MiB and a bit
CHANGED_AT = 2 * MIB + 5


@pytest.fixture
def aws_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIDCANARY",
        "AWS_SECRET_ACCESS_KEY": "secret-canary",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)


class MappedWriter:
    """A thread that has a page of ``file`` in hand, dirty already, and writes to it again when it is told to."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._go, self._written = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with self._file.open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as pages:
            pages[CHANGED_AT % len(pages)] = 1
            self._written.set()
            self._go.wait()
            pages[CHANGED_AT % len(pages)] = 2
            self._written.set()

    def write(self) -> None:
        """Write, once, and return when that is done."""
        if not self._go.is_set():
            self._written.clear()
            self._go.set()
            self._written.wait()

    def __enter__(self) -> MappedWriter:
        self._thread.start()
        self._written.wait()  # the page is dirty: from here on no write moves the file's times
        return self

    def __exit__(self, *_: object) -> None:
        self._go.set()
        self._thread.join()


@contextmanager
def written_after(
    monkeypatch: pytest.MonkeyPatch, file: Path, module: Any = objects, name: str = "hash_large_file"
) -> Iterator[MappedWriter]:
    """A writer that writes as soon as ``module`` has hashed a file."""
    real: Callable[..., Any] = getattr(module, name)

    def hash_then_write(*args: Any, **options: Any) -> Any:
        hashed = real(*args, **options)
        writer.write()
        return hashed

    with MappedWriter(file) as writer:
        monkeypatch.setattr(module, name, hash_then_write)
        yield writer
        monkeypatch.setattr(module, name, real)


@pytest.fixture
def tree() -> Iterator[Path]:
    """On a tmpfs, where no write through a mapping moves a time. On a disk one does that is written back meanwhile."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        root = Path(folder, "tree")
        root.mkdir()
        (root / "weights").write_bytes(bytes(range(256)) * (SIZE // 256) + bytes(SIZE % 256))
        yield root


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config().with_options(cache_dir=tmp_path / "cache", retry_base_ms=1, retry_max_ms=1)


def stored_files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and ".partial" not in path.parts]


async def files(root: Path) -> list[Path]:
    return await anyio.to_thread.run_sync(stored_files, root)


async def refused(call: Callable[[], Any]) -> None:
    """The call fails, and names the file that somebody writes to."""
    with pytest.raises(InFluxError, match="tree/weights"):
        await call()


@pytest.mark.parametrize("way", ["copied", "cloned", "verified"])
async def test_a_store_in_a_directory_hashes_its_copy(
    tmp_path: Path, tree: Path, config: Config, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "cloned":  # as a filesystem with reflinks does it: all at once
        monkeypatch.setattr(clone, "reflink", copied_at_once)
    if way == "verified":
        config = config.with_options(verify_copies=True)
    with written_after(monkeypatch, tree / "weights"):
        await refused(lambda: snapdir.push(tree, str(tmp_path / "store"), config=config))
    assert await files(tmp_path / "store") == []
    await snapdir.verify(await snapdir.push(tree, str(tmp_path / "store"), config=config), str(tmp_path / "store"))


def copied_at_once(source_fd: int, target_fd: int) -> bool:
    with open(source_fd, "rb", closefd=False) as source, open(target_fd, "wb", closefd=False) as target:
        source.seek(0)
        target.write(source.read())
    return True


async def test_the_cache_hashes_its_copy(
    tmp_path: Path, tree: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    with written_after(monkeypatch, tree / "weights"):
        await refused(lambda: snapdir.stage(tree, config=config))
    assert await files(tmp_path / "cache") == []


async def test_a_pool_hashes_its_copy(
    tmp_path: Path, tree: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = str(tmp_path / "pool")
    with written_after(monkeypatch, tree / "weights"):
        await refused(lambda: snapdir.push(tree, str(tmp_path / "store"), objects_store=pool, config=config))
    assert await files(tmp_path / "store") == await files(tmp_path / "pool") == []


@pytest.mark.parametrize("remote", [False, True])
async def test_a_store_in_memory_compares_what_it_has_read(
    tree: Path, monkeypatch: pytest.MonkeyPatch, remote: bool
) -> None:
    store = MemoryStore(capabilities=Capabilities(part_size_range=(1, MIB), remote=remote))
    limits = Limits(large_bytes=MIB, part_bytes=MIB)
    with written_after(monkeypatch, tree / "weights"):
        await refused(lambda: push(tree, Repository(store), options=PushOptions(), limits=limits, counters=Counters()))
    assert store.objects == {}


@pytest.mark.parametrize("size", [SIZE, LARGE], ids=["whole", "parts"])
@pytest.mark.parametrize("checksums", ["ignored", "refused", "kept"])
async def test_s3_stores_what_was_hashed_whatever_it_makes_of_checksums(
    tree: Path, config: Config, monkeypatch: pytest.MonkeyPatch, checksums: str, size: int
) -> None:
    await anyio.to_thread.run_sync((tree / "weights").write_bytes, bytes(size))
    with ScriptedS3(checksums=checksums) as server:
        monkeypatch.setenv("SNAPDIR_S3_STORE_ENDPOINT_URL", server.endpoint)
        with written_after(monkeypatch, tree / "weights"):
            await refused(lambda: snapdir.push(tree, "s3://bucket/prefix", config=config))
        assert server.objects == {}
        await snapdir.verify(await snapdir.push(tree, "s3://bucket/prefix", config=config), "s3://bucket/prefix")


async def test_a_real_service_without_checksums_stores_what_was_hashed(
    s3_server: RcloneServer, tree: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    url = "s3://bucket/mapped-writers"
    with written_after(monkeypatch, tree / "weights"):
        await refused(lambda: snapdir.push(tree, url, config=config))
    await snapdir.verify(await snapdir.push(tree, url, config=config), url)


async def test_a_small_file_is_read_once(
    tmp_path: Path, tree: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent are the bytes that were hashed, so a later write changes nothing of it."""
    small = bytes(MIB)
    await anyio.to_thread.run_sync((tree / "weights").write_bytes, small)
    with written_after(monkeypatch, tree / "weights", snapshot, "hash_small_files"):
        hashed = small[: CHANGED_AT % MIB] + b"\1" + small[CHANGED_AT % MIB + 1 :]
        pushed = await snapdir.push(tree, str(tmp_path / "store"), config=config)
    await snapdir.verify(pushed, str(tmp_path / "store"))
    assert await anyio.to_thread.run_sync((tmp_path / "store" / object_key(digest_of(hashed))).read_bytes) == hashed


async def test_a_repair_sends_what_it_looked_for(
    tmp_path: Path, tree: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that has the right content is found by its hash, and hashed again when it is sent."""
    url = str(tmp_path / "store")
    real = repair.hash_large_file
    with MappedWriter(tree / "weights") as writer:
        pushed = await snapdir.push(tree, url, config=config)
        for path in await files(tmp_path / "store" / ".objects"):
            await anyio.to_thread.run_sync(path.unlink)

        def find_then_write(*args: Any, **options: Any) -> Any:
            found = real(*args, **options)
            writer.write()
            return found

        monkeypatch.setattr(repair, "hash_large_file", find_then_write)
        await refused(lambda: snapdir.verify(pushed, url, repair_from=tree, config=config))
    with pytest.raises(SnapdirError, match="not found"):
        await snapdir.verify(pushed, url, config=config)
