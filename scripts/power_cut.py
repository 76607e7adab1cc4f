"""Cut the power of a disk during every verb that writes, and look for lost or wrong data.

    python scripts/power_cut.py [--moments 20] [--only NAME ...] [--folder DIRECTORY]

The disk is an ext4 image on a loop device, mounted so that names reach it long before their bytes. A verb works on it
and is stopped before one of its changes. The image is copied as it is, and again after a commit of the journal, which
the fsync
of another program may cause at any time. Each copy is mounted and checked:

- every object, manifest and record with a final name is right, and every manifest has its objects;
- everything from before is there and, if the verb exited with 0, its result;
- the same holds after the same command has run again, which must exit with 0.

Exits with 1 if a check fails. Needs root, loop devices and mkfs.ext4; otherwise it prints one line and exits with 0.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from power_cut_cases import CASES, Case, Material, below, faults_of, make_pack, snapdir

from snapdir.model.keys import manifest_key
from snapdir.model.sizes import MIB

IMAGE_MIB = 96
SMALL_FILES = 40
SMALL_BYTES = 3000
LARGE_BYTES = (MIB + MIB // 2, 17 * MIB + 1)
"""One sent whole, one in parts."""
HARSH = "loop,commit=1,data=writeback,noauto_da_alloc"
HARSHER = f"{HARSH},nodelalloc"
"""Blocks are allocated at the write, so the length of a file reaches the disk before its bytes."""
CHANGES = frozenset({"os.rename", "os.link", "os.truncate", "os.mkdir", "os.remove"})
MOST_COPIES = 20
MEMORY_MIB = 1024


# Stopping processes and copying disks


def forked(work: Callable[[], int], output: Path, *, stop_before: int = 0) -> int:
    """Start ``work`` in a child process, which stops itself before its change number ``stop_before``.

    It has a new cache unless it sets another. ``output`` gets its output and, in the last line, the number of its
    changes.
    """
    if child := os.fork():
        return child
    code = 1
    try:
        os.environ["SNAPDIR_CACHE_DIR"] = tempfile.mkdtemp(dir=output.parent)
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        changes = 0

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal changes
            if event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT):
                changes += 1
                if changes == stop_before:
                    os.kill(os.getpid(), signal.SIGSTOP)

        sys.addaudithook(count)
        code = work()
        os.write(1, f"\n{changes}".encode())
    except BaseException as error:  # the parent reports it
        os.write(2, f"{type(error).__name__}: {error}".encode())
    finally:
        os._exit(code)


def ended(child: int) -> int | None:
    """The exit code of a process, or None if it has stopped."""
    _, status = os.waitpid(child, os.WUNTRACED)
    return None if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status)


@contextmanager
def mounted(image: Path, options: str = HARSH) -> Iterator[Path]:
    point = image.with_suffix(".mounted")
    point.mkdir()
    try:
        subprocess.run(["mount", "-o", options, image, point], check=True)
        try:
            yield point
        finally:
            if subprocess.run(["umount", point], check=False).returncode:
                subprocess.run(["umount", "--lazy", point], check=True)
    finally:
        point.rmdir()


def copied(image: Path, copy: Path) -> Path:
    """A consistent copy of a disk: copied again if it changed meanwhile."""
    for _ in range(MOST_COPIES):
        before = image.stat().st_mtime_ns
        subprocess.run(["cp", image, copy], check=True)
        again = subprocess.run(["cmp", "--silent", image, copy], check=False).returncode == 0
        if again and image.stat().st_mtime_ns == before:
            return copy
    raise SystemExit(f"{image} keeps changing")


def commit_journal(point: Path) -> None:
    """Commit the journal, as an fsync of another program does: names are on disk then, bytes may not be."""
    with (point / "another-program").open("w") as file:
        file.write("something")
        file.flush()
        os.fsync(file.fileno())


class PowerCut:
    """Runs one case repeatedly on copies of one disk."""

    def __init__(self, case: Case, material: Material, folder: Path) -> None:
        self._case = case
        self._material = material
        self._folder = folder
        self._base = folder / "base"
        self._output = folder / "output"
        self.images = 0

    def run(self, moments: int) -> list[str]:
        """All faults found."""
        self._make_base()
        changes = self._count_changes()
        found = []
        for number in range(moments):
            stop = (number + 1) * changes // moments if number < moments - 1 else 0
            where = (
                f"{self._case.name}, before change {stop} of {changes}" if stop else f"{self._case.name}, at its end"
            )
            options = HARSH if number % 2 else HARSHER
            found += [f"{where}: {fault}" for fault in self._cut(stop, options)]
        return found

    def _make_base(self) -> None:
        with self._base.open("wb") as file:
            file.truncate(IMAGE_MIB * MIB)
        subprocess.run(["mkfs.ext4", "-q", "-F", self._base], check=True)
        with mounted(self._base) as point:
            self._finish(partial(self._prepare, point))

    def _prepare(self, point: Path) -> int:
        self._case.prepare(self._material, point)
        return 0

    def _count_changes(self) -> int:
        with mounted(copied(self._base, self._folder / "count")) as point:
            return self._finish(lambda: self._case.command(self._material, point))

    def _finish(self, work: Callable[[], int]) -> int:
        """Run ``work``, which must succeed, and return the number of its changes."""
        code = ended(forked(work, self._output))
        printed = self._output.read_text()
        if code:
            raise SystemExit(f"{self._case.name}: {printed}")
        return int(printed.rsplit("\n", 1)[1])

    def _cut(self, stop: int, options: str) -> Iterator[str]:
        disk = copied(self._base, self._folder / "disk")
        images = {}
        code: int | None = None
        with mounted(disk, options) as point:
            child = forked(partial(self._case.command, self._material, point), self._output, stop_before=stop)
            try:
                code = ended(child)
                images["as it was"] = copied(disk, self._folder / "now")
                commit_journal(point)
                images["after a commit of the journal"] = copied(disk, self._folder / "committed")
            finally:
                if code is None:
                    os.kill(child, signal.SIGKILL)
                    ended(child)
        if code:
            yield f"exit code {code}: {self._output.read_text()}"
        for moment, image in images.items():
            self.images += 1
            with mounted(image) as point:
                yield from (f"{moment}: {fault}" for fault in self._look(point, acknowledged=code == 0))
                code_again = ended(forked(partial(self._case.command, self._material, point), self._output))
                if code_again:
                    yield f"{moment}: again: exit code {code_again}: {self._output.read_text()}"
                yield from (f"{moment}: again: {fault}" for fault in self._look(point, acknowledged=True))

    def _look(self, point: Path, *, acknowledged: bool) -> list[str]:
        material = self._material
        complete = (material.earlier,) if self._case.is_broken and not acknowledged else None
        missing = self._case.missing(material, point) if acknowledged else []
        earlier = manifest_key(material.earlier)
        if self._case.store != "out" and not (point / self._case.store / earlier).exists():
            missing.append("the manifest of the earlier snapshot is missing")
        return faults_of(point / self._case.store, complete) + missing


def make_material(folder: Path) -> Material:
    draw = random.Random(7)
    material = Material(folder, "", "")
    for tree in material.trees:
        tree.mkdir()
    for number in range(SMALL_FILES):
        old = draw.randbytes(SMALL_BYTES)
        (folder / "earlier" / f"old-{number}").write_bytes(old)
        (folder / "later" / f"old-{number}").write_bytes(old)
        (folder / "later" / f"new-{number}").write_bytes(draw.randbytes(SMALL_BYTES))
    for number, size in enumerate(LARGE_BYTES):
        (folder / "later" / f"large-{number}").write_bytes(draw.randbytes(size))
    work = folder / "output"
    for tree in material.trees:
        code = ended(forked(partial(snapdir, "push", "--store", material.store, tree), work))
        if code:
            raise SystemExit(work.read_text())
    ids = {}
    for manifest in below(material.store / ".manifests"):
        ids[manifest.stat().st_size] = "".join(manifest.relative_to(material.store / ".manifests").parts)
    material = Material(folder, ids[min(ids)], ids[max(ids)])
    ended(forked(partial(make_pack, material), work))
    return material


def why_not() -> str:
    """Why no disk can be created here; empty if it can."""
    if os.geteuid() != 0:
        return "it needs root"
    for program in ("mkfs.ext4", "mount"):
        if shutil.which(program) is None:
            return f"it needs {program}"
    with tempfile.TemporaryDirectory(prefix="snapdir-power.") as name:
        image = Path(name, "image")
        with image.open("wb") as file:
            file.truncate(8 * MIB)
        try:
            subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
            subprocess.run(["mount", "-o", "loop", image, name], check=True, capture_output=True)
        except subprocess.CalledProcessError as error:
            return f"it needs loop devices: {error.stderr.decode(errors='replace').strip()}"
        subprocess.run(["umount", name], check=True)
    return ""


def roomy_folder() -> Path | None:
    """A folder in memory, if there is space, for fast copies of disks."""
    memory = Path("/dev/shm")  # a temporary directory is created in it
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > MEMORY_MIB * MIB else None


def cut_power(cases: Sequence[Case], moments: int, parent: Path | None = None) -> list[str]:
    """Run ``cases`` with ``moments`` each, print a line for each, and return the faults."""
    found = []
    with tempfile.TemporaryDirectory(prefix="snapdir-power.", dir=parent or roomy_folder()) as name:
        home = Path(name)
        os.environ |= {"SNAPDIR_NO_PROGRESS": "1"}
        (home / "material").mkdir()
        material = make_material(home / "material")
        for case in cases:
            folder = home / "work"
            folder.mkdir()
            began = time.monotonic()
            power = PowerCut(case, material, folder)
            faults = power.run(moments)
            seconds = time.monotonic() - began
            print(
                f"{case.name}: {moments} moments, {power.images} images, {len(faults)} faults, {seconds:.0f} s",
                flush=True,
            )
            for fault in faults:
                print(f"  {fault}", flush=True)
            found += faults
            shutil.rmtree(folder)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Cut the power of a disk during every verb that writes.")
    parser.add_argument("--moments", type=int, default=20, help="moments for each verb; the last is its end")
    parser.add_argument("--only", nargs="+", choices=[case.name for case in CASES], help="these verbs")
    parser.add_argument("--folder", type=Path, help="folder for the images; default: in memory, if there is space")
    options = parser.parse_args()
    if reason := why_not():
        print(f"skipped: {reason}")
        return 0
    cases = [case for case in CASES if not options.only or case.name in options.only]
    return 1 if cut_power(cases, max(1, options.moments), options.folder) else 0


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
