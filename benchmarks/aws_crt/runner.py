"""Runs a workload: uploads are a push, downloads are a pull."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from benchmarks.aws_crt.figures import overall_lines, run_line
from benchmarks.aws_crt.workload import Task, Unsupported, Workload
from snapdir import Config, Counters, blocking

__all__ = ["Failed", "run_workload"]

MiB = 1 << 20
MEMORY = Path("/dev/shm")


class Failed(Exception):
    """A run did not do what the workload asks for."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a workload runs.

    Attributes:
        work: A folder for trees, destinations and caches, removed at the end.
        upload_url: Each run pushes to an empty place below it.
        download_url: The store with the snapshot of the downloads.
    """

    workload: Workload
    work: Path
    upload_url: str
    download_url: str

    @property
    def uploads(self) -> Path:
        """The tree that is pushed."""
        return self.work / "uploads"


def run_workload(workload: Workload, bucket: str, files: Path, *, ram: bool, say: Callable[[str], None]) -> None:
    """Repeat a workload as often as it asks for, and say its figures.

    Args:
        files: The directory with the files of the uploads, as the workloads' own script prepares them.
        ram: Keep files in memory even if the workload has them on disk.

    Raises:
        Unsupported: the files do not fit in memory.
        Failed: a file is missing or has another size, or a run moved other bytes than it should.
        SnapdirError: a transfer failed.
    """
    in_memory = ram or not workload.files_on_disk
    if in_memory:
        _require_memory(workload)
    with tempfile.TemporaryDirectory(prefix="snapdir-aws-crt.", dir=MEMORY if in_memory else files) as folder:
        place = _Place(
            workload,
            Path(folder),
            f"s3://{bucket}/upload/snapdir/{workload.name}/{uuid.uuid4().hex}",
            f"s3://{bucket}/download/snapdir/{workload.name}",
        )
        if workload.of("upload"):
            _gather(workload.of("upload"), place.uploads, None if in_memory else files)
        snapshot_id = _prepared_downloads(place)
        for line in overall_lines(_repeat(place, snapshot_id, say), workload.size):
            say(line)


def _repeat(place: _Place, snapshot_id: str, say: Callable[[str], None]) -> list[float]:
    durations: list[float] = []
    started = time.perf_counter()
    for number in range(1, max(1, place.workload.max_repeat_count) + 1):
        durations.append(_one_run(place, snapshot_id, number))
        say(run_line(number, durations[-1], place.workload.size))
        if time.perf_counter() - started >= place.workload.max_repeat_seconds:
            break
    return durations


def _one_run(place: _Place, snapshot_id: str, number: int) -> float:
    """Seconds of one run; what it wrote is removed afterwards."""
    with _fresh(place.work / f"run-{number}") as folder:
        works: list[Callable[[], None]] = []
        if place.uploads.is_dir():
            works.append(lambda: _push(place, f"{place.upload_url}/{number}", _config(folder / "upload-cache")))
        if snapshot_id:
            works.append(lambda: _pull(place, snapshot_id, folder / "files", _config(folder / "download-cache")))
        started = time.perf_counter()
        with ThreadPoolExecutor(len(works)) as pool:
            for done in [pool.submit(work) for work in works]:
                done.result()
        return time.perf_counter() - started


def _push(place: _Place, url: str, config: Config) -> None:
    counters = Counters()
    blocking.push(place.uploads, url, config=config, counters=counters)
    wanted = sum(task.size for task in place.workload.of("upload"))
    if counters.bytes_sent < wanted:
        raise Failed(
            f"{counters.bytes_sent} of {wanted} bytes were sent: files of equal content are sent once, so the workload "
            "needs files that differ"
        )


def _pull(place: _Place, snapshot_id: str, destination: Path, config: Config) -> None:
    report = blocking.pull(snapshot_id, place.download_url, destination, cache=False, config=config)
    wanted = place.workload.of("download")
    if (report.files, report.bytes) != (len(wanted), sum(task.size for task in wanted)):
        raise Failed(
            f"{place.download_url} has another workload's files: {report.files} files of {report.bytes} bytes; "
            "remove them and run again"
        )


def _config(cache: Path) -> Config:
    """The defaults, with an empty cache and no history on this machine."""
    return Config(cache_dir=cache)


def _prepared_downloads(place: _Place) -> str:
    """The id of the snapshot with the files of the downloads, which is pushed unless the store has it."""
    tasks = place.workload.of("download")
    if not tasks:
        return ""
    with _fresh(place.work / "prepared") as folder:
        config = _config(folder / "cache")
        wanted = sum(task.size for task in tasks)
        for summary in blocking.list_snapshots(place.download_url, config=config):
            if (summary.size.files, summary.size.logical_bytes) == (len(tasks), wanted):
                return summary.id
        print(f"preparing {len(tasks)} files of {wanted} bytes in the bucket", file=sys.stderr, flush=True)
        _gather(tasks, folder / "files", None)
        return blocking.push(folder / "files", place.download_url, config=config)


def _gather(tasks: Sequence[Task], tree: Path, files: Path | None) -> None:
    """A tree of exactly these files: hard links to those on disk, or new ones of seeded bytes."""
    for task in tasks:
        target = tree / task.key
        target.parent.mkdir(parents=True, exist_ok=True)
        if files is None:
            _write(target, task)
        else:
            _link(files / task.key, target, task.size)


def _link(file: Path, target: Path, size: int) -> None:
    try:
        found = file.stat().st_size
        os.link(file, target)
    except FileNotFoundError as error:
        raise Failed(f"{file} does not exist: make the files of the workload first (README.md)") from error
    if found != size:
        raise Failed(f"{file} has {found} bytes instead of {size}")


def _write(file: Path, task: Task) -> None:
    content = blake3(task.key.encode())
    with file.open("wb") as handle:
        for start in range(0, task.size, MiB):
            handle.write(content.digest(length=min(MiB, task.size - start), seek=start))


def _require_memory(workload: Workload) -> None:
    """Uploads lie in memory, and so does what a run downloads."""
    free = shutil.disk_usage(MEMORY).free if MEMORY.is_dir() else 0
    if free < workload.size:
        raise Unsupported(f"{workload.name} needs {workload.size} bytes of memory in {MEMORY}; {free} are free")


@contextmanager
def _fresh(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
