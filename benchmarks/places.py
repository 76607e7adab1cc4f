"""Folders of the benchmarks: trees and destinations in memory if they fit, clients in a cache."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["PROJECT", "cache_folder", "filesystem", "on_tmpfs", "shared_folder", "sole_use", "work_folder"]

PROJECT = Path(__file__).resolve().parents[1]
_MEMORY = Path("/dev/shm")


def work_folder(needed_bytes: int, *, on: str = "") -> Path:
    """A folder below ``on``, else ``$SNAPDIR_BENCH_DIR``, else in /dev/shm if ``needed_bytes`` fit twice, else in the
    temporary directory.

    Twice, because a pull makes a copy. The folder is kept, so that trees are made only once.
    """
    chosen = os.path.join(on, "snapdir-bench") if on else os.environ.get("SNAPDIR_BENCH_DIR")
    if chosen:
        folder = Path(chosen).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    name = f"snapdir-bench-{os.getuid()}"
    made = _MEMORY / name
    # An existing folder already holds its trees.
    roomy = _MEMORY.is_dir() and (made.is_dir() or shutil.disk_usage(_MEMORY).free > 2 * needed_bytes)
    folder = made if roomy else Path(tempfile.gettempdir()) / name
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user; set SNAPDIR_BENCH_DIR to another folder")
    return folder


@contextmanager
def sole_use(folder: Path) -> Iterator[None]:
    """Lock ``folder``: two sessions would remove each other's files.

    Raises:
        BlockingIOError: another session holds the lock.
    """
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError("another session is measuring; wait for it, or set SNAPDIR_BENCH_DIR") from error
        yield


def on_tmpfs(folder: Path) -> bool:
    """Whether a folder is in memory."""
    return filesystem(folder) in ("tmpfs", "ramfs")


def filesystem(folder: Path) -> str:
    """The type of the filesystem of a folder."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    # Of mounts at one place, the last is seen.
    _, kind = max(
        (fields[1:3] for fields in reversed(mounts) if folder.is_relative_to(fields[1])),
        key=lambda fields: len(fields[0]),
        default=("", "unknown"),
    )
    return kind


def cache_folder() -> Path:
    """``$SNAPDIR_BENCH_CACHE``, default ~/.cache/snapdir-bench: installed clients and the built server."""
    folder = Path(os.environ.get("SNAPDIR_BENCH_CACHE") or Path.home() / ".cache" / "snapdir-bench")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()


def shared_folder() -> Path:
    """``$SNAPDIR_SHARED``, default beside the checkout: the source of s3sim, and the oracle."""
    return Path(os.environ.get("SNAPDIR_SHARED") or PROJECT.parent / "shared").absolute()
