"""Markdown tables of measurements and targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.results import Record, Run
from benchmarks.summary import Spread, Summary, summarize
from benchmarks.targets import TARGETS, Measure, Standing, standing

__all__ = [
    "circumstances",
    "comparison_table",
    "record_markdown",
    "scenario_table",
    "short_table",
    "table",
    "targets_table",
]

MiB = 1 << 20
OURS = "ours"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A padded Markdown table; the first column is aligned left, the others right."""
    lines = [[*heads], *[[*row] for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    rule = ["-" * widths[0], *["-" * (width - 1) + ":" for width in widths[1:]]]
    lines.insert(1, rule)
    return "\n".join(f"| {' | '.join(_padded(line, widths))} |" for line in lines)


def _padded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [line[0].ljust(widths[0]), *[cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]]


def seconds(spread: Spread) -> str:
    """``1.23 (1.20–1.31)``."""
    digits = 2 if spread.median < 100 else 0
    shown = f"{spread.median:.{digits}f}"
    if spread.low == spread.high:
        return shown
    return f"{shown} ({spread.low:.{digits}f}–{spread.high:.{digits}f})"


def scenario_table(summaries: Mapping[tuple[str, str], Summary], names: Sequence[str]) -> str:
    """A row for each client and scenario; the last column is its time divided by ours."""
    rows = []
    for name in names:
        ours = summaries.get((name, OURS))
        for (scenario, _), summary in summaries.items():
            if scenario == name:
                rows.append(_scenario_row(summary, ours))
    return table(("scenario", "client", "wall s", "CPU s", "RSS MiB", "requests", "× our wall"), rows)


def _scenario_row(summary: Summary, ours: Summary | None) -> list[str]:
    head = [summary.scenario, summary.peer]
    if not summary.rounds:
        return [*head, "failed", "", "", "", ""]
    ratio = summary.wall.median / ours.wall.median if ours and ours.rounds and ours.wall.median else None
    return [
        *head,
        seconds(summary.wall) + ("*" if summary.errors else ""),
        seconds(summary.cpu),
        f"{summary.rss.median / MiB:.0f}",
        f"{summary.requests.median:,.0f}" if summary.requests else "",
        "" if ratio is None else f"{ratio:.2f}",
    ]


def targets_table(profiles: Mapping[str, Mapping[tuple[str, str], Summary]], *, only_measured: bool = False) -> str:
    """A row for each target: the limit, the measurement, and whether it is met."""
    standings = [standing(target, profiles.get(target.profile, {})) for target in TARGETS]
    rows = [_target_row(where) for where in standings if not only_measured or where.value is not None]
    return table(("scenario", "profile", "target", "ours", "theirs", "measured", "verdict"), rows)


def _target_row(where: Standing) -> list[str]:
    target = where.target
    limit = f"{target.at_most:g} × {target.against}" if target.against else _amount(target.measure, target.at_most)
    note = f" ({target.note})" if target.note else ""
    value = where.value
    measured = "" if value is None else f"{value:.2f} ×" if target.against else _amount(target.measure, value)
    return [
        target.scenario,
        target.profile,
        f"{target.measure} ≤ {limit}{note}",
        "" if where.ours is None else _amount(target.measure, where.ours),
        "" if where.theirs is None else _amount(target.measure, where.theirs),
        measured,
        f"**{where.verdict}**" if where.verdict == "missed" else where.verdict,
    ]


def _amount(measure: Measure, value: float) -> str:
    if measure is Measure.RSS:
        return f"{value / MiB:.0f} MiB"
    if measure is Measure.REQUESTS:
        return f"{value:,.0f}"
    if measure is Measure.CPU_PER_OBJECT:
        return f"{value * 1e6:.0f} µs"
    return f"{value:.2f} s"


def circumstances(record: Record) -> str:
    """The conditions of a session, as a list."""
    facts = record.machine
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    load = f"; {facts['load']}" if "load" in facts else ""
    lines = [
        f"- `{record.command}`",
        f"- {record.recorded[:16].replace('T', ' ')} UTC, commit `{record.commit}`, server: {record.server}",
        f"- {facts['cpu']}, {facts['cores']} cores, {facts['memory']}, {facts['kernel']}; {facts['data']}{load}",
        f"- {versions}",
    ]
    return "\n".join(lines)


def failures(record: Record) -> list[str]:
    """The runs that do not count, as list items."""
    summaries = summarize(record.runs)
    return [f"- {each.peer} in {each.scenario}: {error}" for each in summaries.values() for error in each.errors]


def record_markdown(record: Record) -> str:
    """The tables of one record."""
    summaries = summarize(record.runs)
    names = list(dict.fromkeys(run.scenario for run in record.runs))
    parts = [f"# {record.profile}, {record.recorded[:10]}", circumstances(record), scenario_table(summaries, names)]
    parts.append(targets_table({record.profile: summaries}, only_measured=True))
    if failures(record):
        parts.append("Runs that do not count:\n\n" + "\n".join(failures(record)))
    return "\n\n".join(parts) + "\n"


def short_table(runs: Sequence[Run], limits: Mapping[str, str]) -> str:
    """The table of a short run: times, and counts with their limits."""
    rows = [
        [
            run.scenario,
            f"{run.wall_seconds:.2f}",
            f"{run.cpu_seconds:.2f}",
            f"{run.peak_rss_bytes / MiB:.0f}",
            "" if run.request_count is None else str(run.request_count),
            limits.get(run.scenario, ""),
        ]
        for run in runs
    ]
    return table(("scenario", "wall s", "CPU s", "RSS MiB", "requests", "expected"), rows)


def comparison_table(summaries: Mapping[tuple[str, str], Summary], old: str, new: str) -> str:
    """Medians of two commits, the change in percent, and whether their rounds overlap."""
    rows = []
    for name in dict.fromkeys(scenario for scenario, _ in summaries):
        before, after = summaries.get((name, old)), summaries.get((name, new))
        if before and after and before.rounds and after.rounds:
            for label, one, other in (("wall", before.wall, after.wall), ("CPU", before.cpu, after.cpu)):
                change = f"{(other.median / one.median - 1) * 100:+.1f} %" if one.median else ""
                rows.append(
                    [name, label, seconds(one), seconds(other), change, "noise?" if one.overlaps(other) else ""]
                )
            rss = f"{before.rss.median / MiB:.0f} MiB", f"{after.rss.median / MiB:.0f} MiB"
            rows.append([name, "RSS", *rss, f"{(after.rss.median / before.rss.median - 1) * 100:+.1f} %", ""])
            if before.requests and after.requests:
                counts = f"{before.requests.median:,.0f}", f"{after.requests.median:,.0f}"
                rows.append([name, "requests", *counts, f"{after.requests.median - before.requests.median:+,.0f}", ""])
        else:
            rows.append([name, "", "failed" if not (before and before.rounds) else "", "", "", ""])
    return table(("scenario", "", old, new, "change", ""), rows)
