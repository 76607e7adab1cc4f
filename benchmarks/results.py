"""What a session measured, as it is kept in benchmarks/results/*.json."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["RESULTS", "Record", "Run", "latest", "load_all", "read", "write"]

RESULTS = Path(__file__).parent / "results"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Run:
    """One client, once.

    Attributes:
        error: Why the run does not count; empty if it does.
        peak_rss_bytes: The largest of the process, or of its whole tree at one time.
        requests: By kind, as the server counted them; empty if it does not.
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
    """One session: its circumstances and its runs.

    Attributes:
        recorded: Date and time, UTC, ISO 8601.
        commit: Of this checkout; ``+`` at its end says that files differed from it.
        peers: How each client was run, in words, by its name.
        versions: Of Python, our libraries and every client.
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
    """Keep a record; the file is named for its date and profile."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = record.recorded.replace(":", "").replace("-", "")[:15]
    file = folder / f"{stamp}-{record.profile}.json"
    file.write_text(json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n")
    return file


def read(file: Path) -> Record:
    """Read a record.

    Raises:
        ValueError: not a record of this format.
    """
    data = json.loads(file.read_text())
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        raise ValueError(f"{file} is no record of format {_FORMAT}")
    return Record(**{**data, "runs": tuple(Run(**run) for run in data["runs"])})


def load_all(folder: Path = RESULTS) -> list[Record]:
    """Every record of a folder, the oldest first."""
    return sorted((read(file) for file in folder.glob("*-*.json")), key=lambda record: record.recorded)


def latest(records: Iterable[Record]) -> dict[str, dict[str, Record]]:
    """By profile and scenario, the newest record with a run of ours that counts: ratios come from one session."""
    chosen: dict[str, dict[str, Record]] = {}
    for record in sorted(records, key=lambda record: record.recorded):
        for run in record.runs:
            if run.peer == "ours" and not run.error:
                chosen.setdefault(record.profile, {})[run.scenario] = record
    return chosen
