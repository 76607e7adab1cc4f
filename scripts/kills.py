"""Kills at random moments, for ``kill_resume``: a complete run of the same command must leave no temporaries."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from s3sim import Server, leading_to

__all__ = ["random_kills"]

MIB = 1 << 20
SMALL_FILES = 300
LARGE_BYTES = 40 * MIB + 77
MOST_KILLS_A_ROUND = 4
SIGNALS = [signal.SIGKILL] * 3 + [signal.SIGINT, signal.SIGTERM]
LEFTOVERS = (".partial", ".uploads", ".snapdir-partial")
PATIENCE_SECONDS = 120


class World:
    """A tree, its snapshot in a file store, a bucket and a pack, and folders that are empty at the start of a round."""

    def __init__(self, folder: Path, server: Server, seed: int) -> None:
        self.folder = folder
        self.server = server
        self.round = 0
        numbers = random.Random(seed)
        for name, count in {"tree": SMALL_FILES, "tiny": 1}.items():
            (folder / name / "sub").mkdir(parents=True)
            for number in range(count):
                (folder / name / "sub" / f"{number}").write_bytes(numbers.randbytes(2000 + number))
        (folder / "tree" / "large").write_bytes(numbers.randbytes(LARGE_BYTES))
        self.id = self.done("push", "--store", f"file://{folder}/source", "tree")
        self.done("push", "--store", "s3://kills/source", "tree")
        arguments = ["send-pack", "--store", "./source", "--ids", "-", "--manifest-id", self.id]
        pack = self.run(*arguments, stdin=self._objects())
        (folder / "pack").write_bytes(pack)

    def start(self, *arguments: str, stdin: str | None = None) -> subprocess.Popen[bytes]:
        environment = leading_to(self.server.endpoint) | {
            "SNAPDIR_CACHE_DIR": str(self.folder / "cache"),
            "HOME": str(self.folder),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        with (self.folder / stdin if stdin else Path(os.devnull)).open("rb") as given:
            return subprocess.Popen(
                [sys.executable, "-m", "snapdir", *arguments],
                cwd=self.folder,
                env=environment,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )

    def run(self, *arguments: str, stdin: bytes) -> bytes:
        (self.folder / "stdin").write_bytes(stdin)
        process = self.start(*arguments, stdin="stdin")
        out, errors = process.communicate(timeout=PATIENCE_SECONDS)
        if process.returncode:
            raise SystemExit(f"snapdir {' '.join(arguments)}: {errors.decode().strip()}")
        return out

    def done(self, *arguments: str) -> str:
        return self.run(*arguments, stdin=b"").decode().strip()

    def begin_round(self) -> None:
        self.round += 1
        for name in ("cache", "out", "target"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    @property
    def bucket(self) -> str:
        return f"s3://kills/round-{self.round}"

    def leftovers(self) -> list[Path]:
        """Files in directories for temporaries, and such directories of a destination."""
        found: list[Path] = []
        for name in ("cache", "out", "target"):
            for path in (self.folder / name).rglob("*"):
                inside = set(path.parent.relative_to(self.folder).parts) & set(LEFTOVERS)
                if inside or path.name.startswith(".snapdir-partial"):
                    found.append(path)
        return found

    def _objects(self) -> bytes:
        manifest = self.done("manifest", "tree").splitlines()
        return "\n".join(sorted({line.split(" ")[2] for line in manifest if line.startswith("F")})).encode()


@dataclass(frozen=True)
class Scenario:
    """A command to kill.

    Attributes:
        command: Its arguments.
        sweep: Another command that writes to the same place.
        verify: A command that fails if the bytes are wrong; None compares ``out`` with ``tree``.
        stdin: The file for its stdin.
    """

    name: str
    command: Callable[[World], list[str]]
    sweep: Callable[[World], list[str]]
    verify: Callable[[World], list[str]] | None = None
    stdin: str | None = None


@dataclass
class Outcome:
    """The results of one scenario."""

    kills: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    most_left_bytes: int = 0
    wrong: list[str] = field(default_factory=list)


def _always(*command: str) -> Callable[[World], list[str]]:
    return lambda _: [*command]


def _push_tiny(place: Callable[[World], str]) -> Callable[[World], list[str]]:
    return lambda world: ["push", "--store", place(world), "tiny"]


def _verify(place: Callable[[World], str]) -> Callable[[World], list[str]]:
    return lambda world: ["verify", "--store", place(world), "--id", world.id]


def _verify_cache(world: World) -> list[str]:
    return ["verify-cache", "--id", world.id]


def _into(name: str, place: Callable[[World], str], *before: str, **more: str) -> Scenario:
    """A scenario that writes to a store."""

    def command(world: World) -> list[str]:
        verb, *options = before
        to = "--to" if verb == "sync" else "--store"
        which = ["--id", world.id] if verb == "sync" else ["tree"] if verb == "push" else []
        return [verb, *options, to, place(world), *which]

    return Scenario(name, command, _push_tiny(place), _verify(place), **more)


def _from(name: str, verb: str, store: str, *options: str) -> Scenario:
    """A scenario that reads from a store."""

    def command(world: World) -> list[str]:
        return [verb, "--store", store, "--id", world.id, *options, *(["out"] if verb == "pull" else [])]

    return Scenario(name, command, _always("stage", "tiny"), None if verb == "pull" else _verify_cache)


def _target(world: World) -> str:
    return f"file://{world.folder}/target"


def _bucket(world: World) -> str:
    return world.bucket


SCENARIOS = [
    _into("push to a file store", _target, "push"),
    _into("push to S3", _bucket, "push"),
    Scenario("stage", _always("stage", "tree"), _always("stage", "tiny"), _verify_cache),
    _from("pull from a file store", "pull", "./source", "--no-cache"),
    _from("pull from S3", "pull", "s3://kills/source", "--no-cache"),
    _from("pull from S3 by way of the cache", "pull", "s3://kills/source"),
    _from("pull --linked", "pull", "./source", "--linked"),
    _from("fetch from S3", "fetch", "s3://kills/source"),
    _into("sync from S3 to a file store", _target, "sync", "--from", "s3://kills/source"),
    _into("sync from a file store to S3", _bucket, "sync", "--from", "./source"),
    _into("receive-pack into a file store", _target, "receive-pack", stdin="pack"),
    _into("receive-pack into S3", _bucket, "receive-pack", stdin="pack"),
]


def random_kills(folder: Path, server: Server, *, count: int, seed: int, seconds: float) -> bool:
    """Kill ``count`` runs at random moments, alternating between scenarios; whether all checks passed.

    Args:
        seconds: Start no new round after this time.
    """
    world = World(folder, server, seed)
    numbers = random.Random(seed)
    outcomes = {scenario.name: Outcome() for scenario in SCENARIOS}
    durations: dict[str, float] = {}
    deadline = time.monotonic() + seconds
    killed = 0
    while killed < count and time.monotonic() < deadline:
        for scenario in SCENARIOS:
            if killed < count and time.monotonic() < deadline:
                outcome = outcomes[scenario.name]
                killed += _round(world, scenario, outcome, durations, numbers, most=count - killed)
    for name, outcome in outcomes.items():
        kills = ", ".join(f"{number} {kind}" for kind, number in sorted(outcome.kills.items())) or "none"
        left = f"up to {outcome.most_left_bytes / MIB:.1f} MiB left"
        print(f"{name}: {kills}; {left}; {outcome.rounds} complete runs; {'; '.join(outcome.wrong) or 'ok'}")
    wrong = any(outcome.wrong for outcome in outcomes.values())
    print(
        f"{killed} kills, seed {seed}: {'WRONG' if wrong else 'no temporaries are left, and the bytes are right'}",
        flush=True,
    )
    return not wrong and killed >= count


def _round(
    world: World,
    scenario: Scenario,
    outcome: Outcome,
    durations: dict[str, float],
    numbers: random.Random,
    *,
    most: int,
) -> int:
    """Kill the command some times, run it to its end, and check; the number of kills."""
    world.begin_round()
    if scenario.name not in durations:
        began = time.monotonic()
        if not _ends_well(world, scenario.command(world), outcome, stdin=scenario.stdin):
            return most
        durations[scenario.name] = time.monotonic() - began
        world.begin_round()
    kills = 0
    for _ in range(min(most, numbers.randint(1, MOST_KILLS_A_ROUND))):
        number = numbers.choice(SIGNALS)
        if _killed(world, scenario, number, numbers.uniform(0.2, 1.0) * durations[scenario.name], outcome):
            outcome.kills[number.name] += 1
            kills += 1
    left = sum(path.stat(follow_symlinks=False).st_size for path in world.leftovers() if path.is_file())
    outcome.most_left_bytes = max(outcome.most_left_bytes, left)
    _finish(world, scenario, outcome, durations)
    return kills


def _killed(world: World, scenario: Scenario, number: signal.Signals, after: float, outcome: Outcome) -> bool:
    """Whether the signal ended the run; a run that finished earlier does not count."""
    process = world.start(*scenario.command(world), stdin=scenario.stdin)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    if b"KeyboardInterrupt" in errors and b", in main" not in errors:
        return True  # Python had not reached the first line of the program
    if process.returncode not in (0, -number, 128 + number) or b"Traceback" in errors:
        outcome.wrong.append(f"{number.name} ended it with {process.returncode}: {errors.decode().strip()}")
    return process.returncode != 0


def _finish(world: World, scenario: Scenario, outcome: Outcome, durations: dict[str, float]) -> None:
    outcome.rounds += 1
    began = time.monotonic()
    if not _ends_well(world, scenario.command(world), outcome, stdin=scenario.stdin):
        return
    durations[scenario.name] = (durations[scenario.name] + time.monotonic() - began) / 2
    if world.leftovers():
        _ends_well(world, scenario.sweep(world), outcome)
    outcome.wrong += [f"left behind: {path.relative_to(world.folder)}" for path in world.leftovers()]
    if scenario.verify is not None:
        _ends_well(world, scenario.verify(world), outcome)
    elif _contents(world.folder / "out") != _contents(world.folder / "tree"):
        outcome.wrong.append("wrong bytes in the destination")


def _ends_well(world: World, command: list[str], outcome: Outcome, *, stdin: str | None = None) -> bool:
    process = world.start(*command, stdin=stdin)
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    if process.returncode:
        outcome.wrong.append(f"snapdir {' '.join(command)}: {errors.decode().strip()}")
    return process.returncode == 0


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
