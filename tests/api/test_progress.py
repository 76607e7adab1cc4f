"""A running verb: its events, result, failure, and its end when its caller stops watching."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import crc32c  # noqa: F401  # it reads its own version from a file when first imported, here before any loop runs
import pytest
import tqdm.auto  # noqa: F401  # as above

import snapdir
from snapdir import Counters, Progress
from snapdir.api.progress import ProgressBar
from snapdir.config import Config
from snapdir.transfer.engine.estimate import Estimate


class Slow:
    """A verb that waits until the test lets it continue."""

    def __init__(self) -> None:
        self.go_on = anyio.Event()
        self.cleaned_up = False

    async def verb(self, answer: int, *, counters: Counters | None = None) -> int:
        assert counters is not None
        counters.begin("transfer", files=4, bytes_=100)
        counters.bytes_done = 25
        try:
            await self.go_on.wait()
        finally:
            self.cleaned_up = True
        counters.bytes_done = 100
        return answer


@pytest.fixture
def slow() -> Slow:
    return Slow()


async def test_events_tell_where_it_is_and_the_last_one_that_it_is_over(slow: Slow) -> None:
    events: list[Progress] = []
    async with snapdir.running(slow.verb, 42) as current:
        with pytest.raises(RuntimeError, match="no result yet"):
            current.result  # noqa: B018
        async for progress in current:
            events.append(progress)
            slow.go_on.set()
    assert current.result == 42
    assert [event.finished for event in events] == [False] * (len(events) - 1) + [True]
    assert (events[0].phase, events[0].bytes_done, events[0].fraction) == ("transfer", 25, 0.25)
    assert (events[-1].bytes_done, events[-1].fraction, events[-1].part) == (100, 1.0, 1.0)
    assert 0 <= events[0].seconds <= events[-1].seconds


async def test_a_verb_of_the_api_is_watched(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"content")
    counters = Counters()
    async with snapdir.running(snapdir.push, tmp_path / "tree", str(tmp_path / "s"), counters=counters) as pushing:
        events = [progress async for progress in pushing]
    assert pushing.result == await snapdir.id(tmp_path / "tree")
    assert events[-1].objects_sent == counters.objects_sent == 1
    assert events[-1].finished


async def test_leaving_early_waits_for_the_verb(slow: Slow) -> None:
    async with snapdir.running(slow.verb, 42) as current:
        async for _ in current:
            slow.go_on.set()
            break
    assert current.result == 42


async def test_its_failure_ends_the_block_as_itself(tmp_path: Path) -> None:
    async def watch() -> None:
        async with snapdir.running(snapdir.push, tmp_path / "absent", str(tmp_path / "store")) as pushing:
            async for _ in pushing:
                pass
            await anyio.sleep_forever()

    with pytest.raises(snapdir.LocalError, match="absent"):
        await watch()


async def test_an_exception_in_the_block_stops_the_verb(slow: Slow) -> None:
    async def watch() -> None:
        async with snapdir.running(slow.verb, 42) as current:
            async for _ in current:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await watch()
    assert slow.cleaned_up


async def test_cancelling_stops_it_and_gives_no_result(slow: Slow) -> None:
    async with snapdir.running(slow.verb, 42) as current:
        await anext(current)
        current.cancel()
        assert [progress async for progress in current] == []
    assert slow.cleaned_up
    with pytest.raises(RuntimeError):
        current.result  # noqa: B018


async def test_a_cancelled_watcher_stops_the_verb(slow: Slow) -> None:
    with anyio.move_on_after(0.01) as scope:
        async with snapdir.running(slow.verb, 42) as current:
            async for _ in current:
                pass
    assert scope.cancelled_caught
    assert slow.cleaned_up


async def test_a_push_that_has_hashed_everything_is_in_transfer() -> None:
    async def verb(*, counters: snapdir.Counters) -> None:
        counters.begin("hashing", files=2, bytes_=100)
        counters.files_done, counters.bytes_done = 2, 100
        counters.bytes_to_send, counters.bytes_taken = 80, 20
        await anyio.sleep_forever()

    async with snapdir.running(verb, counters=snapdir.Counters()) as current:
        seen = await anext(current)
        current.cancel()
    assert (seen.phase, seen.bytes_done, seen.bytes_total, seen.fraction) == ("transfer", 20, 80, 0.25)


def test_a_fraction_is_of_bytes_else_of_files_and_unknown_without_a_total() -> None:
    def fraction(**values: int | bool) -> float | None:
        counts = dict.fromkeys(Progress.__slots__, 0) | {"phase": "transfer", "warnings": ()} | values
        return Progress(**counts).fraction  # type: ignore[arg-type]

    assert fraction(total_is_final=False, bytes_total=100) is None
    assert fraction(total_is_final=True, bytes_total=100, bytes_done=50, files_total=4) == 0.5
    assert fraction(total_is_final=True, files_total=4, files_done=1) == 0.25
    assert fraction(total_is_final=True) == 1.0


async def test_a_bar_shows_a_verb_and_gives_its_result(tmp_path: Path, capsys) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(bytes(3_000_000))
    tree = tmp_path / "tree"
    config = Config(cache_dir=tmp_path / "cache")
    pushed = await snapdir.with_progress_bar(snapdir.push, tree, str(tmp_path / "store"), config=config)
    assert pushed == await snapdir.id(tree, config=config)
    assert "done: 100%" in capsys.readouterr().err


def test_a_bar_shows_the_estimate_over_files_and_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    """Half of the bytes, but one of 1,001 files: a bar of bytes would say 50 %."""
    counters = Counters("transfer", files_total=1001, bytes_total=2_000_000, total_is_final=True)
    counters.files_done, counters.bytes_done, counters.bytes_received = 1, 1_000_000, 1_000_000
    values = dict.fromkeys(Progress.__slots__, 0) | {"phase": "transfer", "activity": "fetching", "warnings": ()}
    reading = Estimate().read(counters, 0.0)
    with ProgressBar() as bar:
        bar.show(Progress(**values | {"part": reading.part, "bytes_received": 1_000_000, "left_seconds": 75.4}))  # type: ignore[arg-type]
    last = capsys.readouterr().err.split("\r")[-1]
    assert reading.part is not None
    assert f"fetching: {reading.part:4.0%}|" in last
    assert "977 KiB received, eta 01:15]" in last
    assert reading.part < 0.25


async def test_an_error_of_the_verb_ends_the_bar(tmp_path: Path, capsys) -> None:
    with pytest.raises(snapdir.LocalError):
        await snapdir.with_progress_bar(snapdir.id, tmp_path / "nowhere", config=Config(cache_dir=tmp_path / "cache"))
    assert capsys.readouterr().err.endswith("\n")


async def test_without_tqdm_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(snapdir.SnapdirError, match=r"pip install '\.\[notebook\]'"):
        await snapdir.with_progress_bar(snapdir.push, tmp_path, str(tmp_path / "store"))
    assert not (tmp_path / "store").exists()
