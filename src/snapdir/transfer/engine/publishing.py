"""Publish a snapshot whose objects are all stored, and warn if its manifest was damaged."""

from __future__ import annotations

from snapdir.model.digest import SnapshotId
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Repository
from snapdir.transfer.engine.events import Counters


async def publish(
    to: Repository, manifest: Manifest, identifier: SnapshotId, counters: Counters, *, replace: bool = False
) -> None:
    """``to.write_manifest``, with a warning in ``counters`` if that replaced a damaged one."""
    if await to.write_manifest(manifest, identifier, replace=replace):
        counters.warnings.append(
            f"the manifest of {identifier} in {to.url} was damaged and was written again;"
            " `snapdir verify` checks the objects"
        )
