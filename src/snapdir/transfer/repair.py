"""Repair a store from a directory that has files of the same content."""

from __future__ import annotations

import os

import anyio.to_thread

from snapdir.disk.long_paths import open_file
from snapdir.disk.walk import Walk
from snapdir.errors import InFluxError, SnapdirError, TransferFailed
from snapdir.hashing.files import hash_large_file
from snapdir.model.digest import Digest
from snapdir.model.source import SourceFile
from snapdir.repository.presence import Presence
from snapdir.repository.repository import Repository
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.interruption import check_cancelled
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.plan import plan_objects
from snapdir.transfer.upload.objects import Uploader
from snapdir.transfer.verify import find_damage


async def repair(
    snapshot_id: Digest,
    source: Repository,
    directory: str | os.PathLike[str],
    *,
    limits: Limits,
    counters: Counters,
) -> None:
    """Verify a snapshot, and send every object that is missing or wrong again from a file of ``directory``.

    Raises:
        TransferFailed: damage that no file of ``directory`` can repair; all other damage was repaired.
    """
    manifest = await source.read_manifest(snapshot_id)
    damage = await find_damage(plan_objects(manifest), source, limits=limits, counters=counters)
    if not damage:
        await source.flush()  # objects that a killed run has sent
        return
    damaged = {planned.digest for planned, _ in damage}
    files = await anyio.to_thread.run_sync(_find_files, directory, damaged)
    uploader = Uploader(source, limits, counters, Presence(source), recheck=True)
    for digest, file in files.items():
        if (await uploader.push_large(file, set())).checksum != digest:
            raise InFluxError(file.file)
    await source.flush()
    unmended = [error for planned, error in damage if planned.digest not in files]
    if unmended:
        raise TransferFailed(f"{os.fspath(directory)} lacks content to repair {snapshot_id}", unmended)


def _find_files(directory: str | os.PathLike[str], damaged: set[Digest]) -> dict[str, SourceFile]:
    """A file for each damaged digest that some file of the tree has. Files that cannot be read are passed over."""
    files: dict[str, SourceFile] = {}
    for file in Walk(directory):
        try:
            checksum = hash_large_file(file, on_bytes=lambda _: check_cancelled(), open_file=open_file).checksum
        except SnapdirError:
            continue
        if checksum in damaged:
            files[checksum] = file
    return files
