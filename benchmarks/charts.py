"""Charts of a profile: one panel for each scenario, one bar for each client. Needs matplotlib (extra ``bench``)."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.summary import Spread, Summary

__all__ = ["CHARTS", "Chart", "available", "clients_of", "draw"]

MiB = 1 << 20
_OURS_COLOUR, _OTHERS_COLOUR, _TEXT_COLOUR = "#1f6fb4", "#b9bfc6", "#333333"
# A bar longer than this many times ours is cut, so that a slow client does not flatten the others.
_CUT_AT = 6.0
_PANEL_INCHES = (5.6, 0.36)  # width, and height of one bar


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart; ``read`` takes its values from a summary, in the unit of ``axis``."""

    name: str
    title: str
    axis: str
    read: Callable[[Summary], Spread]
    digits: int = 2


def _in_mib(summary: Summary) -> Spread:
    rss = summary.rss
    return Spread(rss.median / MiB, rss.low / MiB, rss.high / MiB)


CHARTS = (
    Chart("wall", "Wall time", "seconds (median; line: fastest to slowest round)", lambda summary: summary.wall),
    Chart("cpu", "CPU of the client", "seconds, user + system (median)", lambda summary: summary.cpu),
    Chart("memory", "Peak memory of the client", "MiB resident (median)", _in_mib, digits=0),
)


def available() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def draw(profile: str, about: str, summaries: Mapping[tuple[str, str], Summary], folder: Path) -> list[Path]:
    """Write ``PROFILE-wall.png`` and the other charts, and return the files; empty if there is nothing to draw."""
    # Scenarios that measure start-up, and the HEAD rate of ours alone, are not drawn.
    drawn = [scenario for scenario in SCENARIOS if scenario.startup and not scenario.requests]
    scenarios = [scenario for scenario in drawn if clients_of(summaries, scenario, CHARTS[0])]
    if not scenarios:
        return []
    plain: Any = importlib.import_module("matplotlib")
    plain.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    return [_draw_one(chart, profile, about, scenarios, summaries, folder) for chart in CHARTS]


def clients_of(summaries: Mapping[tuple[str, str], Summary], scenario: Scenario, chart: Chart) -> list[Summary]:
    """Clients with a counted round in a scenario: ours first, then by the length of their bars."""
    found = [each for (name, _), each in summaries.items() if name == scenario.name and each.rounds]
    return sorted(found, key=lambda each: (each.peer != "ours", chart.read(each).median))


def _draw_one(
    chart: Chart,
    profile: str,
    about: str,
    scenarios: Sequence[Scenario],
    summaries: Mapping[tuple[str, str], Summary],
    folder: Path,
) -> Path:
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    columns = min(2, len(scenarios))
    rows = -(-len(scenarios) // columns)
    clients = [clients_of(summaries, scenario, chart) for scenario in scenarios]
    tallest = [max(len(each) for each in clients[row * columns : (row + 1) * columns]) for row in range(rows)]
    width, bar = _PANEL_INCHES
    heights = [bar * count + 0.75 for count in tallest]
    figure, panels = pyplot.subplots(
        rows,
        columns,
        figsize=(width * columns, sum(heights) + 0.9),
        squeeze=False,
        gridspec_kw={"height_ratios": heights},
        layout="constrained",
    )
    figure.get_layout_engine().set(h_pad=0.13, w_pad=0.1)
    figure.suptitle(f"{chart.title}: {about}", fontsize=12, fontweight="bold", color=_TEXT_COLOUR)
    flat = [panel for row in panels for panel in row]
    for panel, scenario, shown in zip(flat, scenarios, clients, strict=False):
        _panel(panel, chart, scenario, shown)
    for panel in flat[len(scenarios) :]:
        panel.set_visible(False)
    figure.supxlabel(chart.axis, fontsize=9, color=_TEXT_COLOUR)
    file = folder / f"{profile}-{chart.name}.png"
    figure.savefig(file, dpi=110)
    pyplot.close(figure)
    return file


def _panel(panel: Any, chart: Chart, scenario: Scenario, shown: Sequence[Summary]) -> None:
    spreads = [chart.read(summary) for summary in shown]
    longest = max(spread.high for spread in spreads) or 1.0
    limit = min(longest, _CUT_AT * spreads[0].median) if shown[0].peer == "ours" and spreads[0].median else longest
    for place, (summary, spread) in enumerate(zip(shown, spreads, strict=True)):
        cut = spread.median > limit
        colour = _OURS_COLOUR if summary.peer == "ours" else _OTHERS_COLOUR
        panel.barh(
            place, min(spread.median, limit), color=colour, height=0.72, hatch="//" if cut else None, edgecolor="white"
        )
        if not cut:
            panel.plot((spread.low, min(spread.high, limit)), (place, place), color=_TEXT_COLOUR, linewidth=1.1)
        label = f"{spread.median:,.{chart.digits}f}" + (" (cut)" if cut else "")
        end = limit if cut else min(max(spread.median, spread.high), limit)
        panel.text(end + limit * 0.015, place, label, va="center", fontsize=8.5, color=_TEXT_COLOUR)
    panel.set_title(scenario.name, fontsize=10, loc="left", color=_TEXT_COLOUR)
    panel.set_yticks(range(len(shown)), [summary.peer for summary in shown], fontsize=9)
    panel.tick_params(axis="x", labelsize=8)
    panel.invert_yaxis()
    panel.set_xlim(0, limit * 1.18)
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)
    panel.tick_params(axis="y", length=0)
