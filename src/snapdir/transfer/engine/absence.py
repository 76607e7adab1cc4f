"""Which of some objects a repository lacks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import anyio
import anyio.to_thread

from snapdir.model.digest import Digest
from snapdir.repository.presence import Presence
from snapdir.repository.repository import Repository
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.plan import PlannedObject
from snapdir.transfer.engine.stages import run_workers

__all__ = ["absent_objects", "require_present"]


async def absent_objects(digests: Sequence[Digest], repository: Repository, *, limits: Limits) -> list[Digest]:
    """Those of ``digests``, without repeats, that the repository lacks, in their order.

    Cost: one request an object, or a listing of the whole store where that takes fewer. A store on this host is looked
    at directly, in one thread.
    """
    if repository.local_object(Digest("0" * 64)) is not None:
        return await anyio.to_thread.run_sync(_absent_here, digests, repository)
    presence = Presence(repository)
    await presence.learn(None)
    if presence.should_list(len(digests)):
        await presence.list_all()
    if presence.listed_all:
        return [digest for digest in digests if not presence.was_listed(digest)]
    return await _asked_for(digests, repository, limits)


async def require_present(wanted: Sequence[PlannedObject], repository: Repository, *, limits: Limits) -> None:
    """Make sure, as a dry run does, that a repository could give every object of ``wanted``. No byte is read.

    Raises:
        ObjectNotFound: it lacks one; the first is named.
    Cost: as ``absent_objects``.
    """
    paths = {one.digest: one.path for one in wanted}
    for digest in await absent_objects(list(paths), repository, limits=limits) if paths else []:
        raise repository.lacks(digest, paths[digest])


async def _asked_for(digests: Sequence[Digest], repository: Repository, limits: Limits) -> list[Digest]:
    absent: set[Digest] = set()

    async def ask(digest: Digest) -> None:
        if await repository.object_size(digest) is None:
            absent.add(digest)

    workers = limits.workers(repository.objects.capabilities.max_concurrency, len(digests))
    await run_workers(digests, ask, workers=workers)
    return [digest for digest in digests if digest in absent]


def _absent_here(digests: Iterable[Digest], repository: Repository) -> list[Digest]:
    def is_absent(digest: Digest) -> bool:
        path = repository.local_object(digest)
        return path is None or not path.is_file()

    return list(filter(is_absent, digests))
