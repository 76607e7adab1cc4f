"""Objects copied by the service that holds both repositories: their bytes do not pass through here."""

from __future__ import annotations

from functools import partial

from snapdir.errors import AccessDenied, ObjectNotFound, StoreRefused
from snapdir.model.digest import Digest
from snapdir.model.keys import object_key
from snapdir.model.sizes import MIB
from snapdir.repository.repository import Repository
from snapdir.stores.base import Upload
from snapdir.transfer.noted_uploads import NotedUploads
from snapdir.transfer.parts import Part, part_size, parts_of
from snapdir.transfer.stages import run_workers

__all__ = ["ServerCopy"]

PART_BYTES = 256 * MIB
PARTS_AT_ONCE = 8


class ServerCopy:
    """Copies objects of one service from ``source`` to ``target``.

    A copy is believed as far as its length: nobody here sees the bytes, so damage of equal length is copied too.
    """

    def __init__(self, source: Repository, target: Repository, uploads: NotedUploads) -> None:
        there, here = source.objects.capabilities, target.objects.capabilities
        offered = bool(here.copy_service) and here.copy_service == there.copy_service
        self._place = there.copy_place
        self._whole_bytes = here.max_copy_bytes
        self._source = source
        self._target = target
        self._uploads = uploads
        self._offers = {self._copy_whole: offered, self._copy_parts: offered}

    async def copy(self, digest: Digest, size: int) -> bool:
        """Whether the service has copied the object; otherwise nothing of it is left, and its bytes have to be sent.

        Cost: three requests, more for an object of more than ``capabilities.max_copy_bytes``. A service that refuses is
        not asked again.
        """
        way = self._copy_whole if size <= self._whole_bytes else self._copy_parts
        if not self._offers[way] or await self._source.object_size(digest) != size:
            return False
        try:
            await way(digest, size)
        except ObjectNotFound:
            return False
        except (StoreRefused, AccessDenied):
            self._offers[way] = False
        else:
            if await self._target.object_size(digest) == size:
                return True
        await self._take_back(digest)
        return False

    async def _copy_whole(self, digest: Digest, _size: int) -> None:
        key = object_key(digest)
        await self._target.objects.copy_from(key, self._place + key)

    async def _copy_parts(self, digest: Digest, size: int) -> None:
        part_bytes = part_size(size, min(PART_BYTES, self._whole_bytes), self._target.objects.capabilities)
        async with self._uploads.begin(digest, size=size, part_bytes=part_bytes) as upload:
            copy_part = partial(self._copy_part, upload, self._place + object_key(digest))
            parts = parts_of(size, part_bytes)
            await copy_part(next(parts))  # alone: a service that refuses says so once
            await run_workers(parts, copy_part, workers=PARTS_AT_ONCE)

    @staticmethod
    async def _copy_part(upload: Upload, source: str, part: Part) -> None:
        await upload.copy_part(part.number, source, start=part.offset, length=part.length)

    async def _take_back(self, digest: Digest) -> None:
        """Remove what a service made of a question that it did not understand: an empty object, for one."""
        if await self._target.object_size(digest) is not None:
            await self._target.delete_object(digest)
