"""snapdir bench: the throughput between this host and a store, as tables, as JSON and as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import snapdir
from snapdir.cli import options, settings
from snapdir.cli.invocation import Invocation
from snapdir.cli.loop import run_to_end
from snapdir.cli.parameters import Flag, Positional, Single, section, whole_number
from snapdir.cli.tables import json_line
from snapdir.cli.terminal import printable
from snapdir.cli.verb import command
from snapdir.errors import InvalidOption, SnapdirError, local_errors
from snapdir.model.sizes import MIB, format_size

if TYPE_CHECKING:
    from snapdir.measurement.report import Measurement

DEFAULT_SECONDS = 30
MAX_SECONDS = 3600
JSON_VERSION = 1
"""Changes when a field changes its meaning or goes; new ones may come at any time."""
SMALL = {"put": "PUT 16 KiB", "get": "GET 16 KiB", "head": "HEAD", "list": "LIST page"}
LARGE = {"upload": "upload, parts", "download": "download, ranges"}
COLOURS = {"put": "#c4622d", "get": "#1f6fb4", "head": "#5a9e6f", "list": "#8a6fb0"}
LARGE_COLOURS = {"upload": COLOURS["put"], "download": COLOURS["get"]}
Row = Sequence[str]


def _seconds(value: str, source: str) -> int:
    seconds = whole_number(value, source)
    if not 1 <= seconds <= MAX_SECONDS:
        raise InvalidOption(f"invalid {source} '{value}': expected 1 to {MAX_SECONDS}")
    return seconds


@command(
    Positional("target", required=False, metavar="[STORE]", use="The store; default: --store."),
    *options.store(),
    *section(
        "Measuring",
        Single(
            "--seconds",
            metavar="<N>",
            parse=_seconds,
            help=f"Seconds for all measurements, without the clean-up, 1 to {MAX_SECONDS}; default: {DEFAULT_SECONDS}.",
        ),
        Single(
            "--dir",
            "directory",
            metavar="<DIR>",
            help="Measure the disk of this directory; default: the directory for temporary files.",
        ),
    ),
    *section(
        "Output",
        Flag("--json", "as_json", help="Print one JSON document instead of tables."),
        Single(
            "--plot",
            metavar="<FILE>",
            help="Also draw the results to this PNG file (needs matplotlib: pip install '.[bench]' in the checkout).",
        ),
    ),
    *settings.retries(),
    *settings.bucket(writing=True),
    examples=[
        "snapdir bench s3://bucket/sets",
        "snapdir bench s3://bucket/sets --dir ./data --json --plot bench.png",
    ],
)
def bench(
    invocation: Invocation,
    /,
    *,
    target: str | None,
    store: str | None,
    seconds: int | None,
    directory: str | None,
    as_json: bool,
    plot: str | None,
) -> None:
    """Measure the throughput between this host and a store.

    Measures request rates and throughput at several concurrencies, the speed of hashing, and the disk. Names the
    bottleneck and suggests --jobs and --part-size. Writes at most 300 MiB of temporary objects at a time below .bench/
    in the store, and removes them.
    """
    url = options.required_store(target if target is not None else store)
    if plot is not None:
        require_plotting()
    measure = partial(snapdir.bench, url, seconds=seconds or DEFAULT_SECONDS, directory=directory)
    run = partial(measure, config=invocation.config, on_phase=partial(_note_phase, invocation))
    report = run_to_end(run, remote=invocation.remote)
    invocation.print(report_json(report) if as_json else report_tables(report))
    if report.leftover:
        invocation.terminal.warn(report.leftover)
    if plot is not None:
        draw(report, plot)


def _note_phase(invocation: Invocation, phase: str) -> None:
    """Show progress on a terminal; a log gets it only with --verbose."""
    if invocation.terminal.attended or invocation.terminal.verbose:
        invocation.terminal.note(phase)


def report_json(report: snapdir.BenchReport) -> str:
    """One JSON document in one line; `docs/json.md` has its fields."""
    from dataclasses import asdict

    whole = {
        "version": JSON_VERSION,
        "store": report.store,
        "seconds": round(report.seconds, 3),
        "measurements": [asdict(each) | _rates(each) for each in report.measurements],
        "host": asdict(report.host),
        "advice": asdict(report.advice),
        "leftover": report.leftover,
    }
    return json_line(whole)


def _rates(measurement: Measurement) -> dict[str, float]:
    names = (
        "requests_per_second",
        "bytes_per_second",
        "latency_seconds",
        "cpu_microseconds_per_request",
        "cpu_seconds_per_gib",
    )
    return {name: getattr(measurement, name) for name in names}


def report_tables(report: snapdir.BenchReport) -> str:
    """Everything, for people; aligned, and plain text wherever it goes."""
    lines = [printable(report.store), "", *_small_table(report), "", *_large_table(report), "", *_host_table(report)]
    lines += [
        "",
        "Bottlenecks",
        *_table([[each.work, each.bottleneck, each.reason] for each in report.advice.limits], 3),
    ]
    return "\n".join([*lines, "", _suggestion(report), f"Measured in {report.seconds:.1f} s."])


def _small_table(report: snapdir.BenchReport) -> Iterator[str]:
    yield from _table(
        [
            ["Small objects", "in flight", "requests/s", "latency", "CPU/request"],
            *(
                [
                    SMALL[each.operation],
                    str(each.concurrency),
                    _number(each.requests_per_second),
                    f"{_number(each.latency_seconds * 1e3)} ms",
                    f"{each.cpu_microseconds_per_request:,.0f} µs",
                ]
                for each in report.of("put", "get", "head", "list")
            ),
        ]
    )


def _large_table(report: snapdir.BenchReport) -> Iterator[str]:
    yield from _table(
        [
            ["Large objects", "in flight", "part", "throughput", "latency", "CPU/GiB"],
            *(
                [
                    LARGE[each.operation],
                    str(each.concurrency),
                    format_size(each.request_bytes).replace(".00", ""),
                    f"{format_size(each.bytes_per_second)}/s",
                    f"{_number(each.latency_seconds * 1e3)} ms",
                    f"{each.cpu_seconds_per_gib:.2f} s",
                ]
                for each in report.of("upload", "download")
            ),
        ]
    )


def _host_table(report: snapdir.BenchReport) -> Iterator[str]:
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


def _suggestion(report: snapdir.BenchReport) -> str:
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
        raise SnapdirError("--plot needs matplotlib: pip install '.[bench]' in the checkout")


def draw(report: snapdir.BenchReport, file: str) -> None:
    """Draw rates and throughput against requests in flight into a PNG file.

    Raises:
        LocalError: the file cannot be written.
    """
    # Without pyplot: no window system is looked for, and no state stays.
    figure: Any = import_module("matplotlib.figure").Figure(figsize=(11, 5), layout="constrained")
    rates, throughput = figure.subplots(1, 2)
    _draw_curves(rates, report, SMALL, COLOURS)
    rates.set(title="Small objects", ylabel="requests per second", yscale="log")
    _draw_curves(throughput, report, LARGE, LARGE_COLOURS)
    _draw_host(throughput, report)
    throughput.set(title="Large objects", ylabel="MiB per second", yscale="log")
    for axes in (rates, throughput):
        _finish(axes)
    figure.suptitle(f"snapdir bench {printable(report.store)}", parse_math=False)
    with local_errors(file):
        figure.savefig(file, format="png", dpi=120)


def _draw_curves(axes: Any, report: snapdir.BenchReport, names: dict[str, str], colours: dict[str, str]) -> None:
    for operation, name in names.items():
        curve = [each for each in report.measurements if each.operation == operation]
        small = operation in SMALL
        heights = [each.requests_per_second if small else each.bytes_per_second / MIB for each in curve]
        if curve:
            axes.plot([each.concurrency for each in curve], heights, "o-", label=name, color=colours[operation])


def _draw_host(axes: Any, report: snapdir.BenchReport) -> None:
    """The rates of the host, as horizontal lines."""
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
