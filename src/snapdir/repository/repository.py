"""Snapshots and objects in a store: every read is verified, and a manifest is written last."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import anyio.to_thread

from snapdir.errors import (
    CorruptManifest,
    CorruptObject,
    InvalidManifest,
    ManifestNotFound,
    ManifestTooLarge,
    ObjectNotFound,
    StoreMissing,
)
from snapdir.errors.base import STORE_ADVICE
from snapdir.hashing.crc32c import crc32c
from snapdir.hashing.tree import digest_of, snapshot_id
from snapdir.model.digest import Digest, SnapshotId
from snapdir.model.keys import MANIFESTS, digest_of_key, manifest_key, manifest_prefix, object_key
from snapdir.model.manifest import Manifest
from snapdir.model.sizes import KIB, MIB
from snapdir.stores.base import Body, Store, Upload, close_pages
from snapdir.stores.blocks import BlockSink, CutSink

__all__ = [
    "INLINE_HASH_BYTES",
    "READ_ATTEMPTS",
    "READ_MANIFEST_BYTES",
    "Published",
    "Repository",
    "verified_manifest",
]

MANIFEST_BLOCK_BYTES = 64 * MIB
"""Asked for at once: all of a manifest of 400,000 files. Of a longer one the store says first how long it is."""

INLINE_HASH_BYTES = 128 * KIB
"""Hashed on the loop: 128 KiB take BLAKE3 about 18 µs, a hop to a thread and back 113-129 µs."""

READ_ATTEMPTS = 3
"""Times an object or manifest that hashes wrong is read: damage on the way passes, damage in the store stays."""

READ_MANIFEST_BYTES = MIB
"""A published manifest up to this length is read where it might be looked up: about 10,000 files, in one request."""


class Published(NamedTuple):
    """A snapshot as a listing shows it.

    Attributes:
        manifest_bytes: Length of its manifest's text.
        stored_seconds: When the manifest was written (Unix seconds), if the store says so.
    """

    snapshot_id: SnapshotId
    manifest_bytes: int
    stored_seconds: float | None


class Repository:
    """What one store (or a pair: manifests here, objects in a pool) holds, addressed by digest.

    Args:
        store: Holds manifests, and objects unless ``objects`` does.
        objects: A pool that several repositories may share.
        max_manifest_bytes: A longer manifest is neither read nor written; None for any length.
        advice: What errors about damage say of the place and of the way out.
    """

    def __init__(
        self,
        store: Store,
        objects: Store | None = None,
        *,
        max_manifest_bytes: int | None = None,
        advice: str = STORE_ADVICE,
    ) -> None:
        self.store = store
        self.objects = objects or store
        self._max_manifest_bytes = max_manifest_bytes
        self._advice = advice

    @property
    def url(self) -> str:
        return self.store.url

    @property
    def place(self) -> str:
        """Where manifests and objects are, as one text: what is known of one place says nothing of another."""
        return self.url if self.objects is self.store else f"{self.url} {self.objects.url}"

    async def read_manifest(self, snapshot_id_: Digest) -> Manifest:
        """The manifest of a snapshot, checked against its id.

        Raises:
            ManifestNotFound: this store has no such snapshot.
            InvalidManifest: READ_ATTEMPTS reads gave a text that does not parse, or it is longer than allowed.
            CorruptManifest: READ_ATTEMPTS reads gave a text that hashes to another id.
        """
        return await self.read_manifest_at(manifest_key(snapshot_id_), snapshot_id_)

    async def read_manifest_at(self, key: str, snapshot_id_: Digest) -> Manifest:
        """``read_manifest`` of a text that is stored at ``key``."""
        where = f"{self.url}/{key}"
        attempts = 1
        while True:
            try:
                stored = await self._read_text(key)
                return await anyio.to_thread.run_sync(verified_manifest, stored, snapshot_id_, where)
            except ObjectNotFound as error:
                absent = ManifestNotFound(snapshot_id_, self.url)
                for note in getattr(error, "__notes__", ()):
                    absent.add_note(note)
                raise absent from error
            except ManifestTooLarge:
                raise
            except (CorruptManifest, InvalidManifest) as error:
                if attempts == READ_ATTEMPTS:
                    error.add_note(f"read from {where}: {self._advice}")
                    raise
            attempts += 1

    async def _read_text(self, key: str) -> bytes:
        """What is stored at a manifest's key, in blocks: memory grows with what has come."""
        text = await self.store.read(key, length=MANIFEST_BLOCK_BYTES)
        if len(text) < MANIFEST_BLOCK_BYTES:
            self._require_allowed(key, len(text))
            return text
        size = (await self.store.stat(key)).size
        self._require_allowed(key, size)
        collected = bytearray(text)
        while rest := min(MANIFEST_BLOCK_BYTES, size - len(collected)):
            block = await self.store.read(key, start=len(collected), length=rest)
            if not block:
                break  # it was replaced by a shorter one: its hash will tell
            collected += block
        return bytes(collected)

    def _require_allowed(self, key: str, size: int) -> None:
        if self._max_manifest_bytes is not None and size > self._max_manifest_bytes:
            raise ManifestTooLarge(f"{self.url}/{key}", size, self._max_manifest_bytes)

    async def shows_manifest(self, snapshot_id_: Digest, *, stored_bytes: int, crc32c: int) -> bool | None:
        """Whether the snapshot is published with a text of this length and, where the store keeps one, checksum.

        None if it is not published at all. One request.
        """
        try:
            info = await self.store.stat(manifest_key(snapshot_id_))
        except (ObjectNotFound, StoreMissing):
            return None
        return info.size == stored_bytes and info.crc32c in (None, crc32c)

    async def write_manifest(self, manifest: Manifest, identifier: SnapshotId, *, replace: bool = False) -> bool:
        """Publish the snapshot whose id this is. Call it only when every object is there.

        Then all of it survives a power cut of this host, also what was restored below a manifest that stands.

        Args:
            replace: Write over a manifest of this id, whatever it holds.

        Returns:
            Whether a damaged manifest of this id was found, and replaced.

        Raises:
            InvalidManifest: it is longer than allowed.
        Cost: one request to look, and one to write. A manifest up to READ_MANIFEST_BYTES, or in a store on this host,
            is read and compared. A longer one is believed by its length and the store's checksum, if it has one.
        """
        stored = manifest.stored
        self._require_allowed(manifest_key(identifier), len(stored))
        is_sound = None if replace else await self._is_sound(identifier, stored)
        if is_sound:
            await self.flush()
        else:
            if self.objects is not self.store:
                await self.objects.flush()  # a store that holds both does that before it names the manifest
            await self.store.write(manifest_key(identifier), stored)
        return is_sound is False

    async def _is_sound(self, identifier: SnapshotId, stored: bytes) -> bool | None:
        """Whether the manifest that is published is the one that it should be; None if none is."""
        if len(stored) > READ_MANIFEST_BYTES and self.store.capabilities.remote:
            expected = await anyio.to_thread.run_sync(crc32c, stored)
            return await self.shows_manifest(identifier, stored_bytes=len(stored), crc32c=expected)
        for _ in range(READ_ATTEMPTS):
            try:
                found = await self.store.read(manifest_key(identifier), length=len(stored) + 1)
            except (ObjectNotFound, StoreMissing):
                return None
            if found == stored:
                return True
        return False

    async def flush(self) -> None:
        """Make what is stored survive a power cut of this host: what a verb calls last, whatever it found there.

        Cost: where the store is on this host, one flush of its filesystem; else nothing.
        """
        await self.store.flush()
        if self.objects is not self.store:
            await self.objects.flush()

    async def list_snapshots(self) -> AsyncIterator[Digest]:
        """Ids of all published snapshots, in any order, each once. One request per 1,000."""
        async for published in self.list_published():
            yield published.snapshot_id

    async def list_published(self) -> AsyncIterator[Published]:
        """All published snapshots with what the listing says of them, in any order, each once."""
        async for page in self.store.list(MANIFESTS):
            for info in page:
                digest = digest_of_key(info.key, MANIFESTS)
                if digest is not None:
                    yield Published(SnapshotId(digest), info.size, info.modified_seconds)

    async def find_snapshots(self, digits: str) -> list[SnapshotId]:
        """Ids of published snapshots that start with ``digits``: one if there is one, some if there are several.

        Raises:
            StoreMissing: the store does not exist.
        Cost: one request, more where pages hold a single id.
        """
        found: list[SnapshotId] = []
        pages = self.store.list(manifest_prefix(digits))
        try:
            while len(found) < 2 and (page := await anext(pages, None)):
                found += [SnapshotId(digest) for info in page if (digest := digest_of_key(info.key, MANIFESTS))]
        finally:
            await close_pages(pages)
        return found

    async def object_size(self, digest: Digest) -> int | None:
        """Bytes the store holds for an object, None if it has none (or is yet to be made). One request."""
        return await _size_at(self.objects, object_key(digest))

    async def read_object(self, digest: Digest, size: int) -> bytes:
        """The whole of a small object, verified.

        Args:
            size: Its length in bytes: with bytes behind its end it is another object.

        Raises:
            ObjectNotFound: the store has no such object.
            CorruptObject: READ_ATTEMPTS reads gave other bytes.
        """
        key = object_key(digest)
        for _ in range(READ_ATTEMPTS):
            data = await self.objects.read(key, length=size + 1)
            actual = digest_of(data) if size <= INLINE_HASH_BYTES else await anyio.to_thread.run_sync(digest_of, data)
            if actual == digest:
                return data
        raise self.damaged(digest, actual)

    async def read_unverified(self, digest: Digest, size: int) -> bytes:
        """A small object as the store sent it, of one byte more at most: the caller hashes it."""
        return await self.objects.read(object_key(digest), length=size + 1)

    async def read_range_into(self, digest: Digest, buffer: memoryview, *, start: int, is_last: bool = False) -> None:
        """Fill ``buffer`` with an object's bytes from ``start``. Not verified: only a whole object can be.

        Args:
            is_last: The range ends with the object: the last byte of ``buffer`` is for one that must not be there.

        Raises:
            CorruptObject: the object ends before the buffer is full, or goes on behind its last range.
        """
        received = await self.objects.read_into(object_key(digest), buffer, start=start)
        self._require_whole(digest, start, received, len(buffer) - is_last)

    async def read_range_through(
        self, digest: Digest, sink: BlockSink, *, start: int, length: int, is_last: bool = False
    ) -> None:
        """Pass an object's bytes to ``sink``, in order. Not verified: only a whole object can be.

        Args:
            is_last: The range ends with the object: one byte more is asked for, and must not be there.

        Raises:
            CorruptObject: the object ends early, or goes on behind its last range.
        """
        through = CutSink(sink, length) if is_last else sink
        begin = through.consumed
        await self.objects.read_through(object_key(digest), through, start=start, length=length + is_last)
        self._require_whole(digest, start, through.consumed - begin, length)

    def _require_whole(self, digest: Digest, start: int, received: int, length: int) -> None:
        if received < length:
            raise self.damaged(digest, f"an object of only {start + received} bytes")
        if received > length:
            raise self.damaged(digest, f"an object of more than {start + length} bytes")

    async def write_object(self, digest: Digest, body: Body, *, if_absent: bool = False) -> bool:
        """Store ``body``, which the caller knows to hash to ``digest``, in one piece; False if it was there already."""
        return await self.objects.write(object_key(digest), body, if_absent=if_absent)

    async def begin_object(self, digest: Digest, *, size: int, part_bytes: int, resume: str | None = None) -> Upload:
        """Start an object of ``size`` bytes in parts, or go on with one that was started before."""
        key = object_key(digest)
        return await self.objects.begin_upload(key, size=size, part_bytes=part_bytes, resume=resume)

    async def delete_object(self, digest: Digest) -> None:
        """Remove an object: for one that turned out wrong."""
        await self.objects.delete([object_key(digest)])

    def local_object(self, digest: Digest) -> Path | None:
        """The file of an object where the store is on this host, else None. The file need not exist."""
        return self.objects.local_path(object_key(digest))

    def object_name(self, digest: Digest) -> str:
        """How messages name an object."""
        return f"{self.objects.url}/{object_key(digest)}"

    def damaged(self, digest: Digest, actual: str) -> CorruptObject:
        """The error about an object that hashes to ``actual``, or is what ``actual`` says."""
        return CorruptObject(self.object_name(digest), expected=digest, actual=actual, advice=self._advice)

    def lacks(self, digest: Digest, path: str = "") -> ObjectNotFound:
        """The error about an object that is not there, and a path that needs it."""
        needed_for = f" (for {path})" if path else ""
        return ObjectNotFound(f"{digest}{needed_for} in {self.objects.url}")


async def _size_at(store: Store, key: str) -> int | None:
    try:
        return (await store.stat(key)).size
    except (ObjectNotFound, StoreMissing):
        return None


def verified_manifest(stored: bytes, expected: Digest, where: str) -> Manifest:
    """A stored text as the manifest it should be.

    Raises:
        InvalidManifest, CorruptManifest: it is not.
    """
    manifest = Manifest.parse(stored)
    actual = snapshot_id(manifest)
    if actual != expected:
        raise CorruptManifest(where, expected=expected, actual=actual)
    return manifest
