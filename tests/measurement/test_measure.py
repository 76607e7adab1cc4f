"""`bench` measures every operation, always cleans up, and its advice follows from the figures."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import count
from pathlib import Path

import anyio
import crc32c  # noqa: F401  # its import reads files
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from snapdir.errors import AccessDenied, ConnectionFailed, InvalidResponse, LocalError, StoreError
from snapdir.measurement import host, scratch
from snapdir.measurement.advice import GOOD_ENOUGH, MAX_ADVISED_PART_BYTES, MAX_JOBS, advise
from snapdir.measurement.measure import LARGE_CONCURRENCIES, SMALL_CONCURRENCIES, measure_store
from snapdir.measurement.report import BenchReport, HostRates, Measurement, Operation
from snapdir.measurement.schedule import Schedule
from snapdir.measurement.scratch import SCRATCH
from snapdir.model.sizes import GIB, KIB, MIB
from snapdir.stores.base import Body, Capabilities, Page
from snapdir.stores.file.store import FileStore
from snapdir.stores.memory import MemoryStore
from snapdir.testing.faults import FaultyStore
from snapdir.transfer.engine.limits import Limits

FAST_HOST = HostRates(2, 5.0 * GIB, 10.0 * GIB, 10.0 * GIB)
SMALL_PARTS = Limits(part_bytes=64 * KIB, memory_bytes=MIB)
OPERATIONS: Sequence[Operation] = ("put", "get", "head", "list", "upload", "download")


@pytest.fixture(autouse=True)
def little_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "MAX_DISK_BYTES", 2 * MIB)


def ticking(step_seconds: float = 0.0006) -> Callable[[], float]:
    """A clock that advances by one step per reading, so that results never depend on the machine."""
    ticks = count()
    return lambda: next(ticks) * step_seconds


async def measured(store: object, directory: Path, **options: object) -> BenchReport:
    options.setdefault("seconds", 1.0)
    options.setdefault("clock", ticking())
    options.setdefault("limits", SMALL_PARTS)
    return await measure_store(store, directory=str(directory), **options)  # type: ignore[arg-type]


class StuckStore(MemoryStore):
    """Its reads never end; it signals when one has begun."""

    def __init__(self) -> None:
        super().__init__()
        self.stuck = anyio.Event()

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        self.stuck.set()
        await anyio.sleep_forever()
        raise AssertionError(key)


class LateStore(MemoryStore):
    """A remote store: a write sent earlier arrives during the first listing after the deletion."""

    late = 2

    def list(self, prefix: str, *, start_after: str = "", resume: str | None = None) -> AsyncIterator[Page]:
        if not self.objects and self.late:
            self.late -= 1
            self.objects[f"{prefix}late"] = b""
        return super().list(prefix, start_after=start_after, resume=resume)


class SlowStore(MemoryStore):
    """Its third write waits, and would be seen to end."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = anyio.Event(), anyio.Event()
        self.writes = self.finished = 0

    async def write(self, key: str, body: Body, *, if_absent: bool = False) -> bool:
        self.writes += 1
        if self.writes != 3:
            return await super().write(key, body, if_absent=if_absent)
        self.begun.set()
        await self.go_on.wait()
        self.finished += 1
        return await super().write(key, body, if_absent=if_absent)


class LosingStore(MemoryStore):
    """Stores only the first half of each object."""

    async def write(self, key: str, body: Body, *, if_absent: bool = False) -> bool:
        assert isinstance(body, memoryview)
        return await super().write(key, body[: len(body) // 2], if_absent=if_absent)


@pytest.mark.parametrize("kind", ["memory", "file"])
async def test_every_operation_is_measured_at_every_concurrency(kind: str, tmp_path: Path) -> None:
    store = MemoryStore() if kind == "memory" else FileStore(tmp_path / "store")
    cpu = time.process_time()
    report = await measured(store, tmp_path)
    assert 0 < sum(one.cpu_seconds for one in report.measurements) <= time.process_time() - cpu
    small = [(each, level) for each in ("put", "get", "head", "list") for level in SMALL_CONCURRENCIES]
    assert [(one.operation, one.concurrency) for one in report.of("put", "get", "head", "list")] == small
    assert {one.operation for one in report.of("upload", "download")} == {"upload", "download"}
    assert {one.request_bytes for one in report.of("upload", "download")} == {SMALL_PARTS.part_bytes}
    assert {one.concurrency for one in report.of("upload", "download")} <= set(LARGE_CONCURRENCIES)
    assert all(one.requests >= one.concurrency and one.requests_per_second > 0 for one in report.measurements)
    assert report.host.hash_bytes_per_second > 0
    assert report.host.disk_write_bytes_per_second > 0
    assert (report.store, report.leftover) == (store.url, "")


async def test_phases_are_told_in_their_order(tmp_path: Path) -> None:
    phases: list[str] = []
    await measured(MemoryStore(), tmp_path, on_phase=phases.append)
    assert len(phases) == 8
    assert (phases[0], phases[-1]) == ("measuring hash and disk", "cleaning up")


async def test_objects_that_were_there_stay_and_nothing_else_does(tmp_path: Path) -> None:
    before = {".objects/aa": b"one", f"{SCRATCH}somebody/else": b"two"}
    store = MemoryStore(dict(before))
    await measured(store, tmp_path)
    assert store.objects == before


async def test_a_directory_that_was_not_there_is_gone_again(tmp_path: Path) -> None:
    await measured(FileStore(tmp_path / "parent" / "store"), tmp_path)
    assert [*tmp_path.iterdir()] == []


async def test_a_directory_that_was_there_is_as_before(tmp_path: Path) -> None:
    root = tmp_path / "store"
    (root / ".objects").mkdir(parents=True)
    (root / ".objects" / "aa").write_bytes(b"one")
    await measured(FileStore(root), tmp_path)
    assert sorted(path.relative_to(root).as_posix() for path in root.rglob("*")) == [".objects", ".objects/aa"]


async def test_everything_written_lies_below_one_random_prefix(tmp_path: Path) -> None:
    prefixes = set()
    for _ in range(2):
        store = FaultyStore(MemoryStore())
        await measured(store, tmp_path)
        writing = ("write", "delete", "begin", "part", "commit", "abort")
        found = {key.split("/")[1] for kind, key in store.calls if kind in writing}
        assert all(key.startswith(SCRATCH) for _, key in store.calls)
        assert len(found) == 1
        prefixes |= found
    assert len(prefixes) == 2


FAULTS = (
    {"write": "fail"},
    {"write": "ok ok ok throttle"},
    {"read": "fail"},
    {"stat": "ok deny"},
    {"page": "fail"},
    {"begin": "fail"},
    {"part": "ok lost"},
    {"part": "ok fail", "abort": "fail"},
    {"commit": "lost"},
    {"read": "ok short"},
)


@pytest.mark.parametrize("faults", FAULTS, ids=str)
async def test_a_failing_store_is_told_and_cleaned(faults: dict[str, str], tmp_path: Path) -> None:
    memory = MemoryStore()
    with pytest.raises(StoreError) as caught:
        await measured(FaultyStore(memory, **faults), tmp_path)
    assert "on request" in str(caught.value) or isinstance(caught.value, InvalidResponse)
    assert not getattr(caught.value, "__notes__", [])
    assert memory.objects == {}


@pytest.mark.parametrize("faults", [{"write": "ok lost"}, {"part": "ok fail"}, {"commit": "fail"}], ids=str)
async def test_a_failing_directory_is_cleaned(faults: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConnectionFailed):
        await measured(FaultyStore(FileStore(tmp_path / "store"), **faults), tmp_path)
    assert [*tmp_path.iterdir()] == []


async def test_what_cannot_be_removed_is_named(tmp_path: Path) -> None:
    store = FaultyStore(MemoryStore(), delete="fail")
    report = await measured(store, tmp_path)
    assert f"objects may be left below {store.url}/{SCRATCH}" in report.leftover
    assert "connection refused" in report.leftover


async def test_a_failure_that_cannot_be_cleaned_up_after_says_both(tmp_path: Path) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        await measured(FaultyStore(MemoryStore(), stat="fail", delete="deny"), tmp_path)
    assert "connection refused" in str(caught.value)
    assert "objects may be left below" in caught.value.__notes__[0]


async def test_a_store_that_cannot_be_written_leaves_no_note(tmp_path: Path) -> None:
    with pytest.raises(AccessDenied) as caught:
        await measured(FaultyStore(MemoryStore(), write="deny", delete="deny"), tmp_path)
    assert not getattr(caught.value, "__notes__", [])


async def test_a_cancelled_measurement_cleans_up(tmp_path: Path) -> None:
    store = StuckStore()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: measured(store, tmp_path))
        await store.stuck.wait()
        assert store.objects
        group.cancel_scope.cancel()
    assert store.objects == {}


async def test_writes_in_flight_are_seen_through_before_the_clean_up(tmp_path: Path) -> None:
    store = SlowStore()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: measured(store, tmp_path))
        await store.begun.wait()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await checkpoint()
        store.go_on.set()
    assert (store.finished, store.objects) == (1, {})


async def test_a_write_that_lands_after_its_cancellation_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "LATE_SECONDS", 0)
    store = LateStore(capabilities=Capabilities())
    await measured(store, tmp_path)
    assert (store.objects, store.late) == ({}, 0)


async def test_answers_of_the_wrong_length_are_no_rate(tmp_path: Path) -> None:
    with pytest.raises(InvalidResponse):
        await measured(LosingStore(), tmp_path)


async def test_a_store_of_larger_parts_gets_whole_objects_on_a_slow_line(tmp_path: Path) -> None:
    store = MemoryStore(capabilities=Capabilities(remote=False))  # parts of 5 MiB at least
    report = await measured(store, tmp_path, limits=Limits(), clock=ticking(0.001), seconds=0.1)
    assert {one.request_bytes for one in report.of("upload", "download")} <= {MIB}
    assert store.objects == {}


async def test_no_time_at_all_still_gives_a_report(tmp_path: Path) -> None:
    store = MemoryStore()
    report = await measured(store, tmp_path, seconds=0.001)
    assert report.measurements == ()
    assert (report.advice.limits, report.advice.jobs) == ((), 1)
    assert store.objects == {}


async def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    store = MemoryStore()
    with pytest.raises(LocalError, match="nowhere"):
        await measured(store, tmp_path / "nowhere")
    assert store.objects == {}


@given(st.integers(1, 9), st.integers(1, 9), st.floats(0.1, 100))
def test_a_schedule_gives_out_all_its_time_and_no_more(small: int, large: int, seconds: float) -> None:
    now = 0.0
    schedule = Schedule(seconds, {"small": small, "large": large}, lambda: now)
    for kind in ["small"] * small + ["large"] * large:
        slot = schedule.slot(kind)  # type: ignore[arg-type]
        assert slot > 0
        now += slot
    assert now == pytest.approx(seconds)


def curve(
    operation: Operation, rates: Sequence[float], *, cpu_share: float = 0.1, size: int = MIB
) -> list[Measurement]:
    """Rates in requests per second at 1, 2, 4, ... requests in flight, over one second each."""
    return [
        Measurement(operation, 2**power, size, max(1, round(rate * 1000)), 1000.0, cpu_share * 1000)
        for power, rate in enumerate(rates)
    ]


curves = st.builds(
    lambda kinds: [one for kind, rates, share in kinds for one in curve(kind, rates, cpu_share=share)],
    st.lists(
        st.tuples(st.sampled_from(OPERATIONS), st.lists(st.floats(0.1, 1e5), min_size=1, max_size=8), st.floats(0, 2)),
        max_size=6,
        unique_by=lambda kind: kind[0],
    ),
)
hosts = st.builds(HostRates, st.integers(1, 16), st.floats(1, 1e10), st.floats(1, 1e10), st.floats(0, 1e10))


@given(curves, hosts, st.integers(8 * MIB, GIB))
def test_advice_is_always_one_that_a_transfer_takes(found: list[Measurement], host: HostRates, memory: int) -> None:
    advice = advise(found, host, memory_bytes=memory)
    assert 1 <= advice.jobs <= MAX_JOBS
    assert Limits().part_bytes <= advice.part_bytes <= MAX_ADVISED_PART_BYTES
    assert advice.part_bytes % MIB == 0
    assert advice.memory_bytes >= max(memory, advice.part_bytes)
    judged = {one.operation for one in found} & {"put", "get", "upload", "download"}
    assert len(advice.limits) == len(judged)
    assert all(limit.reason for limit in advice.limits)


@given(curves, hosts)
def test_advice_does_not_depend_on_the_order_of_the_measurements(found: list[Measurement], host: HostRates) -> None:
    assert advise(found, host) == advise(found[::-1], host)


@given(st.lists(st.floats(1, 1e4), min_size=2, max_size=8))
def test_jobs_are_the_fewest_that_are_about_as_fast_as_any(rates: list[float]) -> None:
    advice = advise(curve("get", rates, cpu_share=0.9), FAST_HOST)
    by_concurrency = {one.concurrency: one.requests_per_second for one in curve("get", rates)}
    best = max(by_concurrency.values())
    assert by_concurrency[advice.jobs] >= GOOD_ENOUGH * best
    assert all(rate < GOOD_ENOUGH * best for jobs, rate in by_concurrency.items() if jobs < advice.jobs)


@given(st.lists(st.floats(1, 1e4), min_size=1, max_size=8), st.floats(0.01, 0.99))
def test_a_disk_slower_than_the_store_is_what_a_pull_waits_for(rates: list[float], share: float) -> None:
    best = max(one.bytes_per_second for one in curve("download", rates))
    host = HostRates(2, 1e12, 1e12, best * share)
    assert [limit.bottleneck for limit in advise(curve("download", rates), host).limits] == ["disk"]


@pytest.mark.parametrize(
    ("rates", "cpu_share", "expected"),
    [
        ([30, 60, 120, 240], 0.1, "latency"),
        ([30, 60, 120, 240], 0.9, "cpu"),
        ([100, 101, 100, 99], 0.1, "store"),
        ([100], 0.1, "unknown"),
    ],
)
@pytest.mark.parametrize("operation", ["put", "get", "upload", "download"])
def test_the_bottleneck_is_named(operation: Operation, rates: list[float], cpu_share: float, expected: str) -> None:
    advice = advise(curve(operation, rates, cpu_share=cpu_share), FAST_HOST)
    assert [limit.bottleneck for limit in advice.limits] == [expected]


def test_no_more_jobs_are_suggested_than_keep_the_disk_busy() -> None:
    host = HostRates(2, 5.0 * GIB, 10.0 * GIB, 100.0 * MIB)
    assert advise(curve("download", [40, 80, 160, 320, 640]), host).jobs == 4


def test_hashing_slower_than_the_store_is_the_cpu() -> None:
    host = HostRates(1, 5.0 * MIB, 5.0 * MIB, 1.0 * GIB)
    for operation in ("upload", "download"):
        (limit,) = advise(curve(operation, [100, 100]), host).limits  # type: ignore[arg-type]
        assert limit.bottleneck == "cpu"
        assert "BLAKE3 hashes only 5.00 MiB/s" in limit.reason


def test_more_jobs_than_were_tried_are_suggested_where_the_curve_still_climbs() -> None:
    assert advise(curve("put", [1, 2, 4, 8]), FAST_HOST).jobs == 16
    assert advise(curve("put", [2.0**power for power in range(10)]), FAST_HOST).jobs == MAX_JOBS


def test_parts_grow_with_the_latency_and_never_beyond_the_memory() -> None:
    heads = curve("head", [2], size=0)  # 0.5 s
    ranges = curve("download", [1.6, 1.6], size=8 * MIB)  # 0.625 s, so 64 MiB/s a stream: 320 MiB would be best
    assert advise(heads + ranges, FAST_HOST, memory_bytes=GIB).part_bytes == MAX_ADVISED_PART_BYTES
    assert advise(heads + ranges, FAST_HOST, memory_bytes=40 * MIB).part_bytes == 32 * MIB
    assert advise(curve("head", [1e4], size=0) + ranges, FAST_HOST, memory_bytes=GIB).part_bytes == 8 * MIB


def test_memory_is_raised_where_the_parts_in_flight_need_it() -> None:
    climbing = curve("download", [1, 2, 4, 8, 16], size=8 * MIB)
    assert advise(climbing, FAST_HOST, memory_bytes=128 * MIB).memory_bytes == 32 * 8 * MIB
