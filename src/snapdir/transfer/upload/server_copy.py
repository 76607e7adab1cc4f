"""Objects copied by the service that holds both repositories: their bytes do not pass through this host."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from snapdir.errors import ObjectNotFound, SnapdirError, StoreError, TransferFailed, ungrouped
from snapdir.model.digest import Digest
from snapdir.model.keys import object_key
from snapdir.model.sizes import MIB
from snapdir.repository.repository import Repository
from snapdir.stores.base import Upload
from snapdir.stores.workers import run_workers
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.parts import Part, part_size, parts_of
from snapdir.transfer.upload.noted_uploads import NotedUploads

PART_BYTES = 256 * MIB
PARTS_AT_ONCE = 8


class ServerCopy:
    """Copies objects of one service from ``source`` to ``target``.

    Only the length of a copy is checked, so damage of equal length is copied too. The first copy that fails ends copies
    of its kind (whole or in parts), with one warning.
    """

    def __init__(self, source: Repository, target: Repository, uploads: NotedUploads, counters: Counters) -> None:
        there, here = source.objects.capabilities, target.objects.capabilities
        offered = bool(here.copy_service) and here.copy_service == there.copy_service
        self._source_prefix = there.copy_prefix
        self._whole_bytes = here.max_copy_bytes
        self._source = source
        self._target = target
        self._uploads = uploads
        self._counters = counters
        self._has_warned = False
        self._offers: dict[Callable[..., object], bool] = {self._copy_whole: offered, self._copy_parts: offered}

    async def copy(self, digest: Digest, size: int) -> bool:
        """Whether the service has copied the object. Otherwise no object of another length is left.

        Cost: three requests, more for an object of more than ``capabilities.max_copy_bytes``; none once the service has
            refused or failed.
        """
        way = self._copy_whole if size <= self._whole_bytes else self._copy_parts
        if not self._offers[way] or await self._source.object_size(digest) != size:
            return False
        try:
            await way(digest, size)
        except ObjectNotFound:
            return False
        except (StoreError, TransferFailed) as error:
            self._give_up(way, error)
        else:
            if await self._target.object_size(digest) == size:
                return True
        await self._take_back(digest, size)
        return False

    def _give_up(self, way: Callable[..., object], error: SnapdirError) -> None:
        if self._offers[way] and not self._has_warned:
            self._has_warned = True
            reason = str(error).removeprefix(StoreError.prefix)
            self._counters.warnings.append(
                f"the service cannot copy to {self._target.url}; objects are read and sent instead: {reason}"
            )
        self._offers[way] = False

    async def _copy_whole(self, digest: Digest, _size: int) -> None:
        key = object_key(digest)
        with self._counters.store_at_work():
            await self._target.objects.copy_from(key, self._source_prefix + key)

    async def _copy_parts(self, digest: Digest, size: int) -> None:
        part_bytes = part_size(size, min(PART_BYTES, self._whole_bytes), self._target.objects.capabilities)
        async with self._uploads.begin(digest, size=size, part_bytes=part_bytes) as upload:
            copy_part = partial(self._copy_part, upload, self._source_prefix + object_key(digest))
            parts = parts_of(size, part_bytes)
            await copy_part(next(parts))  # alone: a service that refuses gets one request
            with ungrouped(f"copy {digest}"):
                await run_workers(parts, copy_part, workers=PARTS_AT_ONCE)

    async def _copy_part(self, upload: Upload, source: str, part: Part) -> None:
        with self._counters.store_at_work():
            await upload.copy_part(part.number, source, start=part.offset, length=part.length)

    async def _take_back(self, digest: Digest, size: int) -> None:
        """Remove an object of another length, such as the empty one that some services make of a copy request.

        An object of the right length stays: another program may have sent it, and rely on it. If the removal fails, the
        bytes that are sent replace the object.
        """
        with suppress(StoreError):
            if await self._target.object_size(digest) not in (None, size):
                await self._target.delete_object(digest)
