"""Send one object: look it up, then write it whole or in parts."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import anyio.to_thread
from blake3 import blake3

from snapdir.disk.filesystems import memory_devices
from snapdir.disk.long_paths import open_file
from snapdir.errors import InFluxError, StoreRefused, source_error
from snapdir.hashing.crc32c import crc32c
from snapdir.hashing.files import hash_large_file
from snapdir.hashing.huge_files import HUGE_FILE_BYTES, threaded_blake3
from snapdir.model.digest import Digest
from snapdir.model.keys import object_key
from snapdir.model.sizes import MIB
from snapdir.model.source import HashedFile, SourceFile, identity_of
from snapdir.repository.presence import Answer, Presence
from snapdir.repository.repository import Repository
from snapdir.stores.base import ABORT_SECONDS, BatchWriter, FileRange, Upload
from snapdir.transfer.engine.byte_budget import ByteBudget
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.interruption import check_cancelled
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.parts import Part, part_size, parts_of
from snapdir.transfer.upload.journal import UploadJournal
from snapdir.transfer.upload.noted_uploads import NotedUploads

if TYPE_CHECKING:
    from anyio.abc import TaskGroup  # at run time it brings sockets and TLS: 25 ms

IN_FLIGHT_BYTES = MIB
"""Memory for a part of a file that is being sent: sendfile copies nothing, TLS a few blocks of 112 KiB."""


class Uploader:
    """Sends objects to one repository within one transfer's bounds.

    Attributes:
        memory: Bytes of bodies held. The caller takes the share of kept data, and ``push_small`` gives it back.
        workers: Tasks that keep the store busy.
        batch: Takes small objects if the store is on this host; the caller must publish it.
        uploads: The uploads in parts.
    """

    def __init__(
        self,
        to: Repository,
        limits: Limits,
        counters: Counters,
        presence: Presence,
        *,
        recheck: bool = False,
        journal: UploadJournal | None = None,
    ) -> None:
        self._to = to
        self._limits = limits
        self._counters = counters
        self._presence = presence
        self._recheck = recheck
        self._listing = False
        self.uploads = NotedUploads(to, journal, counters)
        self._capabilities = to.objects.capabilities
        self.batch = to.objects.batch_writer()
        self.memory = ByteBudget(limits.memory_bytes)
        self._memory_devices: frozenset[int] | None = None
        self._hashing = anyio.CapacityLimiter(limits.hashers)
        self.workers = limits.workers(to.objects)

    def batch_storer(self, seen: set[str]) -> Callable[[list[HashedFile]], None] | None:
        """Stores kept files at once, in the thread that calls it; None unless the store is on this host.

        Args:
            seen: Checksums already handled; new ones are added. They get names when ``batch`` is published.
        """
        return None if self.batch is None else partial(self._store_batch, self.batch, seen)

    def _store_batch(self, batch: BatchWriter, seen: set[str], hashed: list[HashedFile]) -> None:
        for file in hashed:
            if file.checksum not in seen:
                seen.add(file.checksum)
                data = file.data or b""
                if batch.put(object_key(Digest(file.checksum)), data, replace=self._recheck):
                    self._counters.count_sent(len(data))
                else:
                    self._counters.objects_skipped += 1

    async def push_small(self, hashed: HashedFile) -> None:
        """Send a file whose content was kept, unless the store has it."""
        data = hashed.data or b""
        try:
            await self._send_small(Digest(hashed.checksum), data)
            self._counters.settle(len(data))
        except Exception as error:
            error.add_note(f"while uploading {hashed.source.file}")
            raise
        finally:
            self.memory.release(len(data))

    async def _send_small(self, digest: Digest, data: bytes) -> None:
        # One request settles it: the store takes the object, or refuses it as present, or gets the same bytes again.
        answer = self._answer(digest, len(data))
        is_new = answer is Answer.PROBABLY_ABSENT
        if not is_new and await self._is_present(digest, len(data), answer):
            return
        self._counters.bytes_to_send += len(data)
        conditional = is_new and self._capabilities.conditional_write
        is_sent = await self._to.write_object(digest, data, if_absent=conditional)
        self._counters.bytes_taken += len(data)
        if is_sent:
            self._counters.count_sent(len(data))
        else:
            self._counters.objects_skipped += 1

    def list_if_it_pays(self, group: TaskGroup, files_left: int) -> None:
        """Start to list the whole store, once, if that takes fewer requests than looking up the remaining files."""
        if not (self._listing or self._recheck) and self._presence.should_list(files_left):
            self._listing = True
            group.start_soon(self._presence.list_all)

    async def push_large(self, source: SourceFile, seen: set[str]) -> HashedFile:
        """Hash a file block by block, then send it unless the store has it: the second read is from the page cache.

        Args:
            seen: Checksums already handled; this one is added.

        Raises:
            InFluxError: the file vanished or changed between its listing and the end of its upload; no object stays.
            LocalError: it cannot be read.
        """
        try:
            descriptor = open_file(source.file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise source_error(error, source.file) from error
        try:
            part_bytes = self.part_bytes(source.content_bytes)
            body = await self._hash_by_threads(source, descriptor, part_bytes)
            uncounted_bytes = source.content_bytes
            if body.hashed.checksum not in seen:
                seen.add(body.hashed.checksum)
                uncounted_bytes -= await self._send_large(body, part_bytes)
            self._counters.settle(uncounted_bytes)
        except Exception as error:
            error.add_note(f"while uploading {source.file}")
            raise
        finally:
            os.close(descriptor)
        return body.hashed

    def require_fit(self, source: SourceFile) -> None:
        """
        Raises:
            StoreRefused: the store cannot hold an object of this size.
        """
        try:
            self.part_bytes(source.content_bytes)
        except StoreRefused as error:
            error.add_note(f"the size of {source.file}")
            raise

    def part_bytes(self, size: int) -> int:
        """Bytes of a part; the whole of an object that goes in one piece."""
        if size <= self._limits.large_bytes or not self._capabilities.remote:
            return max(size, 1)
        return part_size(size, self._limits.part_bytes, self._capabilities)

    async def _hash_by_threads(self, source: SourceFile, descriptor: int, part_bytes: int) -> _FileBody:
        """Hash a file by one thread, or by all if it is huge and no other file is being hashed."""
        is_alone = source.content_bytes >= HUGE_FILE_BYTES and not self._hashing.borrowed_tokens
        others = [object() for _ in range(int(self._hashing.total_tokens) - 1)] if is_alone else []
        for other in others:
            self._hashing.acquire_on_behalf_of_nowait(other)
        try:
            work = partial(self._hash, source, descriptor, part_bytes, threads=1 + len(others))
            return await anyio.to_thread.run_sync(work, limiter=self._hashing)
        finally:
            for other in others:
                self._hashing.release_on_behalf_of(other)

    def _hash(self, source: SourceFile, descriptor: int, part_bytes: int, *, threads: int) -> _FileBody:
        def count(length: int) -> None:
            check_cancelled()
            self._counters.bytes_done += length

        checksum = crc32c if self._capabilities.remote else None
        hashed = hash_large_file(
            source,
            new_hasher=partial(threaded_blake3, threads) if threads > 1 else blake3,
            part_bytes=part_bytes,
            crc32c=checksum,
            on_bytes=count,
            descriptor=descriptor,
        )
        self._counters.files_done += 1
        return _FileBody(hashed, descriptor, in_memory=self._capabilities.remote and self._is_in_memory(descriptor))

    def _is_in_memory(self, descriptor: int) -> bool:
        if self._memory_devices is None:
            self._memory_devices = memory_devices()
        return os.fstat(descriptor).st_dev in self._memory_devices

    async def _send_large(self, body: _FileBody, part_bytes: int) -> int:
        """Send the object unless the store has it; the bytes that were counted as settled."""
        digest = Digest(body.hashed.checksum)
        size = body.hashed.source.content_bytes
        if await self._is_present(digest, size, self._answer(digest, size)):
            return 0
        self._counters.bytes_to_send += size
        if part_bytes >= size:
            async with self.memory.share(min(size, IN_FLIGHT_BYTES)):
                await self._to.write_object(digest, body.range_of(Part(1, 0, size)))
            self._counters.bytes_taken += size
        else:
            await self._write_parts(digest, body, size, part_bytes)
        await self._confirm(digest, body)
        self._counters.count_sent(size)
        return 0 if part_bytes >= size else size

    async def _is_present(self, digest: Digest, size: int, answer: Answer) -> bool:
        if answer is Answer.ABSENT:
            return False
        # A wrong length is a torn or truncated object: it is written again.
        present = answer is Answer.PRESENT or await self._to.object_size(digest) == size
        self._counters.objects_skipped += present
        return present

    def _answer(self, digest: Digest, size: int) -> Answer:
        return Answer.ABSENT if self._recheck else self._presence.answer(digest, size)

    async def _write_parts(self, digest: Digest, body: _FileBody, size: int, part_bytes: int) -> None:
        async with self.uploads.begin(digest, size=size, part_bytes=part_bytes, source=body.hashed.source) as upload:
            async with anyio.create_task_group() as group:
                for part in parts_of(size, part_bytes):
                    # Before the task starts: no more tasks exist than parts are in flight.
                    await self.memory.acquire(min(part.length, IN_FLIGHT_BYTES))
                    group.start_soon(self._send_part, upload, body.range_of(part), part)
            body.check()

    async def _send_part(self, upload: Upload, body: FileRange, part: Part) -> None:
        try:
            await upload.write_part(part.number, body)
            self._counters.bytes_taken += part.length
            self._counters.settled_bytes += part.length
        finally:
            self.memory.release(min(part.length, IN_FLIGHT_BYTES))

    async def _confirm(self, digest: Digest, body: _FileBody) -> None:
        """Take the object back if the file moved while it was being sent."""
        try:
            body.check()
        except InFluxError:
            with anyio.move_on_after(ABORT_SECONDS, shield=True):
                await self._to.delete_object(digest)
            raise


class _FileBody:
    """An open file that was hashed, as ranges."""

    def __init__(self, hashed: HashedFile, descriptor: int, *, in_memory: bool) -> None:
        self.hashed = hashed
        self._descriptor = descriptor
        self._in_memory = in_memory

    def range_of(self, part: Part) -> FileRange:
        crcs = self.hashed.part_crc32c
        crc = crcs[part.number - 1] if crcs else None
        digest = self.hashed.checksum if part.length == self.hashed.source.content_bytes else None
        return FileRange(self._descriptor, part.offset, part.length, crc, self.check, self._in_memory, digest)

    def check(self) -> None:
        """Raise InFluxError if the file has changed since it was hashed."""
        if identity_of(os.fstat(self._descriptor)) != self.hashed.source.identity:
            raise InFluxError(self.hashed.source.file)
