"""docs/performance.md, made from the newest records."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.bars import BARS, standing
from benchmarks.charts import CHARTS
from benchmarks.results import RESULTS, Record, latest
from benchmarks.scenarios import PROFILES, SCENARIOS
from benchmarks.summary import Summary, summarize
from benchmarks.tables import bars_table, circumstances, failures, scenario_table

__all__ = ["newest_summaries", "page"]

_HEAD = """# Performance

Made by `python -m benchmarks report` from the records in `benchmarks/results`; edit neither by hand.

Medians over alternating rounds, the fastest and the slowest in brackets. CPU is the client's, user and system, Python's
start and all children included. RSS is the peak of the process, or of its whole tree. Requests are counted by the
server. Ours verifies every object by its BLAKE3, both ways, as the reference does; the other clients copy files and
verify nothing. Numbers of one scenario come from one session, so their ratios mean something; numbers of different
machines do not compare."""

_HOW = """## How to measure

```sh
pip install -e '.[bench]'
python -m benchmarks run                      # every scenario of the profile fast, every client
python -m benchmarks run --profile region     # 30 ms before each answer, 80 MB/s a connection
python -m benchmarks run --profile tls        # nginx in front (needs nginx and openssl)
python -m benchmarks report                   # this page and the charts
python -m benchmarks compare HEAD~1 HEAD      # two commits of ours
```

Clients are installed on first use, each in a virtual environment of its own below `$SNAPDIR_BENCH_CACHE`; one that
cannot be had is left out, and said to be. Trees are made from seeds, once, below `$SNAPDIR_BENCH_DIR` (default: in
memory, if they fit). The server is s3sim, an S3 endpoint in memory that costs little CPU itself, built from the folder
`$SNAPDIR_SHARED`, or else `rclone serve s3`, which counts no requests; `--endpoint URL` measures against one that runs
already. The catalog of scenarios is `benchmarks/scenarios.py`, the bars are `benchmarks/bars.py`."""

Summaries = Mapping[tuple[str, str], Summary]


def newest_summaries(records: list[Record]) -> dict[str, dict[tuple[str, str], Summary]]:
    """By profile: the summaries of each scenario's newest session."""
    return {
        profile: {
            key: summary
            for name, record in chosen.items()
            for key, summary in summarize(run for run in record.runs if run.scenario == name).items()
        }
        for profile, chosen in latest(records).items()
    }


def page(records: list[Record], *, beside: Path) -> str:
    """The whole page; charts that exist are shown, by links that work from the folder ``beside``."""
    summaries = newest_summaries(records)
    parts = [_HEAD, "## The bars", _verdict(summaries), bars_table(summaries)]
    for profile in PROFILES.values():
        if profile.name in summaries:
            parts.append(f"## {profile.name}: {profile.about}")
            parts += _charts(profile.name, beside)
            parts.append(scenario_table(summaries[profile.name], _in_catalog_order(summaries[profile.name])))
            parts += _sessions(latest(records)[profile.name])
    return "\n\n".join([*parts, _HOW]) + "\n"


def _verdict(summaries: Mapping[str, Summaries]) -> str:
    verdicts = [standing(bar, summaries.get(bar.profile, {})).verdict for bar in BARS]
    counts = [f"{verdicts.count(word)} {word}" for word in ("met", "short", "not measured") if word in verdicts]
    return f"{len(BARS)} bars: {', '.join(counts)}."


def _charts(profile: str, beside: Path) -> list[str]:
    files = [(chart.title, RESULTS / f"{profile}-{chart.name}.png") for chart in CHARTS]
    up = "/".join([".."] * len(beside.relative_to(RESULTS.parents[1]).parts))
    return [
        f"![{title}, {profile}]({up}/{file.relative_to(RESULTS.parents[1])})" for title, file in files if file.is_file()
    ]


def _in_catalog_order(summaries: Summaries) -> list[str]:
    catalog = [scenario.name for scenario in SCENARIOS]
    names = dict.fromkeys(name for name, _ in summaries)
    return [name for name in catalog if name in names] + [name for name in names if name not in catalog]


def _sessions(chosen: Mapping[str, Record]) -> list[str]:
    """The circumstances of every session that a profile's tables come from."""
    parts = []
    for record in dict.fromkeys(map(id, chosen.values())):
        session = next(each for each in chosen.values() if id(each) == record)
        names = [name for name, each in chosen.items() if id(each) == record]
        heading = "Measured by" if len(names) == len(chosen) else f"Measured by ({', '.join(names)})"
        parts.append(f"{heading}:\n\n{circumstances(session)}")
        clients = "\n".join(f"- **{name}**: {about}" for name, about in session.peers.items())
        parts.append(f"Clients:\n\n{clients}")
        if failures(session):
            parts.append("Runs that do not count (`*` above):\n\n" + "\n".join(failures(session)))
    return parts
