"""Heal a store from a directory that still has the bytes."""

from __future__ import annotations

import os

import anyio
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

__all__ = ["repair"]


async def repair(
    snapshot_id: Digest,
    source: Repository,
    directory: str | os.PathLike[str],
    *,
    limits: Limits,
    counters: Counters,
) -> int:
    """Verify a snapshot, and send every object that is missing or wrong again from a file of ``directory``.

    Returns:
        Objects sent.

    Raises:
        TransferFailed: the damage that no file of ``directory`` can mend; what could be mended was.
    """
    manifest = await source.read_manifest(snapshot_id)
    damage = await find_damage(plan_objects(manifest), source, limits=limits, counters=counters)
    if not damage:
        await source.flush()  # what an earlier run has sent, and was killed
        return 0
    wanted = {one.digest for one, _ in damage}
    files = await anyio.to_thread.run_sync(_find_files, directory, wanted)
    uploader = Uploader(source, limits, counters, Presence(source), recheck=True)
    for digest, file in files.items():
        if (await uploader.push_large(file, set())).checksum != digest:
            raise InFluxError(file.file)
    await source.flush()
    unmended = [error for one, error in damage if one.digest not in files]
    if unmended:
        raise TransferFailed(f"no file of {os.fspath(directory)} can mend all of {snapshot_id}", unmended)
    return len(files)


def _find_files(directory: str | os.PathLike[str], wanted: set[Digest]) -> dict[str, SourceFile]:
    """A file for each wanted digest that some file of the tree has. Files that cannot be read are passed over."""
    found: dict[str, SourceFile] = {}
    for file in Walk(directory):
        try:
            checksum = hash_large_file(file, on_bytes=lambda _: check_cancelled(), open_file=open_file).checksum
        except SnapdirError:
            continue
        if checksum in wanted:
            found[checksum] = file
    return found
