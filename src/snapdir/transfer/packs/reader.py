"""From the bytes of a pack to verified objects, block by block. Blocking: for one thread at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from blake3 import blake3

from snapdir.errors import HashMismatchError, InvalidManifest, InvalidPack
from snapdir.hashing.tree import manifest_id
from snapdir.model.digest import Digest
from snapdir.model.manifest import Manifest, ManifestReader
from snapdir.model.pack import MANIFEST, PackEvent, PackParser, PayloadBlock, RecordEnd, RecordStart
from snapdir.transfer.packs.streams import Read, pack_blocks


class Small(NamedTuple):
    """A whole object, verified."""

    digest: Digest
    data: bytes


class PackedManifest(NamedTuple):
    """The manifest, verified. The pack ends after it."""

    digest: Digest
    manifest: Manifest


PackItem = Small | RecordStart | bytes | RecordEnd | PackedManifest
"""A large object comes as its start, blocks of its bytes, which are not verified, and its end, when they hash right."""


class PackReader:
    """Reads one pack. An object of up to ``large_bytes``, or a manifest, is kept until it is whole."""

    def __init__(self, read: Read, *, required: Digest | None, large_bytes: int) -> None:
        self._blocks: Iterator[bytes] | None = None
        self._read = read
        self._parser = PackParser()
        self._required = required
        self._large_bytes = large_bytes
        self._record: RecordStart | None = None
        self._failure: InvalidPack | HashMismatchError | None = None
        self._kept = bytearray()
        self._manifest = ManifestReader()
        self._hasher = blake3()

    def next_items(self) -> list[PackItem] | None:
        """The items of the next block, which may be empty; None after the end of a complete pack.

        Raises:
            InvalidPack, HashMismatchError: the pack is damaged, or ends early.
        """
        if self._failure is not None:
            raise self._failure
        if self._blocks is None:
            self._blocks = pack_blocks(self._read)
        block = next(self._blocks, None)
        if block is None:
            self._parser.close()
            return None
        return self._items_of(block)

    def _items_of(self, block: bytes) -> list[PackItem]:
        items: list[PackItem] = []
        try:
            for event in self._parser.feed(block):
                items += self._items(event)
        except (InvalidPack, HashMismatchError) as error:
            self._failure = error  # raised by the next call: the items before it are right
        return items

    def _items(self, event: PackEvent) -> Iterator[PackItem]:
        if isinstance(event, RecordStart):
            yield from self._start(event)
        elif self._record is None:
            raise InvalidPack("data outside a record")
        elif isinstance(event, PayloadBlock):
            self._hasher.update(event.data)
            if self._is_large(self._record):
                yield bytes(event.data)
            elif self._record.kind == MANIFEST:
                self._manifest.feed(bytes(event.data))
            else:
                self._kept += event.data
        elif isinstance(event, RecordEnd):
            yield self._finished(self._record)

    def _start(self, record: RecordStart) -> Iterator[PackItem]:
        if record.kind == MANIFEST and self._required not in (None, record.digest):
            raise InvalidPack(f"it contains the manifest {record.digest} instead of {self._required}")
        self._record = record
        self._hasher = blake3()
        self._kept = bytearray()
        self._manifest = ManifestReader()
        if self._is_large(record):
            yield record

    def _is_large(self, record: RecordStart) -> bool:
        return record.kind != MANIFEST and record.length > self._large_bytes

    def _finished(self, record: RecordStart) -> PackItem:
        actual = self._hasher.hexdigest()
        if actual != record.digest:
            raise HashMismatchError(f"{record.kind} {record.digest} of the pack", expected=record.digest, actual=actual)
        if record.kind == MANIFEST:
            return PackedManifest(record.digest, self._parsed(record.digest))
        return RecordEnd() if self._is_large(record) else Small(record.digest, bytes(self._kept))

    def _parsed(self, digest: Digest) -> Manifest:
        """The manifest; its text must be the one that its entries are written as."""
        try:
            manifest = self._manifest.finish()
        except InvalidManifest as error:
            raise InvalidPack(f"invalid manifest: {error.reason}") from error
        if manifest_id(manifest) != digest:
            raise InvalidPack(f"the text of its manifest {digest} is not in canonical form")
        return manifest
