"""What ``snapdir bench`` found, as tables, as JSON and as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from snapdir.cli.tables import json_line
from snapdir.cli.terminal import printable
from snapdir.errors import SnapdirError, local_errors
from snapdir.model.sizes import MIB, format_size

if TYPE_CHECKING:
    from snapdir.measurement.report import BenchReport, Measurement

__all__ = ["JSON_VERSION", "as_json", "as_tables", "draw", "require_plotting"]

JSON_VERSION = 1
"""Changes when a field changes its meaning or goes; new ones may come at any time."""
SMALL = {"put": "PUT 16 KiB", "get": "GET 16 KiB", "head": "HEAD", "list": "LIST page"}
LARGE = {"upload": "upload, parts", "download": "download, ranges"}
COLOURS = {"put": "#c4622d", "get": "#1f6fb4", "head": "#5a9e6f", "list": "#8a6fb0"}
LARGE_COLOURS = {"upload": COLOURS["put"], "download": COLOURS["get"]}
Row = Sequence[str]


def as_json(report: BenchReport) -> str:
    """One JSON document in one line; `docs/json.md` has its fields."""
    from dataclasses import asdict

    whole = {
        "version": JSON_VERSION,
        "store": report.store,
        "seconds": round(report.seconds, 3),
        "measurements": [asdict(one) | _rates(one) for one in report.measurements],
        "host": asdict(report.host),
        "advice": asdict(report.advice),
        "leftover": report.leftover,
    }
    return json_line(whole)


def _rates(one: Measurement) -> dict[str, float]:
    names = (
        "requests_per_second",
        "bytes_per_second",
        "latency_seconds",
        "cpu_microseconds_per_request",
        "cpu_seconds_per_gib",
    )
    return {name: getattr(one, name) for name in names}


def as_tables(report: BenchReport) -> str:
    """Everything, for people; aligned, and plain text wherever it goes."""
    lines = [printable(report.store), "", *_small_table(report), "", *_large_table(report), "", *_host_table(report)]
    lines += ["", "Bottlenecks", *_table([[one.work, one.bottleneck, one.reason] for one in report.advice.limits], 3)]
    return "\n".join([*lines, "", _suggestion(report), f"Measured in {report.seconds:.1f} s."])


def _small_table(report: BenchReport) -> Iterator[str]:
    yield from _table(
        [
            ["Small objects", "in flight", "requests/s", "latency", "CPU/request"],
            *(
                [
                    SMALL[one.operation],
                    str(one.concurrency),
                    _number(one.requests_per_second),
                    f"{_number(one.latency_seconds * 1e3)} ms",
                    f"{one.cpu_microseconds_per_request:,.0f} µs",
                ]
                for one in report.of("put", "get", "head", "list")
            ),
        ]
    )


def _large_table(report: BenchReport) -> Iterator[str]:
    yield from _table(
        [
            ["Large objects", "in flight", "part", "throughput", "latency", "CPU/GiB"],
            *(
                [
                    LARGE[one.operation],
                    str(one.concurrency),
                    format_size(one.request_bytes).replace(".00", ""),
                    f"{format_size(one.bytes_per_second)}/s",
                    f"{_number(one.latency_seconds * 1e3)} ms",
                    f"{one.cpu_seconds_per_gib:.2f} s",
                ]
                for one in report.of("upload", "download")
            ),
        ]
    )


def _host_table(report: BenchReport) -> Iterator[str]:
    host = report.host
    disk = f"{format_size(host.disk_write_bytes_per_second)}/s" if host.disk_write_bytes_per_second else "too full"
    yield from _table(
        [
            ["This host", ""],
            ["BLAKE3, one thread", f"{format_size(host.hash_bytes_per_second)}/s"],
            [f"BLAKE3, {host.cpus} threads", f"{format_size(host.hash_all_cpus_bytes_per_second)}/s"],
            ["disk write, flushed", disk],
        ]
    )


def _suggestion(report: BenchReport) -> str:
    from snapdir.transfer.engine.limits import Limits

    advice = report.advice
    words = f"Suggested: --jobs {advice.jobs} --part-size {advice.part_bytes // MIB}MiB"
    if advice.memory_bytes > Limits().memory_bytes:
        words += f" --memory {-(-advice.memory_bytes // MIB)}MiB"
    return words


def _table(rows: Sequence[Row], text_columns: int = 1) -> Iterator[str]:
    """Rows under each other: text to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if number < text_columns else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def require_plotting() -> None:
    """
    Raises:
        SnapdirError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise SnapdirError("--plot needs matplotlib: pip install 'snapdir[bench]'")


def draw(report: BenchReport, file: str) -> None:
    """Draw rates and throughput against requests in flight into a PNG file.

    Raises:
        LocalError: the file cannot be written.
    """
    # Without pyplot: no window system is looked for, and no state stays.
    figure: Any = import_module("matplotlib.figure").Figure(figsize=(11, 5), layout="constrained")
    rates, throughput = figure.subplots(1, 2)
    _draw_curves(rates, report, SMALL, COLOURS)
    rates.set(title="Small objects", ylabel="requests a second", yscale="log")
    _draw_curves(throughput, report, LARGE, LARGE_COLOURS)
    _draw_host(throughput, report)
    throughput.set(title="Large objects", ylabel="MiB a second", yscale="log")
    for axes in (rates, throughput):
        _finish(axes)
    figure.suptitle(f"snapdir bench {printable(report.store)}", parse_math=False)
    with local_errors(file):
        figure.savefig(file, format="png", dpi=120)


def _draw_curves(axes: Any, report: BenchReport, names: dict[str, str], colours: dict[str, str]) -> None:
    for operation, name in names.items():
        curve = [one for one in report.measurements if one.operation == operation]
        small = operation in SMALL
        heights = [one.requests_per_second if small else one.bytes_per_second / MIB for one in curve]
        if curve:
            axes.plot([one.concurrency for one in curve], heights, "o-", label=name, color=colours[operation])


def _draw_host(axes: Any, report: BenchReport) -> None:
    """What the host can take, as lines that the curves may stay below."""
    host = report.host
    for name, rate, style in (
        ("disk write, flushed", host.disk_write_bytes_per_second, "--"),
        (f"BLAKE3, {host.cpus} threads", host.hash_all_cpus_bytes_per_second, ":"),
    ):
        if rate:
            axes.axhline(rate / MIB, color="#888888", linestyle=style, label=name)


def _finish(axes: Any) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xlabel("requests in flight")
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_minor_formatter("{x:,.0f}" if _spans_little(axes) else "")
    axes.grid(visible=True, which="major", color="#dddddd")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)


def _spans_little(axes: Any) -> bool:
    """Whether there are too few powers of ten on the axis to read it by."""
    low, high = axes.get_ylim()
    return bool(high < 30 * low)
