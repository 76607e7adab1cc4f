"""The section "Scale" of docs/performance.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.results import ON_DISK, Record
from benchmarks.scale.bars import BARS, COMMANDS, FULL_FILES, PROFILE, bar_row, standings
from benchmarks.summary import Summary, summarize
from benchmarks.tables import MiB, circumstances, seconds, table

__all__ = ["scale_pages", "scale_section"]

_ABOUT = f"""The bars are meant for {FULL_FILES:,} files of 1 KiB in directories of 1,000; `python -m benchmarks scale`
measures them, each scenario once, in the order of the table. RSS is the peak of the sum over all processes. Files are
counted as opened by strace, in a run of its own. A ratio compares two runs of one session."""


def scale_pages(latest: Mapping[str, Mapping[str, Record]]) -> list[str]:
    """The section, in memory and on a disk: what was measured of it."""
    parts = []
    for profile, title in ((PROFILE, "## Scale"), (PROFILE + ON_DISK, "### Scale, on a disk")):
        if latest.get(profile):
            parts += [title, scale_section(latest[profile])]
    return parts


def scale_section(records: Mapping[str, Record]) -> str:
    """The bars, every run, the commands, and the circumstances of each session."""
    found = standings(records)
    verdicts = [each.verdict for each in found]
    words = ("met", "missed", "failed", "not measured")
    counts = ", ".join(f"{verdicts.count(word)} {word}" for word in words if word in verdicts)
    bars = table(
        ("scenario", "files", "bar", "ours", "theirs", "measured", "verdict"), [bar_row(each) for each in found]
    )
    commands = table(
        ("scenario", "command"), [(name, f"`{_command(text)}`{_rest(text)}") for name, text in COMMANDS.items()]
    )
    parts = [_ABOUT, f"{len(BARS)} bars: {counts}.", bars, _runs(records), commands]
    for session, names in _sessions(records):
        parts.append(f"Measured by ({', '.join(names)}):\n\n{circumstances(session)}")
        failures = [f"- {run.peer} in {run.scenario}: {run.error}" for run in session.runs if run.error]
        if failures:
            parts.append("Runs that do not count:\n\n" + "\n".join(failures))
    return "\n\n".join(parts)


def _command(text: str) -> str:
    return text.partition(",")[0]


def _rest(text: str) -> str:
    return "".join(text.partition(",")[1:])


def _runs(records: Mapping[str, Record]) -> str:
    """A row for each scenario and client."""
    rows = []
    for name in COMMANDS:
        if name in records:
            opens = {run.peer: run.opens for run in records[name].runs if run.scenario == name}
            for (scenario, peer), summary in summarize(records[name].runs).items():
                if scenario == name:
                    rows.append(_row(summary, opens[peer]))
    return table(("scenario", "client", "wall s", "CPU s", "RSS MiB", "requests", "opens"), rows)


def _row(summary: Summary, opens: int | None) -> Sequence[str]:
    if not summary.rounds:
        return [summary.scenario, summary.peer, "failed", "", "", "", ""]
    return [
        summary.scenario,
        summary.peer,
        seconds(summary.wall),
        seconds(summary.cpu),
        f"{summary.rss.median / MiB:.0f}",
        f"{summary.requests.median:,.0f}" if summary.requests else "",
        "" if opens is None else f"{opens:,}",
    ]


def _sessions(records: Mapping[str, Record]) -> list[tuple[Record, list[str]]]:
    """Each session, with the scenarios that the section takes from it."""
    return [
        (session, [name for name, each in records.items() if each is session])
        for session in {id(each): each for each in records.values()}.values()
    ]
