"""A store whose uploads another run can resume, and pushes to it that are stopped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
from anyio.lowlevel import checkpoint
from blake3 import blake3

from snapdir.model.digest import Digest
from snapdir.model.keys import object_key
from snapdir.model.sizes import KIB, MIB
from snapdir.repository.repository import Repository
from snapdir.stores.base import Body, NoServerCopy, Upload, body_length
from snapdir.stores.memory import MemoryUpload
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.push import PushOptions, push
from snapdir.transfer.upload.journal import UploadJournal
from tests.transfer.conftest import RecordingStore

__all__ = [
    "CONTENT",
    "DIGEST",
    "KEY",
    "PART",
    "PARTS",
    "ResumableStore",
    "ResumableUpload",
    "cancel_push",
    "push_noted",
]

PART = 256 * KIB
CONTENT = bytes(range(256)) * (8 * MIB // 256 // 4) + b"the end"
PARTS = -(-len(CONTENT) // PART)
DIGEST = Digest(blake3(CONTENT).hexdigest())
KEY = object_key(DIGEST)


class ResumableUpload(NoServerCopy):
    """A resumable upload, as on S3, that counts the parts sent."""

    def __init__(self, store: ResumableStore, inner: MemoryUpload, token: str) -> None:
        self.resume_token = token
        self.inner = inner
        self._store = store
        self.sizes: dict[int, int] = {}

    @property
    def held_bytes(self) -> int:
        return sum(self.sizes.values())

    async def adopt_part(self, number: int, body: Body) -> bool:
        return self.sizes.get(number) == body_length(body)

    async def write_part(self, number: int, body: Body) -> None:
        if await self.adopt_part(number, body):
            return
        self._store.before_part()
        await checkpoint()
        self._store.sent.append(number)
        await self.inner.write_part(number, body)
        self.sizes[number] = body_length(body)
        self._store.part_arrived()

    async def commit(self) -> None:
        await self._store.before_commit(self)
        await self.inner.commit()
        self._store.uploads.pop(self.resume_token, None)

    def keep(self) -> None:
        self._store.kept.append(self.resume_token)

    async def abort(self) -> None:
        await self.inner.abort()
        self._store.uploads.pop(self.resume_token, None)


async def _go_on(_: ResumableUpload) -> None:
    await checkpoint()


class ResumableStore(RecordingStore):
    """Keeps the parts of uploads that were neither committed nor aborted."""

    def __init__(self) -> None:
        super().__init__()
        self.uploads: dict[str, ResumableUpload] = {}
        self.resumed: list[str | None] = []
        self.begun = 0
        self.sent: list[int] = []
        self.kept: list[str] = []
        self.before_begin: Callable[[], None] = lambda: None
        self.before_part: Callable[[], None] = lambda: None
        self.part_arrived: Callable[[], None] = lambda: None
        self.before_commit: Callable[[ResumableUpload], Awaitable[None]] = _go_on

    async def begin_upload(self, key: str, *, size: int, part_bytes: int, resume: str | None = None) -> Upload:
        self.resumed.append(resume)
        self.before_begin()
        await checkpoint()
        if resume in self.uploads:
            return self.uploads[resume]
        inner = await super().begin_upload(key, size=size, part_bytes=part_bytes)
        self.begun += 1
        token = f"upload-{self.begun}"
        self.uploads[token] = ResumableUpload(self, inner, token)
        return self.uploads[token]


async def push_noted(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path | None, counters: Counters | None = None
) -> str:
    journal = UploadJournal(cache, store.url)
    counters = counters or Counters()
    to = Repository(store)
    return await push(tree, to, options=PushOptions(), limits=limits, counters=counters, journal=journal)


async def cancel_push(tree: Path, store: ResumableStore, limits: Limits, cache: Path | None, *, parts: int) -> Counters:
    """Cancel a push when the store has got some parts."""
    counters = Counters()
    with anyio.CancelScope() as scope:
        store.part_arrived = lambda: scope.cancel() if len(store.sent) >= parts else None
        await push_noted(tree, store, limits, cache, counters)
    assert scope.cancelled_caught
    store.part_arrived = lambda: None
    return counters
