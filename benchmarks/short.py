"""The short run: ours alone, in seconds, for CI. It fails on a wrong count or too much memory, never on a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.peers import Ours
from benchmarks.places import sole_use, work_folder
from benchmarks.results import Run
from benchmarks.rounds import Bench
from benchmarks.scenarios import PROFILES, SHORT
from benchmarks.servers import open_server
from benchmarks.session import needed_bytes
from benchmarks.tables import short_table

__all__ = ["LIMITS", "Limit", "complaints", "short_run"]

MEMORY_CEILING_BYTES = 250 << 20
# A hedged or repeated request on a crowded machine is no fault.
SLACK = 10


@dataclass(frozen=True, slots=True)
class Limit:
    """How many requests a scenario may take.

    Attributes:
        at_most: Of every kind.
        exactly: Of one kind; more by ``SLACK`` pass.
    """

    at_most: int
    exactly: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.exactly)
        return f"≤ {self.at_most}" + (f": {kinds}" if kinds else "")


_SMALL, _PARTS = 500, 8  # 64 MiB in parts of 8 MiB
_CONTENT = _SMALL + _PARTS + 1  # and the manifest

LIMITS = {
    # A look at each object before it is sent would be allowed; create and complete, and a few looks at the manifest.
    "push-short": Limit(_CONTENT + _SMALL + 1 + 20, (("PutObject", _SMALL + 1), ("UploadPart", _PARTS))),
    "repush-short": Limit(2, (("PutObject", 0), ("UploadPart", 0))),
    # A stream that has the object to itself asks for 32 MiB at once, the others for a part each.
    "pull-short": Limit(_CONTENT + SLACK, (("GetObject", _SMALL + 2 + 1),)),
}


def short_run() -> tuple[str, list[str]]:
    """The table and what is wrong.

    Raises:
        Unavailable: there is no server to be had.
    """
    work = work_folder(needed_bytes(SHORT))
    with sole_use(work), open_server(PROFILES["fast"], work) as server:
        bench = Bench(server, PROFILES["fast"], work, rounds=1, prefix="short", tell=lambda _: None)
        runs: list[Run] = []
        for scenario in SHORT:
            bench.measure(scenario, [Ours()], runs)
        counted = bool(server.control)
    limits = {name: str(limit) for name, limit in LIMITS.items()} if counted else {}
    return f"{server.about}\n\n{short_table(runs, limits)}", complaints(runs, counted=counted)


def complaints(runs: Sequence[Run], *, counted: bool) -> list[str]:
    """What is wrong with the runs; requests only if the server counted them."""
    found = []
    for run in runs:
        if run.error:
            found.append(f"{run.scenario}: {run.error}")
            continue
        if run.peak_rss_bytes > MEMORY_CEILING_BYTES:
            found.append(
                f"{run.scenario}: {run.peak_rss_bytes >> 20} MiB resident, {MEMORY_CEILING_BYTES >> 20} allowed"
            )
        if counted:
            found += _miscounted(run, LIMITS[run.scenario])
    return found


def _miscounted(run: Run, limit: Limit) -> list[str]:
    found = []
    total = run.request_count or 0
    if total > limit.at_most:
        kinds = ", ".join(f"{count} {kind}" for kind, count in run.requests.items())
        found.append(f"{run.scenario}: {total} requests, {limit.at_most} allowed ({kinds})")
    for kind, expected in limit.exactly:
        count = run.requests.get(kind, 0)
        slack = SLACK if expected else 0
        if not expected <= count <= expected + slack:
            found.append(f"{run.scenario}: {count} {kind}, {expected} expected")
    return found
