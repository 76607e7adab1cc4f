"""The presence of objects in a store, with as few requests as possible."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING

import anyio.to_thread

from snapdir.errors import CorruptManifest, InvalidManifest, ManifestNotFound, StoreMissing
from snapdir.model.digest import Digest, SnapshotId
from snapdir.model.keys import OBJECTS, digest_of_key
from snapdir.repository.known import KnownObjects, KnownSnapshot, KnownSnapshots
from snapdir.repository.repository import READ_MANIFEST_BYTES, Repository
from snapdir.stores.base import ObjectInfo, Page, close_pages
from snapdir.stores.workers import run_workers

if TYPE_CHECKING:
    from random import Random

LISTED_PREFIXES = 256
"""Two hex digits: the prefixes of a listing of the whole store."""

LISTERS = 16

SAMPLE_OBJECTS = 16
"""Looked up by a push that relies on a hint and stores something new."""

MAX_LISTED_OBJECTS = 2_000_000
"""A listing is kept in memory, at about 180 bytes per object."""


class Answer(Enum):
    """The state of an object that is known without another request."""

    PRESENT = "present"
    ABSENT = "absent"
    PROBABLY_ABSENT = "probably absent"
    UNKNOWN = "unknown"


def listing_pays(*, stored_objects: int, objects_to_send: int, page_keys: int) -> bool:
    """Whether listing a store of about ``stored_objects`` takes fewer requests than looking up each object.

    Args:
        page_keys: Keys in a page of a listing; each of LISTED_PREFIXES takes one page at least.
    """
    return stored_objects <= MAX_LISTED_OBJECTS and LISTED_PREFIXES + stored_objects // page_keys < objects_to_send


class Presence:
    """The known objects of one store: none at first. ``learn`` is optional.

    Args:
        random: Draws the sample of ``disproof``; by default from the system's entropy.

    Attributes:
        confirmed: The hinted snapshot whose manifest the store still has, or None.
        stored_objects: About how many objects the store holds; None if unknown.
        listed_all: Every object of the store is known.
    """

    def __init__(self, repository: Repository, *, random: Random | None = None) -> None:
        self.confirmed: SnapshotId | None = None
        self.stored_objects: int | None = None
        self.listed_all = False
        self._repository = repository
        self._known = KnownObjects.of(())
        self._unread: SnapshotId | None = None
        self._relied: list[tuple[str, int]] = []
        self._relied_count = 0
        self._random = random
        self._sizes: dict[str, int] = {}
        self._page_keys = repository.objects.capabilities.list_page_keys

    def answer(self, digest: str, size: int) -> Answer:
        """The state of an object of ``size`` bytes. An object that is listed at another size is torn: absent."""
        listed = self._sizes.get(digest)
        if listed is not None:
            return Answer.PRESENT if listed == size else Answer.ABSENT
        if self.listed_all:
            return Answer.ABSENT
        if digest in self._known:
            self._note_reliance(digest, size)
            return Answer.PRESENT
        # A store that has the previous snapshot most likely lacks only new objects.
        return Answer.PROBABLY_ABSENT if self.confirmed else Answer.UNKNOWN

    def should_list(self, count: int) -> bool:
        """Whether ``list_all`` takes fewer requests than looking up ``count`` objects; False once it ran."""
        if self.listed_all or self.stored_objects is None:
            return False
        return listing_pays(stored_objects=self.stored_objects, objects_to_send=count, page_keys=self._page_keys)

    async def list_if_it_pays(self, count: int) -> None:
        """List the store's first page, and then all of it if that takes fewer requests than ``count`` look-ups."""
        if not self.listed_all and self.stored_objects is None:
            await self._look_at_first_page()
        if self.should_list(count):
            await self.list_all()

    def was_listed(self, digest: str) -> bool:
        """Whether a listing has shown the object, at any size."""
        return digest in self._sizes

    async def learn(self, known: KnownSnapshots | None) -> None:
        """Confirm the latest hint that still holds; without one, list the store's first page.

        Cost: one request, and one for each hint whose snapshot is no longer in the store.
        """
        if known is not None:
            for snapshot_id in await anyio.to_thread.run_sync(lambda: list(known.latest())):
                hint = await anyio.to_thread.run_sync(known.read, snapshot_id)
                if hint is not None and await self._confirm(hint):
                    self.confirmed = snapshot_id
                    return
        await self._look_at_first_page()

    async def _confirm(self, hint: KnownSnapshot) -> bool:
        """Whether the store still has the manifest of a hint. One request.

        The objects of a short manifest are taken from the store's own text. A long one is looked up, and read only by
        a push that stores something new: see ``disproof``.
        """
        if hint.manifest_bytes > READ_MANIFEST_BYTES:
            is_published = await self._repository.shows_manifest(
                hint.snapshot_id, stored_bytes=hint.manifest_bytes, crc32c=hint.manifest_crc32c
            )
            if is_published:
                self._known, self._unread = hint.objects, hint.snapshot_id
            return bool(is_published)
        named = await self._named_by(hint.snapshot_id)
        self._known = named or self._known
        return named is not None

    async def _named_by(self, snapshot_id: SnapshotId) -> KnownObjects | None:
        try:
            manifest = await self._repository.read_manifest(snapshot_id)
        except (ManifestNotFound, CorruptManifest, InvalidManifest, StoreMissing):
            return None
        return await anyio.to_thread.run_sync(lambda: KnownObjects.of(entry.checksum for entry in manifest.files))

    def _note_reliance(self, digest: str, size: int) -> None:
        """Keep a fair sample of SAMPLE_OBJECTS of the objects that are present by the hint alone."""
        self._relied_count += 1
        if len(self._relied) < SAMPLE_OBJECTS:
            self._relied.append((digest, size))
            return
        if self._random is None:
            from random import Random  # 1.3 ms, which few pushes need

            self._random = Random()  # noqa: S311
        slot = int(self._random.random() * self._relied_count)
        if slot < SAMPLE_OBJECTS:
            self._relied[slot] = (digest, size)

    async def disproof(self) -> str | None:
        """The reason why the hint is wrong, for a message; None if it seems right.

        A sample of the objects that are present by the hint is looked up, with their lengths. If a fraction p of them
        is missing, the sample shows it with a probability of 1 - (1 - p) ** SAMPLE_OBJECTS. The hint also has to name
        the same objects as its manifest.

        Cost: SAMPLE_OBJECTS concurrent requests at most, and one for a manifest above READ_MANIFEST_BYTES.
        """
        gone: list[str] = []

        async def look_up(relied: tuple[str, int]) -> None:
            digest, size = relied
            if await self._repository.object_size(Digest(digest)) != size:
                gone.append(digest)

        await run_workers(self._relied, look_up, workers=SAMPLE_OBJECTS)
        if not gone and self._relied and self._unread and await self._named_by(self._unread) != self._known:
            return f"the hint of snapshot {self._unread} does not match its manifest"
        return f"object {min(gone)} is missing or truncated although an earlier push stored it" if gone else None

    async def list_all(self) -> None:
        """List every object: at least LISTED_PREFIXES requests, LISTERS at a time."""

        async def list_below(prefix: str) -> None:
            async for page in self._repository.objects.list(prefix):
                self._add(page)

        prefixes = [f"{OBJECTS}{number:02x}" for number in range(LISTED_PREFIXES)]
        await run_workers(prefixes, list_below, workers=LISTERS)
        self.listed_all = True

    async def _look_at_first_page(self) -> None:
        pages = self._repository.objects.list(OBJECTS)
        try:
            first = await anext(pages, None) or Page()
            self._add(first)
            # A short page need not be the last: services give pages of any length. A store without resume tokens has to
            # be advanced to its next page, which costs no request at the end.
            self.listed_all = first.resume is None and await anext(pages, None) is None
            if not self.listed_all:
                self._page_keys = len(first)
        except StoreMissing:
            return
        finally:
            await close_pages(pages)
        self.stored_objects = len(self._sizes) if self.listed_all else self._estimate(first)

    def _estimate(self, first: Sequence[ObjectInfo]) -> int | None:
        """Objects in the store, by its first page; None if the keys of that are not in order.

        Digests are spread evenly: a page that ends at a fraction of their range holds that fraction of the store.
        """
        if any(earlier.key > later.key for earlier, later in pairwise(first)):
            return None
        reached = int(max(self._sizes, default="f" * 8)[:8], 16) + 1
        return len(first) * 2**32 // reached

    def _add(self, page: Iterable[ObjectInfo]) -> None:
        for info in page:
            digest = digest_of_key(info.key, OBJECTS)
            if digest is not None:
                self._sizes[digest] = info.size
