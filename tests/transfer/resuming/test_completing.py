"""An upload that the store is assembling is never aborted, however the run ends, and the next run resumes it."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from snapdir.errors import AccessDenied, SnapdirError, StoreRefused, TransferFailed
from snapdir.model.digest import Digest, SnapshotId
from snapdir.model.keys import UPLOADS, object_key
from snapdir.repository.repository import Repository
from snapdir.stores.base import StillAtWork
from snapdir.stores.memory import MemoryStore
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.sync import StoreSync, SyncOptions
from snapdir.transfer.upload.journal import UploadJournal
from tests.transfer.conftest import push_tree
from tests.transfer.resuming.resumable import CONTENT, KEY, PARTS, ResumableStore, ResumableUpload, push_noted


class Run:
    """A push, or a sync, into one store."""

    def __init__(self, verb: str, tree: Path, limits: Limits, cache: Path) -> None:
        self.store = ResumableStore()
        self.counters = Counters()
        self.source = Repository(MemoryStore())
        self.notes = cache / UPLOADS
        self._verb, self._tree, self._limits, self._cache = verb, tree, limits, cache

    async def __call__(self) -> None:
        if self._verb == "push":
            await push_noted(self._tree, self.store, self._limits, self._cache, self.counters)
        else:
            await self.sync(self._tree)

    async def sync(self, tree: Path) -> None:
        identifier = await push_tree(tree, self.source, self._limits)
        journal, target = UploadJournal(self._cache, self.store.url), Repository(self.store)
        pair = StoreSync(
            self.source,
            target,
            options=SyncOptions(),
            limits=self._limits,
            counters=self.counters,
            journal=journal,
        )
        await pair.copy(SnapshotId(identifier))

    async def ends_while_completing(self, end: str) -> None:
        """Run until the store has begun to assemble the object, then stop."""

        async def stop(_: ResumableUpload) -> None:
            assert self.counters.at_work == 1
            if end == "cancelled":
                scope.cancel()
                await anyio.sleep_forever()
            raise StillAtWork("no answer in minutes")

        self.store.before_commit = stop
        with anyio.CancelScope() as scope:
            if end == "cancelled":
                await self()
            else:
                with pytest.raises(StillAtWork):
                    await self()
        self.store.before_commit = ResumableStore().before_commit
        assert self.counters.at_work == 0


@pytest.fixture(params=["push", "sync"])
def run(request: pytest.FixtureRequest, tree: Path, limits: Limits, tmp_path: Path) -> Run:
    return Run(request.param, tree, limits, tmp_path / "cache")


@pytest.mark.parametrize("end", ["cancelled", "no answer"])
async def test_the_next_run_goes_on_with_it(run: Run, end: str) -> None:
    await run.ends_while_completing(end)
    assert list(run.store.uploads) == run.store.kept == ["upload-1"]
    assert len(list(run.notes.iterdir())) == 1
    run.store.sent.clear()
    await run()
    assert run.store.sent == []
    assert run.store.objects[KEY] == CONTENT
    assert (run.store.begun, run.store.uploads, list(run.notes.iterdir())) == (1, {}, [])


@pytest.mark.parametrize("end", ["cancelled", "no answer"])
async def test_the_next_run_finds_the_object(run: Run, end: str) -> None:
    """The store was done with it some minutes later, and knows nothing of an upload any more."""
    await run.ends_while_completing(end)
    run.store.objects[KEY] = CONTENT
    run.store.uploads.clear()
    run.store.sent.clear()
    await run()
    assert (run.store.sent, run.store.objects[KEY]) == ([], CONTENT)
    assert list(run.notes.iterdir()) == []


async def test_a_run_with_something_else_leaves_it_alone(run: Run, tmp_path: Path) -> None:
    await run.ends_while_completing("no answer")
    other = tmp_path / "other"
    other.mkdir()
    (other / "small").write_text("small")
    await run.sync(other)
    assert list(run.store.uploads) == ["upload-1"]


async def test_parts_that_turned_out_wrong_later_are_not_gone_on_with(run: Run, limits: Limits) -> None:
    """A sync that goes on with an upload and is stopped before its end has not seen all of it."""
    if run._verb == "push":
        return
    await run.ends_while_completing("no answer")
    run.store.uploads["upload-1"].sizes.pop(1)

    def fail() -> None:
        raise AccessDenied("denied")

    run.store.before_part = fail
    with pytest.raises(SnapdirError):
        await run()
    assert run.store.uploads == {}
    run.store.before_part = lambda: None
    run.store.sent.clear()
    await run()
    assert sorted(run.store.sent) == list(range(1, PARTS + 1))


async def test_a_store_that_refuses_to_complete_keeps_nothing(run: Run) -> None:
    async def refuse(_: ResumableUpload) -> None:
        raise StoreRefused("a part is missing")

    run.store.before_commit = refuse
    with pytest.raises(StoreRefused):
        await run()
    assert (run.store.uploads, list(run.notes.iterdir())) == ({}, [])


async def test_the_failure_of_another_file_aborts_no_upload_that_is_being_completed(
    tree: Path, limits: Limits, tmp_path: Path
) -> None:
    other = bytes(reversed(CONTENT))
    (tree / "other").write_bytes(other)
    store = ResumableStore()
    is_completing = anyio.Event()

    async def meet(upload: ResumableUpload) -> None:
        if is_completing.is_set():
            raise AccessDenied("denied")
        is_completing.set()
        left.append(str(upload.resume_token))
        await anyio.sleep_forever()

    left: list[str] = []
    store.before_commit = meet
    with pytest.raises((AccessDenied, TransferFailed)):
        await push_noted(tree, store, limits, tmp_path / "cache")
    assert list(store.uploads) == store.kept == left
    assert object_key(Digest("0" * 64)) not in store.objects
