"""Transfers to and from another snapdir through a pipe: objects_needed, send_pack, receive_pack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from snapdir.api.resolve import full_id
from snapdir.api.stores import PathLike, journal_of, opened, parse_stores, require_in_process
from snapdir.config import Config
from snapdir.model.arguments import checked
from snapdir.model.digest import Digest, SnapshotId
from snapdir.transfer.engine.events import Counters

if TYPE_CHECKING:
    from snapdir.transfer.packs.receive import ReceivedPack
    from snapdir.transfer.packs.streams import Read, Write


@checked
async def objects_needed(
    digests: Sequence[str], store: PathLike, *, objects_store: PathLike | None = None, config: Config | None = None
) -> list[str]:
    """The digests that the store lacks, without repeats, in their order."""
    from snapdir.transfer.engine.absence import absent_objects

    config = config or Config()
    needed = list(dict.fromkeys(map(Digest, digests)))
    stores = await parse_stores(store, objects_store, verb="sync")
    require_in_process(stores)
    async with opened(stores, config) as repository:
        return list(map(str, await absent_objects(needed, repository, limits=config.limits)))


@checked
async def send_pack(
    digests: Sequence[str],
    store: PathLike,
    write: Write,
    *,
    manifest_id: str | None = None,
    compressed: bool = False,
    objects_store: PathLike | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
) -> None:
    """Write objects of a store, and then a manifest, as one pack. ``transfer.packs.send`` lists its promises.

    Args:
        write: Called with the bytes, in a thread.
    """
    from snapdir.transfer.packs.send import send_pack as send

    config = config or Config()
    stores = await parse_stores(store, objects_store, verb="sync")
    require_in_process(stores)
    async with opened(stores, config, counters) as source:
        await send(
            list(dict.fromkeys(map(Digest, digests))),
            source,
            write,
            manifest_id=None if manifest_id is None else await full_id(manifest_id, config, source, counters=counters),
            compressed=compressed,
            limits=config.limits,
            counters=counters or Counters(),
        )


@checked
async def receive_pack(
    read: Read,
    store: PathLike,
    *,
    require_manifest: str | None = None,
    objects_store: PathLike | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
) -> ReceivedPack:
    """Store the objects and the manifest of a pack. ``transfer.packs.receive`` lists its promises.

    Args:
        read: Called for the next bytes, in a thread; none at the end.
    """
    from snapdir.transfer.packs.receive import receive_pack as receive

    config = config or Config()
    required = None if require_manifest is None else SnapshotId(require_manifest)
    stores = await parse_stores(store, objects_store, verb="sync")
    require_in_process(stores)
    async with opened(stores, config, counters) as to:
        return await receive(
            read,
            to,
            required=required,
            limits=config.limits,
            counters=counters or Counters(),
            journal=journal_of(to, config),
        )
