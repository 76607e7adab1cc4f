"""A killed push resumes where it stopped, and verifies everything it finds."""

from __future__ import annotations

import dataclasses
import os
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from snapdir.disk.claims import open_locked
from snapdir.disk.run_folder import KEPT_SECONDS
from snapdir.errors import AccessDenied, ConnectionFailed, InFluxError, StoreRefused, Throttled
from snapdir.model.keys import UPLOADS
from snapdir.repository.repository import Repository
from snapdir.stores.memory import MemoryStore
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.packs.receive import receive_pack
from snapdir.transfer.packs.send import send_pack
from snapdir.transfer.sync import StoreSync, SyncOptions
from snapdir.transfer.upload.journal import UploadJournal
from tests.transfer.conftest import push_tree
from tests.transfer.resuming.resumable import CONTENT, DIGEST, KEY, PART, PARTS, ResumableStore, cancel_push, push_noted


async def leave_killed_push(
    store: ResumableStore, cache: Path, parts: dict[int, bytes], *, part_bytes_noted: int = PART
) -> str:
    """What a killed push leaves: parts in the store, and a note of the upload that nobody has locked."""
    upload = await store.begin_upload(KEY, size=len(CONTENT), part_bytes=PART)
    for number, data in parts.items():
        await upload.write_part(number, data)
    journal = UploadJournal(cache, store.url)
    entry = await anyio.to_thread.run_sync(journal.open, DIGEST, part_bytes_noted)
    entry.note(upload.resume_token, 0)
    assert entry._descriptor is not None
    os.close(entry._descriptor)  # as the kernel does it for a killed process
    store.sent.clear()
    store.resumed.clear()
    assert upload.resume_token is not None
    return upload.resume_token


def part(number: int) -> bytes:
    return CONTENT[(number - 1) * PART : number * PART]


def noted_token(note: Path) -> str:
    return note.read_text().partition("\n")[0]


def notes(cache: Path) -> list[str]:
    return os.listdir(cache / UPLOADS)


async def test_a_killed_push_sends_only_the_parts_that_are_missing(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path
) -> None:
    had = {1: part(1), 2: part(2), 5: part(5)}
    token = await leave_killed_push(store, cache, had)
    await push_noted(tree, store, limits, cache)
    assert store.resumed == [token]
    assert sorted(store.sent) == [number for number in range(1, PARTS + 1) if number not in had]
    assert store.objects[KEY] == CONTENT
    assert notes(cache) == []


async def test_a_note_of_an_upload_that_is_gone_begins_anew(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path
) -> None:
    token = await leave_killed_push(store, cache, {1: part(1)})
    await store.uploads[token].abort()
    await push_noted(tree, store, limits, cache)
    assert sorted(store.sent) == list(range(1, PARTS + 1))
    assert store.objects[KEY] == CONTENT


@pytest.mark.parametrize(
    "token", [b"", b"nonsense", b"\xff\xfe\0", b"x" * 9000], ids=["empty", "text", "binary", "long"]
)
async def test_a_note_of_nonsense_begins_anew(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path, token: bytes
) -> None:
    await leave_killed_push(store, cache, {1: part(1)})
    (note,) = (cache / UPLOADS).iterdir()
    note.write_bytes(token)
    await push_noted(tree, store, limits, cache)
    assert sorted(store.sent) == list(range(1, PARTS + 1))
    assert store.objects[KEY] == CONTENT


async def test_a_part_of_another_size_is_sent_again(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path
) -> None:
    await leave_killed_push(store, cache, {1: part(1), 2: part(2)[:-1], 3: part(3)})
    await push_noted(tree, store, limits, cache)
    assert 2 in store.sent
    assert not {1, 3} & set(store.sent)
    assert store.objects[KEY] == CONTENT


async def test_another_part_size_is_another_upload(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path
) -> None:
    await leave_killed_push(store, cache, {1: part(1)})
    await push_noted(tree, store, dataclasses.replace(limits, part_bytes=2 * PART), cache)
    assert store.resumed[0] is None
    assert not store.uploads  # the other one was dropped
    assert store.objects[KEY] == CONTENT


async def test_a_note_that_another_process_works_on_is_left_alone(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path
) -> None:
    token = await leave_killed_push(store, cache, {1: part(1)})
    (note,) = (cache / UPLOADS).iterdir()
    held = await anyio.to_thread.run_sync(open_locked, note)
    try:
        await push_noted(tree, store, limits, cache)
        assert noted_token(note) == token
    finally:
        os.close(held)
    assert store.resumed == [None]
    assert sorted(store.sent) == list(range(1, PARTS + 1))
    assert token in store.uploads


async def test_a_push_that_is_cancelled_keeps_what_it_sent_for_the_next_one(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path
) -> None:
    counters = await cancel_push(tree, store, limits, cache, parts=3)
    (token,) = store.uploads
    assert store.kept == [token]
    (note,) = (cache / UPLOADS).iterdir()
    assert noted_token(note) == token
    had = set(store.uploads[token].sizes)
    assert (counters.kept_objects, counters.kept_in) == (1, store.url)
    assert counters.kept_bytes == store.uploads[token].held_bytes > 0
    store.sent.clear()
    await push_noted(tree, store, limits, cache)
    assert sorted(store.sent) == [number for number in range(1, PARTS + 1) if number not in had]
    assert store.objects[KEY] == CONTENT
    assert notes(cache) == []


async def test_a_push_without_notes_that_is_cancelled_aborts(tree: Path, store: ResumableStore, limits: Limits) -> None:
    counters = await cancel_push(tree, store, limits, None, parts=3)
    assert not store.uploads
    assert counters.kept_objects == 0


@pytest.mark.parametrize(
    ("error", "keeps"),
    [
        (ConnectionFailed("gone"), True),
        (Throttled("slow down"), True),
        (AccessDenied("denied"), False),
        (StoreRefused("refused"), False),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_network_that_fails_keeps_an_upload_and_a_refusal_does_not(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path, error: Exception, keeps: bool
) -> None:
    def fail() -> None:
        if len(store.sent) >= 3:
            raise error

    store.part_arrived = fail
    with pytest.raises(type(error)):
        await push_noted(tree, store, limits, cache)
    assert len(store.uploads) == len(notes(cache)) == keeps


async def test_a_file_that_changes_during_an_upload_keeps_nothing(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path
) -> None:
    store.part_arrived = (tree / "large").touch
    with pytest.raises(InFluxError):
        await push_noted(tree, store, limits, cache)
    assert not store.uploads
    assert notes(cache) == []


# Notes that nobody needs


async def test_a_note_of_an_object_that_is_there_goes_with_the_next_push(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path
) -> None:
    await push_noted(tree, store, limits, cache)
    await leave_killed_push(store, cache, {1: part(1)})
    await push_noted(tree, store, limits, cache)
    assert not store.uploads
    assert notes(cache) == []


async def test_a_note_that_a_push_does_not_need_stays_for_a_week(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path
) -> None:
    token = await leave_killed_push(store, cache, {1: part(1)})
    (tree / "large").write_bytes(b"another file")
    await push_noted(tree, store, limits, cache)
    assert [*store.uploads] == [token]
    (note,) = (cache / UPLOADS).iterdir()
    os.utime(note, (0, note.stat().st_mtime - KEPT_SECONDS - 1))
    held = await anyio.to_thread.run_sync(open_locked, note)
    try:
        await push_noted(tree, store, limits, cache)
    finally:
        os.close(held)
    assert [*store.uploads] == [token]
    await push_noted(tree, store, limits, cache)
    assert not store.uploads
    assert notes(cache) == []


async def test_notes_about_another_store_and_files_of_others_are_left_alone(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path
) -> None:
    await leave_killed_push(store, cache, {1: part(1)})
    (note,) = (cache / UPLOADS).iterdir()
    others = {"0" * 32 + note.name[32:], note.name[:33] + "x", "README"}
    for name in others:
        (cache / UPLOADS / name).write_text("token")
    await push_noted(tree, store, limits, cache)
    assert set(notes(cache)) == others


@pytest.mark.parametrize("end", ["killed", "cancelled", "cut off"])
@pytest.mark.parametrize("verb", ["sync", "receive-pack", "push --id"])
async def test_an_upload_of_unverified_parts_is_dropped_and_not_gone_on_with(
    tree: Path, store: ResumableStore, limits: Limits, cache: Path, verb: str, end: str
) -> None:
    """Its parts may have been damaged on their way here, which is known only when the last has come."""
    source = Repository(MemoryStore())
    identifier = await push_tree(tree, source, limits)
    journal = UploadJournal(cache, store.url)

    async def run() -> None:
        if verb == "receive-pack":
            pack = bytearray()
            objects = [DIGEST]
            await send_pack(
                objects,
                source,
                pack.extend,
                manifest_id=identifier,
                compressed=False,
                limits=limits,
                counters=Counters(),
            )
            blocks = iter([bytes(pack), b""])
            await receive_pack(
                lambda: next(blocks), Repository(store), limits=limits, counters=Counters(), journal=journal
            )
        else:
            pair = StoreSync(
                source,
                Repository(store),
                options=SyncOptions(),
                limits=limits,
                counters=Counters(),
                journal=journal,
            )
            await pair.copy(identifier)

    if end == "killed":
        token = await leave_killed_push(store, cache, {1: bytes(PART)}, part_bytes_noted=0)
    elif end == "cancelled":
        with anyio.CancelScope() as scope:
            store.part_arrived = scope.cancel
            await run()
    else:
        store.part_arrived = partial(_raise, ConnectionFailed("gone"))
        with pytest.raises(ConnectionFailed):
            await run()
    if end != "killed":
        assert not store.uploads
        assert notes(cache) == []
    store.part_arrived = lambda: None
    store.sent.clear()
    await run()
    assert sorted(store.sent) == list(range(1, PARTS + 1))
    assert store.objects[KEY] == CONTENT
    assert not store.uploads
    assert notes(cache) == []
    if end == "killed":
        assert token in store.resumed  # to be dropped


def _raise(error: Exception) -> None:
    raise error
