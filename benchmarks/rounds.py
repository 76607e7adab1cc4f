"""Running scenarios against a server: preparation, order, and whether a run counts."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks import trees
from benchmarks.measuring import Outcome, run
from benchmarks.page_cache import Dropper
from benchmarks.peers import Command, Job, Ours, Peer
from benchmarks.results import Run
from benchmarks.scenarios import ONE, Profile, Scenario, Verb
from benchmarks.server_stats import Traffic
from benchmarks.servers import Server
from benchmarks.tree_comparison import first_difference

__all__ = ["Bench", "measured_run", "order", "run_line"]

MiB = 1 << 20


class PreparationFailed(Exception):
    """The preparation of a run failed."""


def order(peers: Sequence[Peer], number: int) -> list[Peer]:
    """The order of clients in a round: forwards and backwards in turn, to vary the predecessor of each."""
    return list(peers) if number % 2 == 0 else list(reversed(peers))


def run_line(measured: Run) -> str:
    """One run as a line of text."""
    head = f"{measured.scenario:24} round {measured.round + 1}  {measured.peer:12}"
    if measured.error:
        return f"{head} does not count: {measured.error}"
    requests = "" if measured.request_count is None else f"{measured.request_count:8} requests"
    numbers = f"{measured.wall_seconds:8.2f} s wall {measured.cpu_seconds:8.2f} s CPU"
    return f"{head} {numbers} {measured.peak_rss_bytes / MiB:7.0f} MiB {requests}"


@dataclass(slots=True)
class Bench:
    """One session: a server, clients, and a work folder.

    Attributes:
        prefix: The prefix of all keys in the bucket.
        tell: Called with each run at its end.
        drop_caches: Called with the work folder before each run, if caches are to be dropped.
    """

    server: Server
    profile: Profile
    work: Path
    rounds: int
    prefix: str
    tell: Callable[[Run], None] = lambda measured: print(run_line(measured), file=sys.stderr, flush=True)
    drop_caches: Dropper | None = None
    _layouts: dict[str, Job] = field(default_factory=dict)
    _kept: dict[str, Job] = field(default_factory=dict)

    def warm_up(self, peers: Sequence[Peer]) -> Iterator[tuple[Peer, str]]:
        """Push and pull one small file with every client; yields clients that fail, with the reason."""
        tree = trees.make(ONE, self._trees)
        for peer in peers:
            try:
                job = self._pushed(peer, self._job(peer, tree, "warm-up"))
                self._pulled(peer, job)
            except PreparationFailed as error:
                yield peer, str(error)
        self.server.wipe()

    def measure(self, scenario: Scenario, peers: Sequence[Peer], runs: list[Run]) -> None:
        """Run all rounds of a scenario; each run is added to ``runs`` when it ends."""
        self._layouts.clear()
        self._kept.clear()
        tree = trees.make(scenario.tree, self._trees)
        try:
            for number in range(self.rounds):
                if scenario.verb is Verb.REPUSH_CHANGED:
                    self._change(scenario, tree, peers, number + 1)
                for peer in order(peers, number):
                    runs.append(self._one(scenario, peer, tree, number))
                    self.tell(runs[-1])
        finally:
            if scenario.verb is Verb.REPUSH_CHANGED:
                trees.restore(scenario.tree, self._trees)
            self.server.wipe()
            shutil.rmtree(self.work / "destinations", ignore_errors=True)
            shutil.rmtree(self.work / "caches", ignore_errors=True)

    @property
    def _trees(self) -> Path:
        return self.work / "trees"

    def _change(self, scenario: Scenario, tree: Path, peers: Sequence[Peer], generation: int) -> None:
        """Change the tree; before the first change, every client pushes the original."""
        for peer in peers:
            if generation == 1:
                try:
                    self._keep(scenario, peer, tree)
                except PreparationFailed:
                    continue  # reported when its turn comes
        trees.change(scenario.tree, self._trees, generation)

    def _one(self, scenario: Scenario, peer: Peer, tree: Path, number: int) -> Run:
        try:
            command, job = self._prepared(scenario, peer, tree, number)
        except PreparationFailed as error:
            return Run(scenario.name, peer.name, number, error=f"preparation: {error}")
        if self.drop_caches is not None:
            self.drop_caches(self.work)
        self.server.reset()
        outcome = run(command, self._environment(job))
        traffic = self.server.traffic()
        reason = self._why_not(scenario, job, outcome, traffic)
        if scenario.verb is Verb.PULL:
            shutil.rmtree(job.destination, ignore_errors=True)
        return measured_run(scenario.name, peer.name, number, outcome, traffic, error=reason)

    def _prepared(self, scenario: Scenario, peer: Peer, tree: Path, number: int) -> tuple[Command, Job]:
        """The command of a run and its job."""
        if scenario.verb is Verb.PUSH:
            self.server.wipe()
            job = self._job(peer, tree, f"{scenario.name}-{number}")
            return peer.push(job), job
        if scenario.verb is Verb.PULL:
            job = self._filled(peer, tree)
            return peer.pull(job), job
        if scenario.verb is Verb.HEAD:
            job = self._job(peer, tree, scenario.name)
            if not isinstance(peer, Ours):
                raise PreparationFailed("only ours has a driver for HEAD requests")
            return peer.head(job, scenario.requests), job
        job = self._keep(scenario, peer, tree)
        return (peer.repull(job) if scenario.verb is Verb.REPULL else peer.repush(job)), job

    def _filled(self, peer: Peer, tree: Path) -> Job:
        """A job for a pull; the first client of each layout pushes the tree."""
        if peer.layout not in self._layouts:
            job = self._job(peer, tree, f"{tree.name}-{peer.layout}")
            self._layouts[peer.layout] = self._pushed(peer, job)
        return self._fresh(peer, self._layouts[peer.layout])

    def _keep(self, scenario: Scenario, peer: Peer, tree: Path) -> Job:
        """A job with the store, destination and cache that this client left before."""
        if peer.name not in self._kept:
            if scenario.verb is Verb.REPULL:
                job = self._filled(peer, tree)
                self._pulled(peer, job)
            else:
                job = self._pushed(peer, self._job(peer, tree, scenario.name))
            self._kept[peer.name] = job
        return self._kept[peer.name]

    def _pushed(self, peer: Peer, job: Job) -> Job:
        outcome = self._must(peer.push(job), job)
        return replace(job, snapshot_id=outcome.stdout.strip() if peer.layout == "snapshot" else "")

    def _pulled(self, peer: Peer, job: Job) -> None:
        self._must(peer.pull(job), job)
        difference = first_difference(job.tree, job.destination)
        if difference:
            raise PreparationFailed(difference)

    def _must(self, command: Command, job: Job) -> Outcome:
        outcome = run(command, self._environment(job))
        if outcome.returncode or outcome.timed_out:
            raise PreparationFailed(self._failure(outcome))
        return outcome

    def _why_not(self, scenario: Scenario, job: Job, outcome: Outcome, traffic: Traffic) -> str:
        """Why a run does not count; empty if it counts."""
        if outcome.returncode or outcome.timed_out:
            return self._failure(outcome)
        if scenario.verb in (Verb.PULL, Verb.REPULL):
            return first_difference(job.tree, job.destination)
        if scenario.verb is Verb.PUSH and traffic.counts and traffic.objects < scenario.tree.object_count:
            return f"{traffic.objects} objects in the store, {scenario.tree.object_count} expected"
        return ""

    def _failure(self, outcome: Outcome) -> str:
        """How a client failed, without paths of this machine."""
        last = (outcome.stderr.strip().splitlines() or ["no message"])[-1]
        how = "timed out" if outcome.timed_out else f"exit {outcome.returncode}"
        return f"{how}: {last}".replace(str(self.work), "WORK").replace(str(Path.home()), "~")[:300]

    def _job(self, peer: Peer, tree: Path, name: str) -> Job:
        job = Job(
            endpoint=self.server.endpoint,
            bucket=self.server.bucket,
            prefix=f"{self.prefix}/{name}-{peer.name}",
            tree=tree,
            destination=self.work / "destinations" / peer.name,
            cache=self.work / "caches" / peer.name,
            ca_file=self.server.ca_file,
            concurrency=self.profile.concurrency,
        )
        return self._fresh(peer, job)

    def _fresh(self, peer: Peer, job: Job) -> Job:
        """The same job with an empty destination and an empty cache."""
        fresh = replace(job, destination=self.work / "destinations" / peer.name, cache=self.work / "caches" / peer.name)
        for folder in (fresh.destination, fresh.cache):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        return fresh

    def _environment(self, job: Job) -> dict[str, str]:
        """A minimal environment, the same for all clients. The user's settings apply only to the user's endpoint."""
        home = self.work / "home"
        home.mkdir(exist_ok=True)
        environment = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        if self.server.environment:
            environment |= {"HOME": str(home), "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
        else:
            environment |= {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "HOME"))}
        return environment | {
            "AWS_EC2_METADATA_DISABLED": "true",
            "XDG_CACHE_HOME": str(job.cache),
            "SNAPDIR_BENCH_TREE": str(job.tree),
            **self.server.environment,
        }


def measured_run(scenario: str, peer: str, number: int, outcome: Outcome, traffic: Traffic, *, error: str = "") -> Run:
    """The record of a run: what its process took, and what the server counted."""
    return Run(
        scenario=scenario,
        peer=peer,
        round=number,
        error=error,
        wall_seconds=round(outcome.wall_seconds, 4),
        user_seconds=round(outcome.user_seconds, 4),
        system_seconds=round(outcome.system_seconds, 4),
        peak_rss_bytes=outcome.peak_rss_bytes,
        requests=traffic.counts,
        answers=traffic.answers,
        bytes_in=traffic.bytes_in,
        bytes_out=traffic.bytes_out,
        connections=traffic.connections,
    )
