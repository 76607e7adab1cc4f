"""Runs and records for the pure parts of the benchmarks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.results import Record, Run

MakeRecord = Callable[..., Record]


@pytest.fixture
def make_record() -> MakeRecord:
    """A record with these runs, on a machine that does not exist."""

    def make(*runs: Run, recorded: str = "2026-01-02T03:04:05+00:00", profile: str = "fast") -> Record:
        return Record(
            recorded=recorded,
            command="python -m benchmarks run",
            profile=profile,
            server="s3sim",
            commit="0123456789ab",
            machine={"cpu": "a CPU", "cores": "2", "memory": "24 GiB", "kernel": "Linux", "data": "in memory"},
            versions={"python": "CPython 3.11"},
            peers={"ours": "how", "s5cmd": "how else"},
            runs=runs,
        )

    return make


def timed(scenario: str, peer: str, *walls: float, cpu: float = 0.5, **more: object) -> list[Run]:
    """One run for each wall time."""
    return [
        Run(scenario, peer, number, wall_seconds=wall, user_seconds=cpu, **more)  # type: ignore[arg-type]
        for number, wall in enumerate(walls)
    ]
