"""One session: open the server, run the scenarios with the installable clients, and return the record."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.environments import NotInstallable
from benchmarks.machine import commit, library_versions, machine
from benchmarks.page_cache import dropper
from benchmarks.peers import PEERS, Peer
from benchmarks.places import filesystem, on_tmpfs, sole_use, work_folder
from benchmarks.results import ON_DISK, Record, Run
from benchmarks.rounds import Bench
from benchmarks.scenarios import PROFILES, Scenario, select
from benchmarks.servers import BUCKET, open_server

__all__ = ["Plan", "choose_peers", "measure", "needed_bytes", "say", "where"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The options of a session.

    Attributes:
        scenarios, peers: As given on the command line; empty means the defaults of the catalog.
        endpoint, bucket: A running server.
        on: A directory of the filesystem to measure on; empty is memory.
        command: The command line, for the record.
    """

    profile: str = "fast"
    scenarios: Sequence[str] = ()
    peers: Sequence[str] = ()
    rounds: int = 3
    endpoint: str = ""
    bucket: str = BUCKET
    on: str = ""
    command: str = ""


def say(text: str) -> None:
    """Print a message to stderr."""
    print(text, file=sys.stderr, flush=True)


def needed_bytes(scenarios: Sequence[Scenario]) -> int:
    """The bytes of all trees."""
    return sum(tree.size for tree in dict.fromkeys(scenario.tree for scenario in scenarios))


def measure(plan: Plan) -> Record:
    """Run a session.

    Raises:
        Unavailable: something that the profile needs is not installed.
        LookupError: a name is not in the catalog.
    """
    scenarios = select(plan.scenarios, plan.profile)
    installed = _installed(choose_peers(scenarios, plan))
    work = work_folder(needed_bytes(scenarios), on=plan.on)
    drop, dropped = dropper() if plan.on else (None, "")
    started, conditions = datetime.now(UTC), machine()
    opened = open_server(PROFILES[plan.profile], work, endpoint=plan.endpoint, bucket=plan.bucket)
    with sole_use(work), opened as server:
        prefix = f"snapdir-bench-{started:%Y%m%dT%H%M%S}"
        bench = Bench(server, PROFILES[plan.profile], work, plan.rounds, prefix, drop_caches=drop)
        peers = _warmed(bench, installed)
        versions = {**library_versions(), **{peer.name: peer.version() for peer in peers}}
        runs: list[Run] = []
        try:
            for scenario in scenarios:
                bench.measure(scenario, [peer for peer in peers if _runs(peer.name, scenario, plan)], runs)
        except KeyboardInterrupt:
            say("interrupted: the record holds the runs so far")
        if plan.endpoint and not server.control:
            say(f"objects remain below s3://{plan.bucket}/{prefix}")
        return Record(
            recorded=started.isoformat(timespec="seconds"),
            command=plan.command,
            profile=plan.profile + (ON_DISK if plan.on and not on_tmpfs(work) else ""),
            server=server.about,
            commit=commit(),
            machine={**conditions, "data": "; ".join(filter(None, (where(work), dropped)))},
            versions=versions,
            peers={peer.name: peer.about for peer in peers},
            runs=tuple(runs),
        )


def choose_peers(scenarios: Sequence[Scenario], plan: Plan) -> list[str]:
    """Names of the clients to run, ours first.

    Raises:
        LookupError: a name is not that of a client.
    """
    unknown = [name for name in plan.peers if name not in PEERS]
    if unknown:
        raise LookupError(f"no peer is called {', '.join(unknown)}: {', '.join(PEERS)}")
    return [name for name in PEERS if any(_runs(name, scenario, plan) for scenario in scenarios)]


def _runs(peer: str, scenario: Scenario, plan: Plan) -> bool:
    """Whether a client runs a scenario: it can, and it was named or is a default."""
    able = scenario.able
    if able and peer not in able:
        return False
    if plan.peers:
        return peer in plan.peers or peer == "ours"
    meant = PROFILES[plan.profile].peers
    return (not scenario.peers or peer in scenario.peers) and (not meant or peer in meant)


def _installed(names: Sequence[str]) -> list[Peer]:
    peers = []
    for name in names:
        try:
            PEERS[name].install()
        except NotInstallable as error:
            say(f"{name} is left out: {error}")
        else:
            peers.append(PEERS[name])
    return peers


def _warmed(bench: Bench, peers: Sequence[Peer]) -> list[Peer]:
    """The clients that can push and pull, and ours in any case, so that its failure is recorded."""
    failed = dict(bench.warm_up(peers))
    for peer, reason in failed.items():
        say(f"{peer.name} cannot push and pull one file: {reason}")
    return [peer for peer in peers if peer not in failed or peer.name == "ours"]


def where(work: Path) -> str:
    """The filesystem of the work folder, in words."""
    if on_tmpfs(work):
        return "trees, destinations and caches in memory (tmpfs)"
    return f"trees, destinations and caches on {filesystem(work)}"
