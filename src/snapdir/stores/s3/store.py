"""Objects in a bucket of S3, or of a service that speaks its language."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from snapdir.errors import AccessDenied, InvalidResponse, ObjectNotFound, StoreRefused
from snapdir.model.keys import MANIFESTS
from snapdir.model.sizes import GIB, MIB
from snapdir.stores.base import Body, Capabilities, ObjectInfo, Page
from snapdir.stores.blocks import BlockSink
from snapdir.stores.listing import shows_order
from snapdir.stores.s3.checksums import Checksums, compared
from snapdir.stores.s3.credentials import ChainCredentials, EnvironmentCredentials
from snapdir.stores.s3.endpoint_note import EndpointNote
from snapdir.stores.s3.listing import ListingProgress
from snapdir.stores.s3.location import S3Target
from snapdir.stores.s3.session import WireSession
from snapdir.stores.s3.transport import Transport, UploadedPart
from snapdir.stores.s3.upload import S3Upload
from snapdir.stores.s3.wire_transport import WireTransport
from snapdir.stores.settings import StoreSettings
from snapdir.stores.urls import StoreURL

__all__ = ["S3Store"]

PART_BYTES = (5 * MIB, 5 * GIB)
MAX_PARTS = 10_000
DEFAULT_CONCURRENCY = 256


class S3Store:
    """Bytes at keys of a bucket, under a prefix.

    S3 writes an object whole or not at all. Every body goes with its CRC32C where that is known, so that a service
    which checks it takes no other bytes than those that were hashed. One that refuses the header is not offered it
    again; there, and until an answer has shown that the service checks it, a file is summed as it leaves. Uploads that
    were neither committed nor aborted are aborted by ``aclose``: their parts would be stored, and paid for, out of
    sight.

    ``stat`` cannot tell a missing bucket from a missing object (a HEAD has no body): both are ObjectNotFound.
    """

    def __init__(
        self,
        transport: Transport,
        target: S3Target,
        *,
        max_concurrency: int = DEFAULT_CONCURRENCY,
        checksums: Checksums | None = None,
    ) -> None:
        self._transport = transport
        self._target = target
        self._checksums = checksums or Checksums()
        self._lists_in_order = target.lists_in_order
        self._uploads: set[S3Upload] = set()
        self._capabilities = Capabilities(
            max_concurrency=max_concurrency,
            part_size_range=PART_BYTES,
            max_parts=MAX_PARTS,
            max_object_bytes=MAX_PARTS * PART_BYTES[1],
            # AWS keeps the promise. Others ignore the header, which reads like success: rclone overwrites.
            conditional_write=target.is_aws and not target.is_outpost,
            copy_service="" if target.is_arn else f"s3 at {target.endpoint or 'aws'}",
            copy_place=f"{target.bucket}/{target.prefix}",
            encrypted=transport.encrypted,
        )

    @classmethod
    async def open(cls, url: StoreURL, settings: StoreSettings) -> S3Store:
        """Resolve configuration and credentials. Asks the bucket nothing.

        Raises:
            InvalidStore: no bucket can have this name.
            InvalidOption: a variable or the AWS profile has a bad value.
            AccessDenied: credentials are configured but cannot be had.
        """
        keys = EnvironmentCredentials.find(anonymous=not settings.bucket.sign)
        target = S3Target.of(url)._replace(options=settings.bucket)
        target = await run_sync(partial(target.completed, keys_are_given=keys is not None))
        concurrency = settings.requests(DEFAULT_CONCURRENCY)
        session = WireSession(target, keys or ChainCredentials(target), settings, max_connections=concurrency)
        note = EndpointNote(settings.notes_dir, target.place)
        checksums = Checksums(note, accepted=not await run_sync(lambda: note.refuses_checksums))
        return cls(WireTransport(session), target, max_concurrency=concurrency, checksums=checksums)

    def __repr__(self) -> str:
        return f"S3Store({self.url!r} at {self._target.place!r})"

    @property
    def url(self) -> str:
        return self._target.url

    @property
    def configured_attempts(self) -> int | None:
        """Tries of a request in all, as the AWS configuration wishes (``max_attempts``)."""
        return self._target.profile.max_attempts

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def stat(self, key: str) -> ObjectInfo:
        return await self._transport.head(key, checksum=self._checksums.accepted and key.startswith(MANIFESTS))

    async def list(self, prefix: str, *, start_after: str = "", resume: str | None = None) -> AsyncIterator[Page]:
        if prefix.startswith("/"):  # no key does, but rclone would list them all
            return
        progress = ListingProgress(f"LIST {self._target.named(None)} at {self._target.place}")
        # A service with another order than that of the keys may leave out what is behind this one.
        asked_after = start_after if self._lists_in_order else ""
        token = resume
        while True:
            page = await self._transport.list_page(prefix, start_after=asked_after, token=token)
            if start_after and not (asked_after or token) and page.next_token and shows_order(page.objects):
                self._lists_in_order = True
                asked_after = start_after
                continue
            token = progress.token_of(page)
            if new := [info for info in progress.new_of(page) if info.key > start_after]:
                yield Page.of(new, token)
            if token is None:
                return

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        if length == 0:
            await self.stat(key)
            return b""
        return await self._transport.get(key, start=start, length=length)

    async def read_into(self, key: str, buffer: memoryview, *, start: int) -> int:
        if not len(buffer):
            await self.stat(key)
            return 0
        return await self._transport.get_into(key, buffer, start=start)

    async def read_through(self, key: str, sink: BlockSink, *, start: int, length: int) -> None:
        if not length:
            await self.stat(key)
            return
        await self._transport.get_through(key, sink, start=start, length=length)

    async def write(self, key: str, body: Body, *, if_absent: bool = False) -> bool:
        """Store ``body``. Where racing writers cannot be told apart, ``if_absent`` looks first.

        Raises:
            InFluxError: the file of ``body`` is not what it was when it was hashed; nothing is written.
        """
        conditional = if_absent and self._capabilities.conditional_write
        if if_absent and not conditional and await self._is_there(key):
            return False
        crc = await self._checksums.of(body)

        async def put(sent_crc: int | None) -> bool:
            by_service = sent_crc is not None and self._transport.compares
            sent = compared(body, by_service=by_service)
            return await self._transport.put(key, sent, crc32c=sent_crc, if_absent=conditional)

        return await self._checksums.send(body, crc, put)

    async def copy_from(self, key: str, source: str) -> None:
        await self._transport.copy(key, source)

    async def begin_upload(self, key: str, *, size: int, part_bytes: int, resume: str | None = None) -> S3Upload:
        async def create(checksums: bool) -> tuple[str, bool]:
            return await self._transport.create_upload(key, checksums=checksums), checksums

        stored = await self._stored_parts(key, resume) if resume else None
        if resume and stored is not None:
            upload_id, checksummed = resume, self._checksums.accepted
        else:
            upload_id, checksummed = await self._checksums.offer(create)
        upload = S3Upload(
            self._transport,
            self._checksums if checksummed else None,
            key,
            upload_id,
            size=size,
            part_bytes=part_bytes,
            stored=stored or (),
            ended=self._uploads.discard,
        )
        self._uploads.add(upload)
        return upload

    async def _stored_parts(self, key: str, upload_id: str) -> Sequence[UploadedPart] | None:
        """The parts of an upload that was begun earlier; None if it is gone, or may not be looked at."""
        parts: list[UploadedPart] = []
        pages = 0
        try:
            async for page in self._transport.list_parts(key, upload_id):
                parts += page
                pages += 1
                if max(pages, len(parts)) > MAX_PARTS:
                    raise InvalidResponse(f"{key}: more parts are listed than an upload can have")
        except (AccessDenied, StoreRefused, ObjectNotFound):
            return None
        return parts

    async def flush(self) -> None:
        """What a service has taken is its own to keep."""

    async def delete(self, keys: Sequence[str]) -> None:
        if keys:
            await self._transport.delete(keys)

    def local_path(self, key: str) -> Path | None:  # noqa: ARG002  # the shape of every store
        return None

    def batch_writer(self) -> None:
        return None

    async def aclose(self) -> None:
        uploads, self._uploads = self._uploads, set()
        try:
            async with anyio.create_task_group() as group:
                for upload in uploads:
                    group.start_soon(upload.abandon)
        finally:
            await self._transport.aclose()

    async def _is_there(self, key: str) -> bool:
        try:
            await self.stat(key)
        except ObjectNotFound:
            return False
        return True
