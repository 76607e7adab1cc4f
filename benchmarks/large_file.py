"""Push and pull one very large file: python -m benchmarks.large_file [--size 5.5GiB] [--sparse]

The server is `rclone serve s3`. Prints wall time, CPU and peak memory of both, and fails if the pulled file has another
id or if memory exceeds 300 MiB.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if not __package__:  # run by its path
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from blake3 import blake3

from benchmarks.measuring import Outcome, run
from benchmarks.peers import Command, Job, Ours
from benchmarks.tables import table
from benchmarks.tree_comparison import first_difference

__all__ = ["main", "write_file"]

MiB = 1 << 20
GiB = 1 << 30
CEILING_BYTES = 300 * MiB
SIZE_BYTES = 5 * GiB + GiB // 2
# Without this, rclone hashes the whole file for each response, and a pull in parts takes hours.
NO_ETAG_HASH = ("--etag-hash", "")
_BLOCK_BYTES = MiB
_SPARSE_EVERY_BYTES = 64 * MiB
_TIMEOUT_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Step:
    """One command and its measurements."""

    name: str
    outcome: Outcome

    def row(self, size: int) -> list[str]:
        """A row of the table."""
        outcome = self.outcome
        cpu = outcome.user_seconds + outcome.system_seconds
        speed = f"{size / MiB / outcome.wall_seconds:.0f}"
        rss = f"{outcome.peak_rss_bytes / MiB:.0f}"
        return [self.name, f"{outcome.wall_seconds:.2f}", speed, f"{cpu:.2f}", f"{cpu / (size / GiB):.2f}", rss]


def write_file(file: Path, size: int, *, sparse: bool) -> None:
    """Write seeded bytes; with ``sparse``, one MiB out of 64 and the last byte, with holes between."""
    content = blake3(b"one large file")
    with file.open("wb") as handle:
        handle.truncate(size)
        for start in range(0, size, _SPARSE_EVERY_BYTES if sparse else _BLOCK_BYTES):
            handle.seek(start)
            handle.write(content.digest(length=min(_BLOCK_BYTES, size - start), seek=start))
        if sparse and size:
            handle.seek(size - 1)
            handle.write(b"\x01")


def main() -> int:
    """Run, and return 1 if the pulled file differs or memory exceeds the ceiling."""
    arguments = _parser().parse_args()
    parent = Path(arguments.folder or os.environ.get("SNAPDIR_BENCH_DIR") or tempfile.gettempdir())
    with tempfile.TemporaryDirectory(prefix="snapdir-large.", dir=parent) as folder:
        return _measure(Path(folder), arguments.size, sparse=arguments.sparse)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Push and pull one very large file through rclone serve s3.")
    parser.add_argument("--size", type=_size, default=SIZE_BYTES, metavar="SIZE", help="default: 5.5GiB")
    parser.add_argument("--sparse", action="store_true", help="a file that is mostly holes: faster to create")
    parser.add_argument("--folder", metavar="DIR", help="needs three times the size (default: the temporary directory)")
    return parser


def _size(text: str) -> int:
    units = {"GiB": GiB, "MiB": MiB, "KiB": 1 << 10}
    for unit, factor in units.items():
        if text.endswith(unit):
            return int(float(text.removesuffix(unit)) * factor)
    return int(text)


def _measure(folder: Path, size: int, *, sparse: bool) -> int:
    tree = folder / "tree"
    tree.mkdir()
    print(f"writing {size / GiB:.2f} GiB{', sparse' if sparse else ''}", file=sys.stderr, flush=True)
    write_file(tree / "large.bin", size, sparse=sparse)
    with _served(folder / "served") as (job_endpoint, keys):
        steps, wrong = _both_ways(folder, tree, job_endpoint, keys)
    print(table(("step", "wall s", "MiB/s", "CPU s", "CPU s/GiB", "RSS MiB"), [step.row(size) for step in steps]))
    for step in steps:
        if step.outcome.peak_rss_bytes > CEILING_BYTES:
            wrong.append(f"{step.name}: {step.outcome.peak_rss_bytes / MiB:.0f} MiB, {CEILING_BYTES // MiB} allowed")
    for complaint in wrong:
        print(complaint, file=sys.stderr)
    return 1 if wrong else 0


@contextmanager
def _served(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """An endpoint with a bucket ``bench``, and its keys."""
    # Not an import statement: scripts is not a package, so mypy would see the file under two names.
    serving: Any = importlib.import_module("scripts.serve_s3")
    with serving.RcloneServer(folder, bucket="bench", arguments=NO_ETAG_HASH) as server:
        yield server.endpoint, {name: value for name, value in server.environment.items() if name.startswith("AWS_")}


def _both_ways(folder: Path, tree: Path, endpoint: str, keys: dict[str, str]) -> tuple[list[Step], list[str]]:
    """Push, then pull: the measurements, and what went wrong."""
    ours = Ours()
    base = Job(endpoint, "bench", "large", tree, folder / "pulled", folder / "cache")
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ} | keys
    pushed = Step("push", _must(ours.push(base), environment))
    snapshot_id = pushed.outcome.stdout.strip()
    job = Job(endpoint, "bench", "large", tree, folder / "pulled", folder / "cache", snapshot_id=snapshot_id)
    job.destination.mkdir()
    pulled = Step("pull", _must(ours.pull(job), environment))
    got = _must(ours.id(job.destination, folder / "cache"), environment).stdout.strip()
    wrong = [] if got == snapshot_id else [f"pushed {snapshot_id}, pulled {got}"]
    difference = first_difference(tree, job.destination)
    if difference:
        wrong.append(difference)
    shutil.rmtree(job.destination)
    return [pushed, pulled], wrong


def _must(command: Command, environment: dict[str, str]) -> Outcome:
    outcome = run(command, environment, timeout_seconds=_TIMEOUT_SECONDS)
    if outcome.returncode:
        raise SystemExit(f"{' '.join(command.argv)}: exit {outcome.returncode}\n{outcome.stderr}")
    return outcome


if __name__ == "__main__":
    sys.exit(main())
