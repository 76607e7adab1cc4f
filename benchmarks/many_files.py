"""The cost of an id: python -m benchmarks.many_files [--files 200000] [--rounds 3]

Compares `snapdir id` with the reference (through oracle.py, beside s3sim) on many files of 2 KiB, in alternating runs
after a warm-up, and then on ten files, which shows the cost of starting. The time of the reference includes the start
of the two Pythons of oracle.py. The cache is empty each time, so every file is read.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

if not __package__:  # run by its path
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import trees
from benchmarks.measuring import Outcome, run
from benchmarks.peers import Command, Ours
from benchmarks.places import shared_folder, sole_use, work_folder
from benchmarks.summary import Spread
from benchmarks.tables import seconds, table

__all__ = ["main"]

KiB = 1 << 10
MiB = 1 << 20


@dataclass(frozen=True, slots=True)
class Series:
    """All rounds of one command on one tree."""

    name: str
    outcomes: tuple[Outcome, ...]

    @property
    def wall_seconds(self) -> float:
        """The median."""
        return median(outcome.wall_seconds for outcome in self.outcomes)

    def row(self) -> list[str]:
        """A row of the table."""
        wall = Spread.of([outcome.wall_seconds for outcome in self.outcomes])
        cpu = Spread.of([outcome.user_seconds + outcome.system_seconds for outcome in self.outcomes])
        rss = max(outcome.peak_rss_bytes for outcome in self.outcomes)
        return [self.name, seconds(wall), seconds(cpu), f"{rss / MiB:.0f}"]


def main() -> int:
    """Run, and return 1 if the ids differ."""
    parser = argparse.ArgumentParser(description="Compare snapdir id with the reference on many small files.")
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    many = trees.Tree(f"many-{arguments.files}", (trees.FileGroup("many", arguments.files, 2 * KiB, 2 * KiB),))
    few = trees.Tree("ten-files", (trees.FileGroup("few", 10, 2 * KiB, 2 * KiB),))
    work = work_folder(many.size)
    with sole_use(work):
        return _measure((many, few), work, arguments.rounds)


def _measure(sizes: Sequence[trees.Tree], work: Path, rounds: int) -> int:
    rows = []
    for tree in sizes:
        folder = trees.make(tree, work / "trees")
        series = _alternate(folder, tree.name, rounds, work)
        if len({outcome.stdout.strip() for each in series for outcome in each.outcomes}) != 1:
            print(f"the ids of {tree.name} differ", file=sys.stderr)
            return 1
        rows += [each.row() for each in series]
        if len(series) == 2:
            rows.append(
                [f"{tree.name}: ours / reference", f"{series[0].wall_seconds / series[1].wall_seconds:.2f}", "", ""]
            )
    print(table(("id of", "wall s", "CPU s", "RSS MiB"), rows))
    return 0


def _alternate(folder: Path, name: str, rounds: int, work: Path) -> list[Series]:
    """Runs of ours, and of the reference if the oracle exists; the first run of each is a warm-up."""
    cache = work / "caches" / "many-files"
    commands = {f"{name}: snapdir": Ours().id(folder, cache)}
    oracle = shared_folder() / "oracle.py"
    if oracle.is_file():
        commands[f"{name}: reference"] = Command((sys.executable, str(oracle), "id", str(folder)))
    else:
        print("no oracle beside the checkout: measuring ours alone", file=sys.stderr)
    environment = {
        variable: os.environ[variable]
        for variable in ("PATH", "HOME", "LANG", "SNAPDIR_ORACLE")
        if variable in os.environ
    }
    outcomes: dict[str, list[Outcome]] = {title: [] for title in commands}
    for number in range(rounds + 1):
        for title, command in commands.items():
            shutil.rmtree(cache, ignore_errors=True)
            outcome = run(command, environment)
            if outcome.returncode:
                raise SystemExit(f"{title}: exit {outcome.returncode}\n{outcome.stderr}")
            if number:
                outcomes[title].append(outcome)
    return [Series(title, tuple(each)) for title, each in outcomes.items()]


if __name__ == "__main__":
    sys.exit(main())
