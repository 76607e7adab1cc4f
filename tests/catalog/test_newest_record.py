"""The newest record of a store's history costs a few requests, however many were written before it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import snapdir
from snapdir.catalog.record import Record, timestamp
from snapdir.catalog.shared import SharedHistory
from snapdir.config import Config
from snapdir.model.keys import RECORDS, record_key
from snapdir.stores.base import Store
from snapdir.stores.open import open_store
from tests.catalog.test_shared import HERE, NOW, record_at
from tests.e2e.scripted_s3 import ScriptedS3
from tests.unsorted import by_hash


@dataclass
class Bucket:
    """A store on ScriptedS3, and its requests."""

    server: ScriptedS3
    store: Store
    listings: list[str] = field(default_factory=list)

    def add(self, *moments: datetime) -> list[Record]:
        records = [record_at(moment, number) for number, moment in enumerate(moments)]
        for record in records:
            key = record_key(record.created_at, record.record_id)
            self.server.objects[f"bucket/sets/{key}"] = record.to_json().encode()
        return records

    async def newest(self, **known: Any) -> tuple[Record | None, int]:
        """The newest record, and the number of listings."""
        self.listings.clear()
        found = await SharedHistory(self.store, HERE, now=NOW, **known).newest()
        return found, len(self.listings)


@asynccontextmanager
async def opened_bucket(monkeypatch: pytest.MonkeyPatch, **options: Any) -> AsyncIterator[Bucket]:
    with ScriptedS3(**options) as server:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        async with open_store(HERE) as store:
            bucket = Bucket(server, store)
            server.before = lambda request: (
                bucket.listings.append(request.path) if "list-type" in request.path else None
            )
            yield bucket


SECONDS = [NOW - timedelta(seconds=number) for number in range(5000)]


async def test_the_newest_of_many_records_takes_a_few_listings(monkeypatch: pytest.MonkeyPatch) -> None:
    """5,000 in 83 minutes: 50 pages of 100, and a second request to each that begins in the middle."""
    async with opened_bucket(monkeypatch, page_keys=100) as bucket:
        written = bucket.add(*SECONDS)
        found, listings = await bucket.newest()
        assert found == written[0]
        assert listings <= 14
        bucket.add(*(NOW - timedelta(days=1000) + timedelta(minutes=number) for number in range(5000)))
        found, listings = await bucket.newest()
        assert found == written[0]
        assert listings <= 14


async def test_what_was_pushed_before_the_last_push_from_here_is_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened_bucket(monkeypatch, page_keys=100) as bucket:
        written = bucket.add(*SECONDS)
        last = written[50]
        history = SharedHistory(bucket.store, HERE, known={last.record_id}, now=NOW)
        assert await history.newest(since=last.created_at) == written[0]
        assert len(bucket.listings) <= 2
        assert (
            await SharedHistory(
                bucket.store, HERE, now=NOW, position=record_key(last.created_at, last.record_id)
            ).newest()
            == written[0]
        )
        last = written[0]
        bucket.listings.clear()
        history = SharedHistory(bucket.store, HERE, known={last.record_id}, now=NOW)
        assert await history.newest(since=last.created_at) is None
        assert len(bucket.listings) <= 2


@pytest.mark.parametrize("page_keys", [2, 100, 1000])
@pytest.mark.parametrize("listed_by", [str, by_hash])
async def test_the_newest_record_is_found_among_whatever_else_is_there(
    monkeypatch: pytest.MonkeyPatch, page_keys: int, listed_by: Callable[[str], str]
) -> None:
    async with opened_bucket(monkeypatch, page_keys=page_keys, listed_by=listed_by) as bucket:
        bucket.add(datetime(2999, 1, 1, tzinfo=UTC), NOW + timedelta(days=3))
        for name in ("2026/10/99T999999.999-abababab.json", "README", "2026/11/zz"):
            bucket.server.objects[f"bucket/sets/{RECORDS}{name}"] = b"{}"
        assert await bucket.newest() == (None, len(bucket.listings))
        written = bucket.add(*(NOW - timedelta(hours=number) for number in range(30)))
        assert (await bucket.newest())[0] == written[0]
        assert (await bucket.newest(known={written[0].record_id}))[0] is None


async def test_records_of_one_moment_end_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened_bucket(monkeypatch, page_keys=100) as bucket:
        written = bucket.add(*[NOW] * 450)
        newest = max(written, key=lambda record: record.record_id)
        assert (await bucket.newest())[0] == newest


async def test_a_last_push_that_the_store_knows_nothing_of_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened_bucket(monkeypatch, page_keys=100) as bucket:
        written = bucket.add(*SECONDS[100:])
        history = SharedHistory(bucket.store, HERE, now=NOW)
        assert await history.newest(since=timestamp(NOW)) == written[0]
        assert len(bucket.listings) <= 16


@pytest.mark.parametrize("machine", ["the same", "another"])
async def test_a_push_asks_no_more_for_the_pushes_of_the_last_day(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, machine: str
) -> None:
    requests = []
    for count in (10, 3000):
        async with opened_bucket(monkeypatch) as bucket:
            now = datetime.now(UTC)
            bucket.add(*(now - timedelta(hours=12) * (number + 1) / count for number in range(count)))
            (tmp_path / "tree").mkdir(exist_ok=True)
            config = Config(cache_dir=tmp_path / f"cache-{count}").with_options(catalog="default")
            if machine == "the same":
                (tmp_path / "tree" / "file").write_bytes(b"before")
                await snapdir.push(tmp_path / "tree", HERE, config=config)
            (tmp_path / "tree" / "file").write_bytes(b"after")
            before = bucket.server.requests.total()
            await snapdir.push(tmp_path / "tree", HERE, config=config)
            requests.append(bucket.server.requests.total() - before)
    few, many = requests
    assert many - few <= (1 if machine == "the same" else 5)
