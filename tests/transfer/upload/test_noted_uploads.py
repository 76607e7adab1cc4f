"""A note says whether a later run may resume its upload."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import anyio
import pytest
from anyio import to_thread
from anyio.lowlevel import checkpoint

from snapdir.model.digest import Digest
from snapdir.model.sizes import MIB
from snapdir.repository.repository import Repository
from snapdir.stores.memory import MemoryStore
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.push import PushOptions, push
from snapdir.transfer.sync import StoreSync, SyncOptions
from snapdir.transfer.upload.journal import JournalEntry, UploadJournal
from snapdir.transfer.upload.noted_uploads import NotedUploads
from tests.transfer.conftest import RecordingStore, push_tree


class NotingJournal(UploadJournal):
    """Writes down the part sizes that notes are made for."""

    def __init__(self, cache_dir: Path, store_url: str) -> None:
        super().__init__(cache_dir, store_url)
        self.noted: set[int] = set()

    def open(self, digest: str, part_bytes: int) -> JournalEntry:
        self.noted.add(part_bytes)
        return super().open(digest, part_bytes)


@pytest.mark.parametrize(("verb", "noted"), [("push", MIB), ("sync", 0)])
async def test_only_what_was_hashed_before_it_was_sent_may_be_gone_on_with(
    tree: Path, store: RecordingStore, limits: Limits, tmp_path: Path, verb: str, noted: int
) -> None:
    journal, to = NotingJournal(tmp_path / "cache", store.url), Repository(store)
    if verb == "push":
        await push(tree, to, options=PushOptions(), limits=limits, counters=Counters(), journal=journal)
    else:
        source = Repository(MemoryStore())
        identifier = await push_tree(tree, source, limits)
        pair = StoreSync(source, to, options=SyncOptions(), limits=limits, counters=Counters(), journal=journal)
        await pair.copy(identifier)
    assert journal.noted == {noted}


def left_note(journal: UploadJournal, digest: Digest) -> None:
    entry = journal.open(digest, 0)
    entry.note("token", 0)
    entry.leave()


def token_of(journal: UploadJournal, digest: Digest) -> str | None:
    entry = journal.open(digest, 0)
    token = entry.token()
    entry.close()
    return token


async def test_a_cancelled_sweep_lets_go_of_the_notes_it_has_not_come_to(
    store: RecordingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, to = UploadJournal(tmp_path / "cache", store.url), Repository(store)
    digests = [Digest("a" * 64), Digest("b" * 64)]
    for digest in digests:
        await to_thread.run_sync(left_note, journal, digest)

    async def begin_object(*_: object, **__: object) -> NoReturn:
        scope.cancel()
        await checkpoint()
        raise AssertionError

    monkeypatch.setattr(to, "begin_object", begin_object)
    with anyio.CancelScope() as scope:
        await NotedUploads(to, journal, Counters()).sweep([])
    assert [await to_thread.run_sync(token_of, journal, digest) for digest in digests].count("token") == 1
