"""The scale table: python -m benchmarks scale [--files N] [--scenario NAME] [--timeout SECONDS]

Scenarios run in a fixed order, because each starts from what the one before it left. Each command has a time limit, and
a tree that does not fit is left out with its reason, so that a session ends by itself.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.environments import NotInstallable
from benchmarks.machine import available_memory, commit, library_versions, machine
from benchmarks.measuring import Outcome, run
from benchmarks.page_cache import Dropper, dropper
from benchmarks.peers import DRIVERS, PEERS, Command, Job, Ours, Reference
from benchmarks.places import on_tmpfs, sole_use
from benchmarks.results import ON_DISK, Record, Run
from benchmarks.rounds import Bench, measured_run, run_line
from benchmarks.scale import traced_opens, trees
from benchmarks.scale.bars import BLAKE3, PROFILE
from benchmarks.scale.trees import ManyFiles, OneFile
from benchmarks.scenarios import OURS, PROFILES, REFERENCE, S5CMD, SHARDS_1G, Scenario, Verb
from benchmarks.servers import Server, open_server
from benchmarks.session import say, where

__all__ = ["GROUPS", "NO_SERVER", "ScalePlan", "ScaleSession", "measure_scale"]

GiB = 1 << 30
CHANGED = 100
# s3sim keeps objects in memory: their bytes, keys and tables.
_STORED_BYTES = 3 << 10
_ROOM_TO_SPARE = 1 << 30
NO_SERVER = "s3sim cannot be built here, and another server would take hours"


@dataclass(frozen=True, slots=True)
class ScalePlan:
    """The options of a session.

    Attributes:
        files: Files of the large tree; bars are meant for a million.
        scenarios: Names of groups (``GROUPS``); empty means all.
        timeout_seconds: The limit of each command.
        alone: Run no other client.
    """

    files: int = 1_000_000
    scenarios: Sequence[str] = ()
    timeout_seconds: float = 900.0
    alone: bool = False
    command: str = ""


@dataclass(slots=True)
class ScaleSession:
    """A server, a work folder, and the runs so far."""

    server: Server
    work: Path
    plan: ScalePlan
    ours: Ours = field(default_factory=Ours)
    runs: list[Run] = field(default_factory=list)
    drop_caches: Dropper | None = None

    @property
    def cache(self) -> Path:
        """The cache of ours."""
        return self.work / "caches" / "scale"

    @property
    def trees(self) -> Path:
        """The folder of the trees."""
        return self.work / "trees"

    def job(self, tree: Path, name: str) -> Job:
        """A job of ours in the running server, with the cache of the session."""
        destination = self.work / "destinations" / name
        return Job(self.server.endpoint, self.server.bucket, f"scale/{name}", tree, destination, self.cache)

    def measure(self, name: str, peer: str, command: Command, files: int, *, opens: int | None = None) -> Outcome:
        """Run a command once and keep the run."""
        if self.drop_caches is not None:
            self.drop_caches(self.work)
        self.server.reset()
        outcome = self._run(command)
        traffic = self.server.traffic()
        number = sum(1 for run in self.runs if (run.scenario, run.peer) == (name, peer))
        self.keep(
            replace(
                measured_run(name, peer, number, outcome, traffic, error=self._failure(outcome)),
                opens=opens,
                files=files,
            )
        )
        return outcome

    def keep(self, measured: Run) -> None:
        """Add a run and print it."""
        self.runs.append(measured)
        opened = "" if measured.opens is None else f" {measured.opens:,} opens"
        print(run_line(measured) + opened, file=sys.stderr, flush=True)

    def leave_out(self, name: str, reason: str) -> None:
        """Keep a scenario that cannot run, with its reason."""
        self.keep(Run(name, OURS, 0, error=reason))

    def count_opens(self, command: Command) -> int | None:
        """Files of the tree that a command opens, in a run that is not timed; None without strace or if it fails."""
        if not traced_opens.available():
            return None
        log = self.work / "opens.log"
        outcome = self._run(traced_opens.traced(command, log))
        try:
            return None if outcome.returncode else traced_opens.count_opens(log)
        finally:
            log.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove everything but the trees."""
        self.server.wipe()
        for name in ("destinations", "caches"):
            shutil.rmtree(self.work / name, ignore_errors=True)

    def _run(self, command: Command) -> Outcome:
        return run(command, self._environment(), timeout_seconds=self.plan.timeout_seconds)

    def _environment(self) -> dict[str, str]:
        home = self.work / "home"
        home.mkdir(parents=True, exist_ok=True)
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        return kept | {"HOME": str(home), "AWS_REGION": "us-east-1", **self.server.environment}

    def _failure(self, outcome: Outcome) -> str:
        if outcome.timed_out:
            return f"timed out after {self.plan.timeout_seconds:.0f} s"
        if outcome.returncode:
            last = (outcome.stderr.strip().splitlines() or ["no message"])[-1]
            return f"exit {outcome.returncode}: {last}".replace(str(self.work), "WORK")[:300]
        return ""


def ids(session: ScaleSession) -> None:
    """Id, id again, id after changes."""
    tree = _many(session)
    if not _room(session, "id", tree.needed_bytes):
        return
    folder = trees.make(tree, session.trees, say)
    try:
        _id_steps(session, tree, folder)
    finally:
        trees.remove(tree, session.trees)
        session.clear()


def transfers(session: ScaleSession) -> None:
    """Push, push again, push after changes; pull, pull again."""
    tree = _many(session)
    if not session.server.control:
        session.leave_out("push", NO_SERVER)
        return
    # The tree, a copy of it, and the objects in the server.
    if not _room(session, "push", 2 * tree.needed_bytes + tree.files * _STORED_BYTES):
        return
    folder = trees.make(tree, session.trees, say)
    try:
        _transfer_steps(session, tree, folder)
    finally:
        trees.remove(tree, session.trees)
        session.clear()


def _many(session: ScaleSession) -> ManyFiles:
    count = session.plan.files
    return ManyFiles("scale-many", count, max(1, count // 1000))


def _id_steps(session: ScaleSession, tree: ManyFiles, folder: Path) -> None:
    command = session.ours.id(folder, session.cache)
    first = session.measure("id", OURS, command, tree.files)
    theirs = _reference("id", folder, session, tree.files)
    if theirs is not None and first.stdout.strip() != theirs.stdout.strip():
        session.leave_out("id", "the reference has another id")
    session.measure("id-again", OURS, command, tree.files)
    trees.change(tree, session.trees, CHANGED, 1)
    opens = session.count_opens(command)
    trees.change(tree, session.trees, CHANGED, 2)
    session.measure("id-100-changed", OURS, command, tree.files, opens=opens)


def _transfer_steps(session: ScaleSession, tree: ManyFiles, folder: Path) -> None:
    job = session.job(folder, tree.name)
    session.measure("push", OURS, session.ours.push(job), tree.files)
    session.measure("push-again", OURS, session.ours.push(job), tree.files)
    trees.change(tree, session.trees, CHANGED, 3)
    pushed = session.measure("push-100-changed", OURS, session.ours.push(job), tree.files)
    if pushed.returncode or pushed.timed_out:
        for name in ("pull", "pull-again"):
            session.leave_out(name, "nothing was pushed")
        return
    # Of another machine: an empty cache.
    shutil.rmtree(session.cache, ignore_errors=True)
    job = replace(job, snapshot_id=pushed.stdout.strip())
    session.measure("pull", OURS, session.ours.pull(job), tree.files)
    session.measure("pull-again", OURS, session.ours.pull(job), tree.files)


def more_files(session: ScaleSession) -> None:
    """Five times as many files: their number alone must not take memory."""
    count = 5 * session.plan.files
    _id_of(session, "id-5x", ManyFiles("scale-5x", count, max(1, count // 1000), sparse=True))


def one_directory(session: ScaleSession) -> None:
    """All files in one directory."""
    tree = ManyFiles("scale-one-directory", session.plan.files, 1)
    _id_of(session, "id-one-directory", tree, against=_reference)


def sparse_file(session: ScaleSession) -> None:
    """One large file, beside BLAKE3 alone."""
    _id_of(session, "id-sparse-64g", OneFile("scale-sparse", 64 * GiB), against=_blake3)


def ten_files(session: ScaleSession) -> None:
    """The cost of starting."""
    tree = ManyFiles("scale-ten", 10, 1)
    folder = trees.make(tree, session.trees, say)
    for _ in range(5):
        session.measure("id-ten-files", OURS, session.ours.id(folder, session.cache), tree.files)
    session.clear()


def shards(session: ScaleSession) -> None:
    """The pull of 1 GiB in shards with default flags, beside s5cmd: a scenario of the catalog."""
    if not _room(session, "pull-shards-1g", 3 * SHARDS_1G.size):
        return
    peers = [session.ours, PEERS[S5CMD]]
    try:
        PEERS[S5CMD].install()
    except NotInstallable as error:
        say(f"s5cmd is left out: {error}")
        peers = peers[:1]
    bench = Bench(session.server, PROFILES["fast"], session.work, rounds=3, prefix="shards")
    bench.measure(Scenario(Verb.PULL, SHARDS_1G), peers, session.runs)


GROUPS: dict[str, Callable[[ScaleSession], None]] = {
    "id": ids,
    "transfer": transfers,
    "5x": more_files,
    "one-directory": one_directory,
    "sparse": sparse_file,
    "shards": shards,
    "ten-files": ten_files,
}
"""In the order of a session; the scenarios of the table are parts of these."""


def measure_scale(plan: ScalePlan, work: Path) -> Record:
    """Run a session.

    Raises:
        LookupError: a name is not in ``GROUPS``.
        Unavailable: no server can be started.
    """
    unknown = [name for name in plan.scenarios if name not in GROUPS]
    if unknown:
        raise LookupError(f"no scenario of scale is called {', '.join(unknown)}: {', '.join(GROUPS)}")
    started, conditions = datetime.now(UTC), machine()
    with ExitStack() as stack:
        stack.enter_context(sole_use(work))
        server = stack.enter_context(open_server(PROFILES["fast"], work))
        on_disk = not on_tmpfs(work)
        drop, dropped = dropper() if on_disk else (None, "")
        session = ScaleSession(server, work, plan, drop_caches=drop)
        try:
            for name in plan.scenarios or GROUPS:
                GROUPS[name](session)
        except KeyboardInterrupt:
            say("interrupted: the record holds the runs so far")
    return Record(
        recorded=started.isoformat(timespec="seconds"),
        command=plan.command,
        profile=PROFILE + (ON_DISK if on_disk else ""),
        server=server.about,
        commit=commit(),
        machine={**conditions, "data": "; ".join(filter(None, (where(work), dropped)))},
        versions={**library_versions(), "ours": session.ours.version()},
        peers={OURS: "the commands below, with default flags", **_PEERS},
        runs=tuple(session.runs),
    )


_PEERS = {
    REFERENCE: Reference.about,
    BLAKE3: "the blake3 package alone, on all cores, blocks of 16 MiB read from the file",
    S5CMD: "s5cmd cp, its defaults",
}

Peer = Callable[[str, Path, ScaleSession, int], Outcome | None]


def _id_of(session: ScaleSession, name: str, tree: ManyFiles | OneFile, *, against: Peer | None = None) -> None:
    """The id of a tree that is made for it and removed."""
    if not _room(session, name, tree.needed_bytes):
        return
    folder = trees.make(tree, session.trees, say)
    try:
        session.measure(name, OURS, session.ours.id(folder, session.cache), tree.files)
        if against is not None:
            against(name, folder, session, tree.files)
    finally:
        trees.remove(tree, session.trees)
        session.clear()


def _reference(name: str, folder: Path, session: ScaleSession, files: int) -> Outcome | None:
    """The id by the reference; None if it is not wanted or cannot be installed."""
    if session.plan.alone:
        return None
    reference = PEERS[REFERENCE]
    assert isinstance(reference, Reference)
    try:
        reference.install()
    except NotInstallable as error:
        say(f"the reference is left out: {error}")
        return None
    return session.measure(name, REFERENCE, reference.id(folder), files)


def _blake3(name: str, folder: Path, session: ScaleSession, files: int) -> Outcome:
    """The digest of the only file, by the library alone."""
    file = next(folder.iterdir())
    return session.measure(name, BLAKE3, Command((sys.executable, str(DRIVERS / "blake3_rate.py"), str(file))), files)


def _room(session: ScaleSession, name: str, needed_bytes: int) -> bool:
    """Whether so much fits on the filesystem of the work folder; if not, the scenario is left out."""
    free = shutil.disk_usage(session.work).free
    if on_tmpfs(session.work):
        free = min(free, available_memory())
    needed = needed_bytes + _ROOM_TO_SPARE
    if free >= needed:
        return True
    session.leave_out(
        name, f"{(needed_bytes + _ROOM_TO_SPARE) / GiB:.1f} GiB are needed, {free / GiB:.1f} GiB are free"
    )
    return False
