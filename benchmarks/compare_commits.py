"""Compare two commits of ours, in alternating rounds on one server."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from benchmarks.machine import library_versions, machine
from benchmarks.peers import Ours
from benchmarks.places import PROJECT, cache_folder, sole_use, work_folder
from benchmarks.results import Run
from benchmarks.rounds import Bench
from benchmarks.scenarios import PROFILES, select
from benchmarks.servers import open_server
from benchmarks.session import needed_bytes
from benchmarks.summary import summarize
from benchmarks.tables import comparison_table

__all__ = ["DEFAULT_SCENARIOS", "WORKING_TREE", "compare"]

DEFAULT_SCENARIOS = ("one", "small-5k", "shards-1g")
WORKING_TREE = "."


def compare(old: str, new: str, *, profile: str, scenarios: Sequence[str], rounds: int) -> str:
    """The table of medians, with its conditions.

    Args:
        old, new: Commits, or ``.`` for the files as they are now.
    Raises:
        CalledProcessError: a commit does not exist.
        Unavailable: something that the profile needs is not installed.
    """
    peers = [_checked_out(old), _checked_out(new)]
    if peers[0].name == peers[1].name:
        peers[1].name += " again"  # the same commit twice shows the noise
    chosen = select(scenarios or DEFAULT_SCENARIOS, profile)
    work = work_folder(needed_bytes(chosen))
    with sole_use(work), open_server(PROFILES[profile], work) as server:
        bench = Bench(server, PROFILES[profile], work, rounds, "compare")
        for peer, reason in bench.warm_up(peers):
            raise RuntimeError(f"{peer.name} cannot push and pull one file: {reason}")
        runs: list[Run] = []
        for scenario in chosen:
            bench.measure(scenario, peers, runs)
    facts = machine()
    python = library_versions()["python"]
    on = f"{facts['cpu']}, {facts['cores']} cores, {python}; {server.about}, {profile}, {rounds} rounds"
    return f"{comparison_table(summarize(runs), peers[0].name, peers[1].name)}\n\n{on}"


def _checked_out(commit: str) -> Ours:
    """A client that runs the sources of a commit, extracted into the cache."""
    if commit == WORKING_TREE:
        return Ours("working tree")
    name = _git("rev-parse", "--short=12", "--verify", f"{commit}^{{commit}}").decode().strip()
    folder = cache_folder() / "commits" / name
    if not (folder / "src").is_dir():
        shutil.rmtree(folder, ignore_errors=True)
        with tarfile.open(fileobj=BytesIO(_git("archive", "--format=tar", name, "src"))) as archive:
            archive.extractall(folder, filter="data")
    return Ours(name, Path(folder / "src"))


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=PROJECT, check=True, capture_output=True).stdout
