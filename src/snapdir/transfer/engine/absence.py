"""The objects that a repository lacks."""

from __future__ import annotations

from collections.abc import Sequence

import anyio.to_thread

from snapdir.model.digest import EMPTY_DIGEST, Digest
from snapdir.repository.presence import Presence
from snapdir.repository.repository import Repository
from snapdir.stores.workers import run_workers
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.planned_objects import PlannedObject


async def absent_objects(digests: Sequence[Digest], repository: Repository, *, limits: Limits) -> list[Digest]:
    """Those of ``digests``, without repeats, that the repository lacks, in their order.

    Cost: one request per object, or a listing of the whole store if that takes fewer. In a store on this host one
        thread looks at the files.
    """
    if repository.local_object(EMPTY_DIGEST) is not None:
        return await anyio.to_thread.run_sync(lambda: [digest for digest in digests if not repository.has_file(digest)])
    presence = Presence(repository)
    await presence.list_if_it_pays(len(digests))
    if presence.listed_all:
        return [digest for digest in digests if not presence.was_listed(digest)]
    absent: set[Digest] = set()

    async def look_up(digest: Digest) -> None:
        if await repository.object_size(digest) is None:
            absent.add(digest)

    await run_workers(digests, look_up, workers=limits.workers(repository.objects))
    return [digest for digest in digests if digest in absent]


async def require_present(objects: Sequence[PlannedObject], repository: Repository, *, limits: Limits) -> None:
    """Make sure that a repository has all ``objects``, for a dry run. No content is read.

    Raises:
        ObjectNotFound: an object is missing; the error names the first.
    Cost: as ``absent_objects``.
    """
    paths = {planned.digest: planned.path for planned in objects}
    for digest in await absent_objects(list(paths), repository, limits=limits) if paths else []:
        raise repository.lacks(digest, paths[digest])
