"""The short run for CI: ours alone, in seconds. It fails on wrong counts or too much memory, never on time."""

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
# A busy machine may cause some hedged or repeated requests.
SLACK = 10


@dataclass(frozen=True, slots=True)
class Limit:
    """The number of requests that a scenario may take.

    Attributes:
        at_most: Requests of every kind.
        exactly: Requests of some kinds; up to ``SLACK`` more are accepted.
    """

    at_most: int
    exactly: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.exactly)
        return f"≤ {self.at_most}" + (f": {kinds}" if kinds else "")


_SMALL, _PARTS = 500, 8  # 64 MiB in parts of 8 MiB
_CONTENT = _SMALL + _PARTS + 1  # objects, parts and the manifest

LIMITS = {
    # One HEAD for each object would be allowed; create and complete; a few requests for the manifest.
    "push-short": Limit(_CONTENT + _SMALL + 1 + 20, (("PutObject", _SMALL + 1), ("UploadPart", _PARTS))),
    "repush-short": Limit(2, (("PutObject", 0), ("UploadPart", 0))),
    # A stream alone on an object requests 32 MiB at once; shared objects are requested by part.
    "pull-short": Limit(_CONTENT + SLACK, (("GetObject", _SMALL + 2 + 1),)),
}


def short_run() -> tuple[str, list[str]]:
    """The table, and the complaints.

    Raises:
        Unavailable: no server can be started.
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
    """What is wrong with the runs; requests are checked only if the server counted them."""
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
