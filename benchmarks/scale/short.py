"""The short scale run for CI: 100,000 files. It fails on memory, opened files and requests, never on time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import Run
from benchmarks.scale import traced_opens
from benchmarks.scale.lines import NO_SERVER, ScalePlan, measure_scale
from benchmarks.tables import table

__all__ = ["FILES", "LIMITS", "Limit", "complaints", "scale_short"]

FILES = 100_000
MiB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limit:
    """What ours may use.

    Attributes:
        requests, opens: None is not checked.
    """

    rss_bytes: int
    requests: int | None = None
    opens: int | None = None


# The one place of these numbers: lower them when the code allows it.
LIMITS = {
    "id": Limit(150 * MiB),
    "id-again": Limit(150 * MiB),
    "id-100-changed": Limit(150 * MiB, opens=FILES),
    "push": Limit(200 * MiB, requests=FILES + 200),
    "push-again": Limit(200 * MiB, requests=3),
    "push-100-changed": Limit(200 * MiB, requests=250),
    "pull": Limit(150 * MiB, requests=FILES + 200),
    "pull-again": Limit(150 * MiB, requests=3),
}


def scale_short(work: Path) -> tuple[str, list[str]]:
    """The table, and the complaints.

    Raises:
        Unavailable: no server can be started.
    """
    record = measure_scale(ScalePlan(files=FILES, scenarios=["id", "transfer"], timeout_seconds=300, alone=True), work)
    ours = [run for run in record.runs if run.peer == "ours"]
    rows = [
        [
            run.scenario,
            f"{run.wall_seconds:.2f}",
            f"{run.cpu_seconds:.2f}",
            _of(run.peak_rss_bytes // MiB, LIMITS[run.scenario].rss_bytes // MiB),
            _of(run.request_count, LIMITS[run.scenario].requests),
            _of(run.opens, LIMITS[run.scenario].opens),
        ]
        for run in ours
    ]
    heads = ("scenario", "wall s", "CPU s", "RSS MiB / limit", "requests / limit", "opens / limit")
    if not traced_opens.available():
        rows.append(["(strace is missing: opened files are not counted)", "", "", "", "", ""])
    return f"{FILES:,} files, {record.server}\n\n{table(heads, rows)}", complaints(ours)


def complaints(runs: Sequence[Run]) -> list[str]:
    """What is wrong with the runs; what was not counted is not checked."""
    transferred = all(run.error != NO_SERVER for run in runs)
    measured = {run.scenario for run in runs}
    found = [
        f"{name}: not measured" for name in LIMITS if name not in measured and (transferred or name.startswith("id"))
    ]
    for run in runs:
        if run.error == NO_SERVER:
            continue
        limit = LIMITS[run.scenario]
        if run.error:
            found.append(f"{run.scenario}: {run.error}")
            continue
        if run.peak_rss_bytes > limit.rss_bytes:
            found.append(f"{run.scenario}: {run.peak_rss_bytes // MiB} MiB resident, {limit.rss_bytes // MiB} allowed")
        for what, count, allowed in (
            ("requests", run.request_count, limit.requests),
            ("opened files", run.opens, limit.opens),
        ):
            if count is not None and allowed is not None and count > allowed:
                found.append(f"{run.scenario}: {count:,} {what}, {allowed:,} allowed")
    return found


def _of(count: int | None, allowed: int | None) -> str:
    if count is None:
        return ""
    return f"{count:,}" if allowed is None else f"{count:,} / {allowed:,}"
