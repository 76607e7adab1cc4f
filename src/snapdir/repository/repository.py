"""Snapshots and objects in a store: every read is verified, and a manifest is written last."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import anyio.to_thread
from blake3 import blake3

from snapdir.errors import (
    CorruptManifest,
    CorruptObject,
    InvalidManifest,
    ManifestNotFound,
    ManifestTooLarge,
    ObjectNotFound,
    StoreMissing,
)
from snapdir.errors.base import CACHE_ADVICE, STORE_ADVICE
from snapdir.hashing.crc32c import crc32c_of_blocks
from snapdir.hashing.tree import digest_of, manifest_id
from snapdir.model.digest import Digest, SnapshotId
from snapdir.model.keys import MANIFESTS, digest_of_key, manifest_key, manifest_prefix, object_key
from snapdir.model.manifest import Manifest, ManifestReader
from snapdir.model.sizes import KIB, MIB
from snapdir.stores.base import Body, FileRange, Store, Upload, close_pages
from snapdir.stores.blocks import BlockSink, CutSink

MANIFEST_BLOCK_BYTES = 16 * MIB
"""Read by the first request: all of a manifest of 150,000 files. A longer one is measured first, and then streamed."""

STREAM_BYTES = MIB
"""A long manifest is read through a block of this size."""

INLINE_HASH_BYTES = 128 * KIB
"""Hashed on the loop: BLAKE3 takes about 18 µs for 128 KiB, a hop to a thread and back 113-129 µs."""

READ_ATTEMPTS = 3
"""Reads of an object or manifest that hashes wrong: damage on the way passes, damage in the store stays."""

READ_MANIFEST_BYTES = MIB
"""A published manifest up to this length is read instead of looked up: about 10,000 files, in one request."""


class Published(NamedTuple):
    """A snapshot in a listing.

    Attributes:
        manifest_bytes: Length of its manifest's text.
        stored_seconds: When the manifest was written (Unix seconds), if the store tells.
    """

    snapshot_id: SnapshotId
    manifest_bytes: int
    stored_seconds: float | None


class Repository:
    """Snapshots and objects in a store, or in a pair of a store for manifests and a pool of objects.

    Args:
        store: Holds manifests, and objects unless ``objects`` does.
        objects: A pool that several repositories may share.
        max_manifest_bytes: A longer manifest is neither read nor written; None for any length.
        is_cache: The store is the local cache: errors about damage name `snapdir verify-cache`.
    """

    def __init__(
        self,
        store: Store,
        objects: Store | None = None,
        *,
        max_manifest_bytes: int | None = None,
        is_cache: bool = False,
    ) -> None:
        self.store = store
        self.objects = objects or store
        self._max_manifest_bytes = max_manifest_bytes
        self.is_cache = is_cache
        self._advice = CACHE_ADVICE if is_cache else STORE_ADVICE

    @property
    def url(self) -> str:
        return self.store.url

    @property
    def location(self) -> str:
        """The URLs of manifests and objects as one text: the key of notes about this repository."""
        return self.url if self.objects is self.store else f"{self.url} {self.objects.url}"

    async def read_manifest(self, snapshot_id: Digest) -> Manifest:
        """The manifest of a snapshot, checked against its id.

        Raises:
            ManifestNotFound: this store has no such snapshot.
            InvalidManifest: READ_ATTEMPTS reads gave a text that does not parse, or it is longer than allowed.
            CorruptManifest: READ_ATTEMPTS reads gave a text that hashes to another id.
        """
        return await self.read_manifest_at(manifest_key(snapshot_id), snapshot_id)

    async def read_manifest_at(self, key: str, snapshot_id: Digest) -> Manifest:
        """``read_manifest`` of a text that is stored at ``key``."""
        where = f"{self.url}/{key}"
        attempts = 1
        while True:
            try:
                reader = await self._read_text(key)
                return await anyio.to_thread.run_sync(verified_manifest, reader, snapshot_id, where)
            except ObjectNotFound as error:
                absent = ManifestNotFound(snapshot_id, self.url)
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

    async def _read_text(self, key: str) -> ManifestReader:
        """The text at a manifest's key; a long one is parsed while it comes."""
        text = await self.store.read(key, length=MANIFEST_BLOCK_BYTES)
        is_all = len(text) < MANIFEST_BLOCK_BYTES
        size = len(text) if is_all else (await self.store.stat(key)).size
        self._require_allowed(key, size)
        reader = ManifestReader(text)
        if size > len(text):
            sink = BlockSink(memoryview(bytearray(STREAM_BYTES)), lambda data: reader.feed(bytes(data)))
            # If it was replaced by a shorter one meanwhile, the hash will be wrong.
            await self.store.read_through(key, sink, start=len(text), length=size - len(text))
        return reader

    def _require_allowed(self, key: str, size: int) -> None:
        if self._max_manifest_bytes is not None and size > self._max_manifest_bytes:
            raise ManifestTooLarge(f"{self.url}/{key}", size, self._max_manifest_bytes)

    async def shows_manifest(self, snapshot_id: Digest, *, stored_bytes: int, crc32c: int) -> bool | None:
        """Whether the snapshot is published with a text of this length and checksum (if the store keeps checksums).

        None if it is not published at all. One request.
        """
        try:
            info = await self.store.stat(manifest_key(snapshot_id))
        except (ObjectNotFound, StoreMissing):
            return None
        return info.size == stored_bytes and info.crc32c in (None, crc32c)

    async def write_manifest(self, manifest: Manifest, identifier: SnapshotId, *, replace: bool = False) -> bool:
        """Publish the snapshot ``identifier``. The store must have all of its objects.

        Afterwards all of it survives a power cut of this host, including objects that were restored just now.

        Args:
            replace: Overwrite a published manifest without reading it.

        Returns:
            Whether a damaged manifest was replaced.

        Raises:
            InvalidManifest: it is longer than allowed.
        Cost: one request to look, and one to write. A manifest up to READ_MANIFEST_BYTES, or in a store on this host,
            is read and compared; a longer one is compared by its length and the store's checksum, if it has one.
        """
        self._require_allowed(manifest_key(identifier), manifest.stored_bytes)
        is_sound = None if replace else await self._is_sound(identifier, manifest)
        if is_sound:
            await self.flush()
        else:
            if self.objects is not self.store:
                await self.objects.flush()  # (a store that holds both flushes before it names the manifest)
            await self.write_text(manifest_key(identifier), manifest, identifier)
        return is_sound is False

    async def write_text(self, key: str, manifest: Manifest, identifier: Digest) -> None:
        """Store a manifest's text at ``key``: one that is in a file, from there."""
        body: Body
        if manifest.descriptor is None:
            body = manifest.stored
        else:
            checksum = None  # a store on this host hashes its copy
            if self.store.capabilities.remote:
                checksum = await anyio.to_thread.run_sync(crc32c_of_blocks, manifest.blocks())
            body = FileRange(manifest.descriptor, 0, manifest.stored_bytes, crc32c=checksum, digest=str(identifier))
        await self.store.write(key, body)

    async def _is_sound(self, identifier: SnapshotId, manifest: Manifest) -> bool | None:
        """Whether the published manifest is right; None without one."""
        length, is_long = manifest.stored_bytes, manifest.stored_bytes > READ_MANIFEST_BYTES
        if is_long and self.store.capabilities.remote:
            expected = await anyio.to_thread.run_sync(crc32c_of_blocks, manifest.blocks())
            return await self.shows_manifest(identifier, stored_bytes=length, crc32c=expected)
        for _ in range(READ_ATTEMPTS):
            try:
                if is_long:
                    published = await self._hash_of(manifest_key(identifier), length + 1)
                else:
                    published = digest_of(await self.store.read(manifest_key(identifier), length=length + 1))
            except (ObjectNotFound, StoreMissing):
                return None
            if published == identifier:
                return True
        return False

    async def _hash_of(self, key: str, length: int) -> str:
        """The hash of up to ``length`` bytes."""
        hasher = blake3()

        def update(data: memoryview) -> None:
            hasher.update(data)

        sink = BlockSink(memoryview(bytearray(STREAM_BYTES)), update)
        await self.store.read_through(key, sink, start=0, length=length)
        return hasher.hexdigest()

    async def flush(self) -> None:
        """Make everything stored survive a power cut of this host. Verbs call it last, even if they stored nothing.

        Cost: one flush of the filesystem of a store on this host; nothing for others.
        """
        await self.store.flush()
        if self.objects is not self.store:
            await self.objects.flush()

    async def list_published(self) -> AsyncIterator[Published]:
        """All published snapshots as the listing shows them, in any order, each once. One request per 1,000."""
        async for page in self.store.list(MANIFESTS):
            for info in page:
                digest = digest_of_key(info.key, MANIFESTS)
                if digest is not None:
                    yield Published(SnapshotId(digest), info.size, info.modified_seconds)

    async def find_snapshots(self, digits: str) -> list[SnapshotId]:
        """Ids of published snapshots that start with ``digits``; if there are several, at least two of them.

        Raises:
            StoreMissing: the store does not exist.
        Cost: one request, more where pages hold a single id.
        """
        matches: list[SnapshotId] = []
        pages = self.store.list(manifest_prefix(digits))
        try:
            while len(matches) < 2 and (page := await anext(pages, None)):
                matches += [SnapshotId(digest) for info in page if (digest := digest_of_key(info.key, MANIFESTS))]
        finally:
            await close_pages(pages)
        return matches

    async def object_size(self, digest: Digest) -> int | None:
        """The size of an object in the store; None if it, or the store, is absent. One request."""
        try:
            return (await self.objects.stat(object_key(digest))).size
        except (ObjectNotFound, StoreMissing):
            return None

    async def read_object(self, digest: Digest, size: int) -> bytes:
        """The whole of a small object, verified.

        Args:
            size: Its length in bytes.

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
        """A small object as the store sends it, up to one byte longer: the caller hashes it."""
        return await self.objects.read(object_key(digest), length=size + 1)

    async def read_range_into(self, digest: Digest, buffer: memoryview, *, start: int, is_last: bool = False) -> None:
        """Fill ``buffer`` with an object's bytes from ``start``. Not verified: only a whole object can be.

        Args:
            is_last: The range ends with the object. ``buffer`` is one byte longer, to detect excess bytes.

        Raises:
            CorruptObject: the object is shorter, or longer, than expected.
        """
        received = await self.objects.read_into(object_key(digest), buffer, start=start)
        self._require_whole(digest, start, received, len(buffer) - is_last)

    async def read_range_through(
        self, digest: Digest, sink: BlockSink, *, start: int, length: int, is_last: bool = False
    ) -> None:
        """Pass an object's bytes to ``sink``, in order. Not verified: only a whole object can be.

        Args:
            is_last: The range ends with the object. One more byte is requested, to detect excess bytes.

        Raises:
            CorruptObject: the object is shorter, or longer, than expected.
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
        """Store ``body``, whose hash the caller has checked, in one piece; False if the store has the object."""
        return await self.objects.write(object_key(digest), body, if_absent=if_absent)

    async def begin_object(self, digest: Digest, *, size: int, part_bytes: int, resume: str | None = None) -> Upload:
        """Begin an upload of an object in parts, or resume an earlier one."""
        key = object_key(digest)
        return await self.objects.begin_upload(key, size=size, part_bytes=part_bytes, resume=resume)

    async def delete_object(self, digest: Digest) -> None:
        """Remove an object that turned out wrong."""
        await self.objects.delete([object_key(digest)])

    def local_object(self, digest: Digest) -> Path | None:
        """The path of an object in a store on this host, which need not exist; None for other stores."""
        return self.objects.local_path(object_key(digest))

    def has_file(self, digest: Digest) -> bool:
        """Whether the store is on this host, and has the file of an object. Blocking."""
        path = self.local_object(digest)
        return path is not None and path.is_file()

    def damaged(self, digest: Digest, actual: str) -> CorruptObject:
        """The error about an object that hashes to ``actual``, or that ``actual`` describes."""
        where = f"{self.objects.url}/{object_key(digest)}"
        return CorruptObject(where, expected=digest, actual=actual, advice=self._advice)

    def lacks(self, digest: Digest, path: str = "") -> ObjectNotFound:
        """The error about an absent object, with a path that needs it."""
        needed_for = f" (for {path})" if path else ""
        return ObjectNotFound(f"{digest}{needed_for} in {self.objects.url}")


def verified_manifest(reader: ManifestReader, expected: Digest, where: str) -> Manifest:
    """Parse a stored text, and check it against its id.

    Raises:
        InvalidManifest, CorruptManifest: it is not.
    """
    manifest = reader.finish()
    actual = manifest_id(manifest)
    if actual != expected:
        raise CorruptManifest(where, expected=expected, actual=actual)
    return manifest
