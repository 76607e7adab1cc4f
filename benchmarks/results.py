"""The records of sessions, in benchmarks/results/*.json."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["ON_DISK", "RESULTS", "Record", "Run", "latest", "load_all", "read", "write"]

RESULTS = Path(__file__).parent / "results"
ON_DISK = "-disk"
"""The end of the profile of a record that was measured with ``--on``."""
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one client.

    Attributes:
        error: Why the run does not count; empty if it counts.
        peak_rss_bytes: Peak of the process, or of its whole process tree.
        requests: By kind, as counted by the server; empty if it does not count.
        opens: Files of the tree that the client opened, counted in a run of its own; None if not counted.
        files: Files of the tree, where the scenario does not say it.
    """

    scenario: str
    peer: str
    round: int
    error: str = ""
    wall_seconds: float = 0.0
    user_seconds: float = 0.0
    system_seconds: float = 0.0
    peak_rss_bytes: int = 0
    requests: Mapping[str, int] = field(default_factory=dict)
    answers: Mapping[str, int] = field(default_factory=dict)
    bytes_in: int = 0
    bytes_out: int = 0
    connections: int = 0
    opens: int | None = None
    files: int = 0

    @property
    def cpu_seconds(self) -> float:
        """User and system time of the client and its children."""
        return self.user_seconds + self.system_seconds

    @property
    def request_count(self) -> int | None:
        """Requests of every kind; None if the server does not count."""
        return sum(self.requests.values()) if self.requests else None


@dataclass(frozen=True, slots=True)
class Record:
    """One session: its conditions and runs.

    Attributes:
        recorded: Start, UTC, ISO 8601.
        commit: Commit of this checkout, followed by ``+`` if files differed from it.
        peers: How each client was run, by name.
        versions: Versions of Python, libraries and clients.
    """

    recorded: str
    command: str
    profile: str
    server: str
    commit: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    peers: Mapping[str, str]
    runs: tuple[Run, ...]
    format: int = _FORMAT


def write(record: Record, folder: Path = RESULTS) -> Path:
    """Write a record, one line for each run, to a file named for its date and profile."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = record.recorded.replace(":", "").replace("-", "")[:15]
    file = folder / f"{stamp}-{record.profile}.json"
    fields = asdict(record)
    runs = ",\n  ".join(json.dumps(run, ensure_ascii=False) for run in fields.pop("runs"))
    head = json.dumps(fields, indent=1, ensure_ascii=False).removesuffix("\n}")
    file.write_text(f'{head},\n "runs": [\n  {runs}\n ]\n}}\n')
    return file


def read(file: Path) -> Record:
    """Read a record.

    Raises:
        ValueError: the file is not a record of this format.
    """
    data = json.loads(file.read_text())
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        raise ValueError(f"{file} is not a record of format {_FORMAT}")
    return Record(**{**data, "runs": tuple(Run(**run) for run in data["runs"])})


def load_all(folder: Path = RESULTS) -> list[Record]:
    """Every record of a folder, oldest first."""
    return sorted((read(file) for file in folder.glob("*-*.json")), key=lambda record: record.recorded)


def latest(records: Iterable[Record]) -> dict[str, dict[str, Record]]:
    """By profile and scenario, the newest record in which a run of ours counts."""
    chosen: dict[str, dict[str, Record]] = {}
    for record in sorted(records, key=lambda record: record.recorded):
        for run in record.runs:
            if run.peer == "ours" and not run.error:
                chosen.setdefault(record.profile, {})[run.scenario] = record
    return chosen
