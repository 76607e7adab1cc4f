"""Files of a snapshot, as bytes: cat."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import anyio.to_thread

from snapdir.api.resolve import parse_ref
from snapdir.api.snapshots import Snapshot, SnapshotFile, open_snapshot
from snapdir.api.stores import PathLike, local_path
from snapdir.config import Config
from snapdir.errors import CorruptObject, InFluxError, InvalidStore, SnapdirError
from snapdir.model.arguments import checked
from snapdir.model.byte_range import ByteRange
from snapdir.model.sizes import MIB

if TYPE_CHECKING:
    from snapdir.transfer.download.reading import Verify
    from snapdir.transfer.engine.events import Counters

BLOCK_BYTES = 4 * MIB
WHOLE = ByteRange()

Send = Callable[[bytes], Awaitable[object]]


@checked
async def cat(
    ref: PathLike,
    *paths: str,
    store: PathLike | None = None,
    objects_store: PathLike | None = None,
    range: str | None = None,
    output: PathLike | None = None,
    verify: Verify = "before",
    config: Config | None = None,
    counters: Counters | None = None,
) -> bytes:
    """The bytes of files of a snapshot, one after the other.

    ::

        header = await snapdir.cat("s3://bucket/sets@1a2b3c4d", "train/header.json")

    All of it is held in memory. To read a large file in pieces, use ``open_snapshot``.

    Args:
        ref: ``STORE@ID``, or an id: of ``store``, or of the cache.
        paths: Paths in the snapshot, as ``a/b`` or ``./a/b``.
        objects_store: The pool that holds the objects, if the store does not.
        range: Part of each file: ``0-99`` (the first 100 bytes), ``100-`` or ``-100`` (the last 100).
        output: Write to this file instead, and return nothing. It is replaced when all bytes are there.
        verify: When the bytes are verified; see ``Snapshot.open``.

    Raises:
        PathNotFound: the snapshot has no such file, or it is a directory; nothing was read.
        CorruptObject, ObjectNotFound: the store has other bytes, or none.
        InvalidOption: an invalid range.
        ManifestNotFound: the snapshot does not exist.
        SnapdirError: ``ref`` is a store without an id, or a directory; the range begins after the end of a file.
    Cost: with ``before`` and ``after`` the whole file is fetched, also for a range.
    """
    config = config or Config()
    send = partial(
        send_files,
        ref,
        paths,
        store=store,
        objects_store=objects_store,
        range=range,
        verify=verify,
        config=config,
        counters=counters,
    )
    if output is None:
        blocks: list[bytes] = []

        async def keep(block: bytes) -> None:
            blocks.append(block)

        await send(keep)
        return b"".join(blocks)
    from snapdir.disk.async_files import replacing

    async with replacing(local_path(output), fsync=config.stores.fsync) as file:
        await send(file.write)
    return b""


async def send_files(
    ref: PathLike,
    paths: Sequence[str],
    send: Send,
    *,
    store: PathLike | None = None,
    objects_store: PathLike | None = None,
    range: str | None = None,
    verify: Verify = "before",
    config: Config | None = None,
    counters: Counters | None = None,
) -> None:
    """``cat``, block by block. ``send`` gets no byte before all paths are known to be files, and with ``before`` none
    of a file before all of that file is verified.

    Raises:
        CorruptObject: with ``after``, a note says that bytes may have been sent before they proved wrong.
        InFluxError: an object of a local store became shorter after it was verified.
    """
    part = WHOLE if range is None else ByteRange.parse(range)
    parsed = await anyio.to_thread.run_sync(parse_ref, ref)
    if parsed.directory is not None:
        raise SnapdirError(f"{ref} is a directory: cat reads files of a snapshot")
    if parsed.snapshot_id is None:
        raise InvalidStore(f"{ref} is a store: name one of its snapshots, {ref}@ID")
    origin = store if parsed.store is None else str(parsed.store)
    opening = open_snapshot(parsed.snapshot_id, origin, objects_store=objects_store, config=config, counters=counters)
    async with await opening as snapshot:
        for path in paths:
            snapshot.entry(path)
        for path in paths:
            await _send_file(snapshot, path, send, part, verify)


async def _send_file(snapshot: Snapshot, path: str, send: Send, part: ByteRange, verify: Verify) -> None:
    async with await snapshot.open(path, verify=verify) as file:
        await file.read(0)  # with ``before`` it is fetched now, and its size is certain
        start, stop = part.within(file.size, path)
        if verify != "after":
            file.seek(start)
            while start < stop:
                block = await file.read(min(BLOCK_BYTES, stop - start))
                if not block:  # the object of a local store was cut after it had been verified
                    raise InFluxError(path)
                await send(block)
                start += len(block)
            return
        try:
            await _send_unverified(file, send, start, stop)
        except CorruptObject as error:
            error.add_note(f"bytes of {path} may have been given out before they proved wrong")
            raise


async def _send_unverified(file: SnapshotFile, send: Send, start: int, stop: int) -> None:
    """Read all of a file, because only its end proves it right, and send a part."""
    position = 0
    while block := await file.read(BLOCK_BYTES):
        wanted = block[max(0, start - position) : max(0, stop - position)]
        position += len(block)
        if wanted:
            await send(wanted)
