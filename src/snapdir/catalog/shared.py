"""The history in a store: one small immutable record for each push, below ``.catalog/``.

A record's key begins with its time, so that a listing from a key on finds new records. Clocks differ, so that listing
starts ``OVERLAP`` before the latest known key; known records are not read again. Anyone who can write to the store may
write below that prefix: invalid records, and those under a wrong key, are skipped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from blake3 import blake3

from snapdir.catalog.record import Record, timestamp
from snapdir.errors import CatalogError, ObjectNotFound, StoreMissing, ungrouped
from snapdir.model.keys import RECORDS, record_key, record_of_key, records_since
from snapdir.model.sizes import MIB
from snapdir.stores.base import ObjectInfo, Store, close_pages
from snapdir.stores.batches import flushing, put_small
from snapdir.stores.listing import shows_order
from snapdir.stores.workers import run_workers

MAX_RECORD_BYTES = MIB
"""More than the longest record that ``Record`` allows."""

OVERLAP = timedelta(days=1)
"""How slow the clock of a pusher may be, so that readers who have seen later records still find its record."""

READS_AT_ONCE = 32
RECORDS_A_BATCH = 1000


async def write_record(store: Store, record: Record) -> None:
    """Add ``record`` to the history of ``store``. One request; each record has a key of its own.

    In a store on this host it survives a power cut.
    """
    await store.write(record_key(record.created_at, record.record_id), f"{record.to_json()}\n".encode())
    await store.flush()


async def copy_records(source: Store, target: Store) -> None:
    """Copy every valid record of ``source`` that ``target`` lacks.

    Raises:
        StoreError, LocalError: either store fails; records that were copied stay.
    Cost: a listing of both, and a read and a write for each record that is new.
    """
    present: set[str] = set()
    with suppress(StoreMissing):  # its first write will make it
        async for page in target.list(RECORDS):
            present.update(info.key for info in page)

    async def copy(info: ObjectInfo) -> None:
        with suppress(CatalogError, ObjectNotFound):
            stored = await source.read(info.key, length=MAX_RECORD_BYTES)
            _named_by(info.key, stored)
            await put_small(target, batch, info.key, stored)

    batch = target.batch_writer()
    async with flushing(batch):
        async for page in source.list(RECORDS):
            new = [info for info in page if _may_be_record(info) and info.key not in present]
            with ungrouped(f"copy the history of {source.url}"):
                await run_workers(new, copy, workers=READS_AT_ONCE)
    await target.flush()


def _may_be_record(info: ObjectInfo) -> bool:
    return record_of_key(info.key) is not None and info.size <= MAX_RECORD_BYTES


class SharedHistory:
    """The new records of one store.

    Args:
        location: The location of the store here, which replaces that of the records.
        known: Record ids at ``location`` that need not be read.
        position: The latest key of an earlier reading; empty to read from the beginning.
        now: UTC. A key in the future never becomes the position: it would hide all records until then.

    Attributes:
        position: For the next reading, once ``new_records`` has ended.
        skipped: Keys without a valid record.
    """

    def __init__(
        self,
        store: Store,
        location: str,
        *,
        known: Collection[str] = (),
        position: str = "",
        now: datetime | None = None,
    ) -> None:
        self._store = store
        self._location = location
        self._known = known
        self._start = position
        now = now or datetime.now(UTC)
        self._now = records_since(timestamp(now))
        self._yesterday, self._tomorrow = now - OVERLAP, now + OVERLAP
        self._soon = records_since(timestamp(self._tomorrow))
        self._found_start = False
        self.position = ""
        self.skipped: list[str] = []

    async def new_records(self) -> AsyncIterator[list[Record]]:
        """Records that are not known, in the order of their keys.

        If the key at the position is missing, the store was replaced or cleaned, and everything is listed.

        Raises:
            StoreError: the store fails.
        Cost: a request for 1,000 keys after the position, and one for each new record.
        """
        async for batch in self._batches(_overlapping(self._start)):
            yield batch
        if self._start and not self._found_start:
            self.position = ""
            async for batch in self._batches(""):
                yield batch

    async def newest(self, *, since: str = "") -> Record | None:
        """The newest record unless it is known. Reads no other record, and does not move the position.

        Args:
            since: ``created_at`` of a record that should be there: nothing older is listed.

        Cost: a request for 1,000 keys from there on, and one to read it. If there are more keys, about one request for
            each time that their number doubles; in a store that does not list in order, all of them.
        """
        start = max(self._start, records_since(since) if since else "")
        newest = await self._newest(start)
        if newest is None and start:
            newest = await self._newest("")
        return await self._read(newest) if newest is not None and self._is_new(newest.key) else None

    async def newest_push(
        self, labels: Mapping[str, str], is_present: Callable[[str], Awaitable[bool]]
    ) -> Record | None:
        """The newest push that has all of ``labels``, of a snapshot that ``is_present``.

        Damaged records are passed over, and those of the future.

        Cost: a request for each 1,000 records, and one for each record that is newer than it, a few more at the end.
        """
        infos = [info async for page in self._store.list(RECORDS) for info in page if _may_be_record(info)]
        infos = sorted((info for info in infos if info.key < self._soon), key=lambda info: info.key, reverse=True)
        for first in range(0, len(infos), READS_AT_ONCE):
            for record in await self._read_all(infos[first : first + READS_AT_ONCE]):
                wanted = record.event == "push" and labels.items() <= dict(record.labels).items()
                if wanted and await is_present(record.id):
                    return record
        return None

    async def _newest(self, start_after: str) -> ObjectInfo | None:
        """The newest record after a key: while there is more than one page, the time is bisected."""
        newest: ObjectInfo | None = None
        key, moment, end = start_after, self._tomorrow, self._tomorrow
        while True:
            newest_of_page, page_end = await self._newest_of_page(key)
            newest = newest_of_page or newest
            if page_end is not None:
                start_after = page_end
            elif newest_of_page is not None or key == start_after:
                return newest
            else:
                end = moment
            key, moment = self._halfway(start_after, end)

    async def _newest_of_page(self, start_after: str) -> tuple[ObjectInfo | None, str | None]:
        """The newest record of the page after a key, and the end of that page if newer ones may follow."""
        newest: ObjectInfo | None = None
        pages = self._store.list(RECORDS, start_after=start_after)
        try:
            async for page in pages:
                past = [info for info in page if self._is_past(info.key)]
                newest = max(filter(None, (newest, *past)), key=lambda info: info.key, default=None)
                if page.resume is not None and shows_order(page):
                    return newest, page[-1].key if page[-1].key < self._soon else None
            return newest, None
        finally:
            await close_pages(pages)

    def _halfway(self, key: str, end: datetime) -> tuple[str, datetime]:
        """The key and the moment halfway to ``end``, first a day ago; ``key`` itself at the end of the search."""
        parsed = record_of_key(key)
        try:
            begin = datetime.fromisoformat(parsed[0]).replace(tzinfo=UTC) if parsed else end
        except ValueError:  # a key of the right shape with an invalid time
            begin = end
        middle = self._yesterday if begin < self._yesterday < end else begin + (end - begin) / 2
        return max(key, records_since(timestamp(middle))) if begin < end else key, middle

    def _is_past(self, key: str) -> bool:
        """Whether a record's key is in the past, apart from differences of clocks."""
        return record_of_key(key) is not None and key < self._soon

    async def _batches(self, start_after: str) -> AsyncIterator[list[Record]]:
        new: list[ObjectInfo] = []
        async for page in self._store.list(RECORDS, start_after=start_after):
            new += [info for info in page if self._note(info.key)]
        new.sort(key=lambda info: info.key)
        for first in range(0, len(new), RECORDS_A_BATCH):
            if batch := await self._read_all(new[first : first + RECORDS_A_BATCH]):
                yield batch

    def _note(self, key: str) -> bool:
        """Move the position; return whether the record at ``key`` must be read."""
        if record_of_key(key) is None:
            return False
        self._found_start = self._found_start or key == self._start
        if key < self._now:
            self.position = max(self.position, key)
        return self._is_new(key)

    def _is_new(self, key: str) -> bool:
        parsed = record_of_key(key)
        if parsed is None:
            return False
        return parsed[1] not in self._known and _copied_id(parsed[1], self._location) not in self._known

    async def _read_all(self, infos: Sequence[ObjectInfo]) -> list[Record]:
        records: dict[str, Record] = {}

        async def read(info: ObjectInfo) -> None:
            if record := await self._read(info):
                records[info.key] = record

        with ungrouped(f"read the history of {self._location}"):
            await run_workers(infos, read, workers=READS_AT_ONCE)
        return [records[info.key] for info in infos if info.key in records]

    async def _read(self, info: ObjectInfo) -> Record | None:
        """The record at a key, with this location; None if it is invalid or missing."""
        if info.size > MAX_RECORD_BYTES:
            self.skipped.append(info.key)
            return None
        try:
            record = _named_by(info.key, await self._store.read(info.key, length=MAX_RECORD_BYTES))
        except ObjectNotFound:
            return None
        except CatalogError:
            self.skipped.append(info.key)
            return None
        if record.location == self._location:
            return record
        # A copied store, or one with two names: its records get the location and ids of their own.
        return replace(record, location=self._location, record_id=_copied_id(record.record_id, self._location))


def _named_by(key: str, stored: bytes) -> Record:
    """The record in ``stored``.

    Raises:
        CatalogError: the record is invalid, or does not match its key.
    """
    record = Record.from_json(stored)
    if record_key(record.created_at, record.record_id) != key:
        raise CatalogError(f"{key}: the record does not match its key")
    return record


def _overlapping(position: str) -> str:
    """The start of a listing that also finds records of slow clocks, written before ``position``."""
    parsed = record_of_key(position)
    if parsed is None:
        return ""
    try:
        return records_since(timestamp(datetime.fromisoformat(parsed[0]).replace(tzinfo=UTC) - OVERLAP))
    except (ValueError, OverflowError):  # a key of the right shape with an invalid time
        return ""


def _copied_id(record_id: str, location: str) -> str:
    return blake3(f"{record_id} {location}".encode()).hexdigest(length=16)
