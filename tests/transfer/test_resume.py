"""A push that was killed goes on where it stopped, and believes nothing it finds."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from blake3 import blake3

from snapdir.disk.claims import open_locked
from snapdir.model.digest import Digest
from snapdir.model.keys import object_key
from snapdir.model.sizes import KIB, MIB
from snapdir.repository.repository import Repository
from snapdir.stores.base import Body, FileRange, Upload
from snapdir.stores.memory import MemoryUpload
from snapdir.transfer.events import Counters
from snapdir.transfer.journal import UPLOADS_NAME, UploadJournal
from snapdir.transfer.limits import Limits
from snapdir.transfer.push import push
from snapdir.transfer.snapshot import TreeOptions

from .conftest import RecordingStore

PART = 256 * KIB
CONTENT = bytes(range(256)) * (8 * MIB // 256 // 4) + b"the end"
PARTS = -(-len(CONTENT) // PART)
DIGEST = Digest(blake3(CONTENT).hexdigest())
KEY = object_key(DIGEST)


class ResumableUpload:
    """An upload that another run can go on with, as S3's are; it counts the parts that are sent."""

    def __init__(self, store: ResumableStore, inner: MemoryUpload, token: str) -> None:
        self.resume_token = token
        self.inner = inner
        self._store = store
        self.sizes: dict[int, int] = {}

    async def write_part(self, number: int, body: Body) -> None:
        length = body.length if isinstance(body, FileRange) else len(body)
        if self.sizes.get(number) == length:
            return
        self._store.sent.append(number)
        await self.inner.write_part(number, body)
        self.sizes[number] = length
        self._store.part_arrived()

    async def commit(self) -> None:
        await self.inner.commit()
        self._store.uploads.pop(self.resume_token, None)

    async def abort(self) -> None:
        await self.inner.abort()
        self._store.uploads.pop(self.resume_token, None)


class ResumableStore(RecordingStore):
    """Keeps the parts of uploads that were neither committed nor aborted."""

    def __init__(self) -> None:
        super().__init__()
        self.uploads: dict[str, ResumableUpload] = {}
        self.resumed: list[str | None] = []
        self.begun = 0
        self.sent: list[int] = []
        self.part_arrived: Callable[[], None] = lambda: None

    async def begin_upload(self, key: str, *, size: int, part_bytes: int, resume: str | None = None) -> Upload:
        self.resumed.append(resume)
        if resume in self.uploads:
            return self.uploads[resume]
        inner = await super().begin_upload(key, size=size, part_bytes=part_bytes)
        self.begun += 1
        token = f"upload-{self.begun}"
        self.uploads[token] = ResumableUpload(self, inner, token)
        return self.uploads[token]


@pytest.fixture
def store() -> ResumableStore:
    return ResumableStore()


@pytest.fixture
def limits() -> Limits:
    return dataclasses.replace(Limits(), large_bytes=PART, part_bytes=PART)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "large").write_bytes(CONTENT)
    (root / "large").chmod(0o644)
    return root


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


async def push_tree(tree: Path, store: ResumableStore, limits: Limits, cache: Path) -> str:
    journal = UploadJournal(cache, store.url)
    return await push(
        tree, Repository(store), options=TreeOptions(), limits=limits, counters=Counters(), journal=journal
    )


async def leave_killed_push(store: ResumableStore, cache: Path, parts: dict[int, bytes]) -> str:
    """What a killed push leaves: parts in the store, and a note of the upload that nobody has locked."""
    upload = await store.begin_upload(KEY, size=len(CONTENT), part_bytes=PART)
    for number, data in parts.items():
        await upload.write_part(number, data)
    journal = UploadJournal(cache, store.url)
    entry = await anyio.to_thread.run_sync(journal.open, DIGEST, PART)
    entry.note(upload.resume_token)
    assert entry._descriptor is not None
    os.close(entry._descriptor)  # as the kernel does it for a killed process
    store.sent.clear()
    store.resumed.clear()
    assert upload.resume_token is not None
    return upload.resume_token


def part(number: int) -> bytes:
    return CONTENT[(number - 1) * PART : number * PART]


def notes(cache: Path) -> list[str]:
    return os.listdir(cache / UPLOADS_NAME)


async def test_a_killed_push_sends_only_the_parts_that_are_missing(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path
) -> None:
    had = {1: part(1), 2: part(2), 5: part(5)}
    token = await leave_killed_push(store, cache, had)
    await push_tree(tree, store, limits, cache)
    assert store.resumed == [token]
    assert sorted(store.sent) == [number for number in range(1, PARTS + 1) if number not in had]
    assert store.objects[KEY] == CONTENT
    assert notes(cache) == []


async def test_a_note_of_an_upload_that_is_gone_begins_anew(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path
) -> None:
    token = await leave_killed_push(store, cache, {1: part(1)})
    await store.uploads[token].abort()
    await push_tree(tree, store, limits, cache)
    assert sorted(store.sent) == list(range(1, PARTS + 1))
    assert store.objects[KEY] == CONTENT


@pytest.mark.parametrize(
    "token", [b"", b"nonsense", b"\xff\xfe\0", b"x" * 9000], ids=["empty", "text", "binary", "long"]
)
async def test_a_note_of_nonsense_begins_anew(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path, token: bytes
) -> None:
    await leave_killed_push(store, cache, {1: part(1)})
    (note,) = (cache / UPLOADS_NAME).iterdir()
    note.write_bytes(token)
    await push_tree(tree, store, limits, cache)
    assert sorted(store.sent) == list(range(1, PARTS + 1))
    assert store.objects[KEY] == CONTENT


async def test_a_part_of_another_size_is_sent_again(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path
) -> None:
    await leave_killed_push(store, cache, {1: part(1), 2: part(2)[:-1], 3: part(3)})
    await push_tree(tree, store, limits, cache)
    assert 2 in store.sent
    assert not {1, 3} & set(store.sent)
    assert store.objects[KEY] == CONTENT


async def test_another_part_size_is_another_upload(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path
) -> None:
    await leave_killed_push(store, cache, {1: part(1)})
    await push_tree(tree, store, dataclasses.replace(limits, part_bytes=2 * PART), cache)
    assert store.resumed == [None]
    assert store.objects[KEY] == CONTENT


async def test_a_note_that_another_process_works_on_is_left_alone(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path
) -> None:
    token = await leave_killed_push(store, cache, {1: part(1)})
    (note,) = (cache / UPLOADS_NAME).iterdir()
    held = await anyio.to_thread.run_sync(open_locked, note)
    try:
        await push_tree(tree, store, limits, cache)
        assert note.read_text() == token
    finally:
        os.close(held)
    assert store.resumed == [None]
    assert sorted(store.sent) == list(range(1, PARTS + 1))
    assert token in store.uploads


async def test_a_push_that_is_cancelled_aborts_and_leaves_no_note(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path
) -> None:
    with anyio.CancelScope() as scope:
        store.part_arrived = scope.cancel
        await push_tree(tree, store, limits, cache)
    assert scope.cancelled_caught
    assert not store.uploads
    assert notes(cache) == []


# Pull
