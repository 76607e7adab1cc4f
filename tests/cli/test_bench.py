"""`snapdir bench`: its calls of the API, tables, JSON, plot and exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import snapdir
import snapdir.cli.commands.bench as bench_command
from snapdir.cli.terminal import printable
from snapdir.errors import AccessDenied, LocalError
from snapdir.measurement.report import Advice, BenchReport, HostRates, Limit, Measurement
from snapdir.model.sizes import GIB, MIB

from .conftest import FakeVerbs, cli, command_line, program

URL = "s3://bucket/sets"
REPORT = BenchReport(
    store=URL,
    seconds=12.34,
    measurements=(
        Measurement("put", 1, 16384, 100, 1.0, 0.01),
        Measurement("put", 128, 16384, 40000, 2.0, 1.5),
        Measurement("list", 1, 0, 1, 4.0, 0.0),
        Measurement("upload", 8, 8 * MIB, 100, 1.0, 0.2),
        Measurement("download", 2, 8 * MIB, 256, 2.0, 0.5),
    ),
    host=HostRates(2, 5.0 * GIB, 10.0 * GIB, 500.0 * MIB),
    advice=Advice((Limit("push of small files", "latency", "more would help"),), 64, 16 * MIB, 256 * MIB),
)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> FakeVerbs:
    fake = FakeVerbs(answers={"bench": REPORT})
    monkeypatch.setattr(snapdir, "bench", fake.function("bench"))
    return fake


def test_the_store_may_be_named_in_three_ways(bench: FakeVerbs, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("bench", URL)
    cli("bench", "--store", URL)
    monkeypatch.setenv("SNAPDIR_STORE", "s3://bucket/other")
    cli("bench", URL)
    assert [args for _, args, _ in bench.calls] == [(URL,)] * 3
    cli("bench")
    assert bench.args == ("s3://bucket/other",)


def test_without_a_store_the_ways_to_name_one_are_told(bench: FakeVerbs) -> None:
    run = cli("bench")
    assert (run.code, run.stdout, bench.calls) == (1, "", [])
    assert "--store" in run.stderr


def test_options_reach_the_measurement(bench: FakeVerbs) -> None:
    cli("bench", URL, "--seconds", "7", "--dir", "data", "--max-retries", "2")
    assert (bench.options["seconds"], bench.options["directory"]) == (7, "data")
    assert bench.options["config"].stores.retry.attempts == 2


def test_thirty_seconds_are_the_default(bench: FakeVerbs) -> None:
    cli("bench", URL)
    assert (bench.options["seconds"], bench.options["directory"]) == (30, None)


@pytest.mark.parametrize("value", ["0", "3601", "1.5", "-1", "soon"])
def test_a_time_that_cannot_be_is_a_usage_error(value: str, bench: FakeVerbs) -> None:
    run = cli("bench", URL, f"--seconds={value}")
    assert (run.code, bench.calls) == (2, [])
    assert f"invalid --seconds '{value}'" in run.stderr


def test_tables_are_aligned_and_plain(bench: FakeVerbs) -> None:
    run = cli("bench", URL)
    assert (run.code, run.stderr) == (0, "")
    lines = run.stdout.splitlines()
    assert all(line == printable(line) == line.rstrip() for line in lines)
    assert lines[2:6] == [
        "Small objects  in flight  requests/s   latency  CPU/request",
        "PUT 16 KiB             1         100   10.0 ms       100 µs",
        "PUT 16 KiB           128      20,000    6.4 ms        38 µs",
        "LIST page              1        0.25  4,000 ms         0 µs",
    ]
    assert "upload, parts             8  8 MiB   800 MiB/s  80.0 ms   0.26 s" in lines
    assert "disk write, flushed   500 MiB/s" in lines
    assert "push of small files  latency  more would help" in lines
    assert lines[-2:] == ["Suggested: --jobs 64 --part-size 16MiB --memory 256MiB", "Measured in 12.3 s."]


def test_json_has_its_documented_fields(bench: FakeVerbs) -> None:
    run = cli("bench", URL, "--json")
    found = json.loads(run.stdout)
    assert set(found) == {"version", "store", "seconds", "leftover", "measurements", "host", "advice"}
    assert (found["version"], found["store"], found["leftover"]) == (1, URL, "")
    assert set(found["measurements"][1]) == {
        "operation", "concurrency", "request_bytes", "requests", "seconds", "cpu_seconds", "requests_per_second",
        "bytes_per_second", "latency_seconds", "cpu_microseconds_per_request", "cpu_seconds_per_gib",
    }  # fmt: skip
    assert found["measurements"][1]["requests_per_second"] == 20000
    assert found["advice"]["limits"] == [
        {"work": "push of small files", "bottleneck": "latency", "reason": "more would help"}
    ]


def test_what_was_left_behind_is_a_warning(bench: FakeVerbs) -> None:
    bench.answers["bench"] = BenchReport(URL, 1.0, (), REPORT.host, Advice((), 1, 8 * MIB, 128 * MIB), "objects left")
    run = cli("bench", URL)
    assert run.code == 0
    assert run.stderr == "warning: objects left\n"


def test_an_error_ends_in_one_line(bench: FakeVerbs) -> None:
    bench.answers["bench"] = AccessDenied("PUT .bench/x: access denied")
    run = cli("bench", URL)
    assert (run.code, run.stdout, run.stderr) == (1, "", "error: store error: PUT .bench/x: access denied\n")


def test_a_plot_without_matplotlib_is_refused_before_any_work(
    bench: FakeVerbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_command, "find_spec", lambda _name: None)
    run = cli("bench", URL, "--plot", "x.png")
    assert (run.code, bench.calls) == (1, [])
    assert run.stderr == "error: --plot needs matplotlib: pip install '.[bench]' in the checkout\n"


class Drawing:
    """Stands in for a Figure of matplotlib and for its axes: notes which curves are drawn, and saves a file."""

    def __init__(self, **_: Any) -> None:
        self.labels: list[str] = []
        self.xaxis = self.yaxis = self
        self.spines = {"top": self, "right": self}

    def __getattr__(self, name: str) -> Any:
        return lambda *_args, **_options: None

    def subplots(self, rows: int, columns: int) -> list[Drawing]:
        return [self] * (rows * columns)

    def plot(self, x: list[int], y: list[float], _style: str, *, label: str, color: str) -> None:
        assert len(x) == len(y)
        self.labels.append(label)

    def axhline(self, _y: float, *, label: str, **_: Any) -> None:
        self.labels.append(label)

    def get_ylim(self) -> tuple[float, float]:
        return 1.0, 10.0

    def savefig(self, file: str, **_: Any) -> None:
        Path(file).write_text("\n".join(self.labels))


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("matplotlib.figure")
    module.Figure = Drawing  # type: ignore[attr-defined]
    monkeypatch.setattr(bench_command, "import_module", {"matplotlib.figure": module}.__getitem__)
    monkeypatch.setattr(bench_command, "find_spec", lambda name: name)


def test_a_plot_shows_every_curve_and_the_host(bench: FakeVerbs, drawing: None, tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    assert cli("bench", URL, "--plot", str(file)).code == 0
    assert file.read_text().splitlines() == [
        "PUT 16 KiB", "LIST page", "upload, parts", "download, ranges", "disk write, flushed", "BLAKE3, 2 threads",
    ]  # fmt: skip


def test_a_plot_that_cannot_be_written_is_told(drawing: None, tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="nowhere"):
        bench_command.draw(REPORT, str(tmp_path / "nowhere" / "x.png"))


def test_a_directory_is_measured_for_real_and_stays_as_it_was(tmp_path: Path) -> None:
    run = program("bench", str(tmp_path / "store"), "--seconds", "1", "--json", "--dir", str(tmp_path))
    assert (run.code, run.stderr) == (0, "")
    assert json.loads(run.stdout)["host"]["cpus"] >= 1
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_it_with_nothing_left_behind(number: signal.Signals, tmp_path: Path) -> None:
    store = tmp_path / "store"
    process = subprocess.Popen(
        command_line("bench", str(store), "--verbose", "--dir", str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    line = b"-"
    while line and b"small objects: PUT" not in line:
        line = process.stderr.readline()
    os.kill(process.pid, number)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, b"Traceback" in errors) == (128 + number, b"", False)
    assert not store.exists()
    assert "matplotlib" not in sys.modules
