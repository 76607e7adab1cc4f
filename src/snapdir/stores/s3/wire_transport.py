"""S3 requests on our own connections: what happens once an object, at a tenth of what a general client costs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from anyio.to_thread import run_sync

from snapdir.errors import ConnectionFailed, InvalidResponse, StoreRefused
from snapdir.hashing.crc32c import crc32c
from snapdir.stores.base import Body, BodyCutShort, ObjectInfo, checked_range
from snapdir.stores.blocks import BlockSink, read_blocks
from snapdir.stores.s3 import xml
from snapdir.stores.s3.checksums import decoded, encoded, is_confirmed
from snapdir.stores.s3.demands import headers_of_all, headers_of_new
from snapdir.stores.s3.failures import CHECK_ENDPOINT, Asked, Refusal, refusal_error
from snapdir.stores.s3.http.errors import WireError
from snapdir.stores.s3.http.responses import Response
from snapdir.stores.s3.location import S3Target
from snapdir.stores.s3.payloads import content_md5
from snapdir.stores.s3.ranges import range_header, total_length_of
from snapdir.stores.s3.responses import (
    EmptyObject,
    UnknownLength,
    WholeObject,
    check_gone,
    check_not_empty,
    expected_bytes,
    is_s3,
    must_be_s3,
    refusal_from,
    seconds_of,
)
from snapdir.stores.s3.session import WireSession
from snapdir.stores.s3.signing import encode_path, encode_query
from snapdir.stores.s3.transport import MAX_READ_BYTES, WORK_SECONDS, ListPage, UploadedPart
from snapdir.stores.s3.wire_failures import wire_failure

__all__ = ["WireTransport"]

MAX_KEYS = 1000
CHECKSUM = b"x-amz-checksum-crc32c"
CONTENT_MD5 = b"content-md5"
CHECKSUM_MODE = {b"x-amz-checksum-mode": b"ENABLED"}
_SUCCESS = {b"GET": (200, 206), b"HEAD": (200, 204), b"PUT": (200,), b"POST": (200,), b"DELETE": (200, 202, 204)}
"""What each method is answered with when it did what it was asked; a PUT that is answered 204 stored nothing."""
_NO_HEADERS: Mapping[bytes, bytes] = {}


class WireTransport:
    """A Transport on one WireSession, which holds connections, credentials and where the bucket is."""

    def __init__(self, session: WireSession) -> None:
        self._session = session
        self.encrypted = session.target.address[0] == "https"
        self.compares = False
        self._wants_md5 = False
        self._headers_of_all = headers_of_all(session.target.options)

    @property
    def _target(self) -> S3Target:
        return self._session.target

    async def head(self, key: str, *, checksum: bool = False) -> ObjectInfo:
        response, size = await self._head(key, checksum=checksum)
        return ObjectInfo(key, size, seconds_of(response.header(b"last-modified")), decoded(_kept_checksum(response)))

    async def size_and_checksum(self, key: str) -> tuple[int, str]:
        response, size = await self._head(key, checksum=True)
        return size, _kept_checksum(response)

    async def _head(self, key: str, *, checksum: bool) -> tuple[Response, int]:
        """The answer to HEAD, and the length of the object."""
        asked = Asked(self._target, "HEAD", key)
        response = await self._send(asked, b"HEAD", headers=CHECKSUM_MODE if checksum else _NO_HEADERS)
        size = response.content_length
        if size is None or response.status != 200 or not is_s3(response):
            size = await self._size_by_range(key)
        return response, size

    async def _size_by_range(self, key: str) -> int:
        """The length of an object whose HEAD does not give it, from a request for its first byte."""
        asked = Asked(self._target, "GET", key)

        def check(response: Response) -> None:
            check_not_empty(response)
            if response.status == 200:  # no Range support: the head of the whole object says enough
                must_be_s3(response, asked)
                raise WholeObject(response.content_length)

        headers = {b"range": b"bytes=0-0"}
        try:
            response = await self._send(asked, b"GET", headers=headers, max_body_bytes=1, also=416, check=check)
        except (EmptyObject, WholeObject) as answer:
            size = answer.size
        else:
            total = total_length_of((response.header(b"content-range") or b"").decode("latin-1"))
            size = 0 if response.status == 416 else total
        if size is None:
            raise InvalidResponse(f"{asked}: neither HEAD nor GET says how long the object is", key=key)
        return size

    async def get(self, key: str, *, start: int, length: int | None) -> bytes:
        asked = Asked(self._target, "GET", key)
        if length == 0:
            await self.head(key)
            return b""
        limit = MAX_READ_BYTES if length is None else length
        response = await self._get(asked, start, length, max_body_bytes=limit)
        return b"" if response is None else response.body

    async def get_into(self, key: str, buffer: memoryview, *, start: int) -> int:
        asked = Asked(self._target, "GET", key)
        response = await self._get(asked, start, len(buffer), into=buffer)
        return 0 if response is None else checked_range(key, response.received, len(buffer))

    async def get_through(self, key: str, sink: BlockSink, *, start: int, length: int) -> None:
        asked = Asked(self._target, "GET", key)
        begin = sink.consumed
        if self._session.nests_tls:
            await read_blocks(lambda view, at: self.get_into(key, view, start=at), sink, start=start, length=length)
            return

        def check(response: Response) -> None:
            check_not_empty(response)
            if response.status == 200 and response.header(b"content-range") is None:
                must_be_s3(response, asked)
            expected_bytes(asked, start, length, response)
            if response.content_length is None:
                raise UnknownLength

        try:
            await self._get(asked, start, length, into=sink, max_body_bytes=length, check=check)
        except UnknownLength:
            await read_blocks(lambda view, at: self.get_into(key, view, start=at), sink, start=start, length=length)
        except ConnectionFailed as error:
            if sink.consumed == begin:
                raise
            raise BodyCutShort(error.args[0], key=key, received=0) from error

    async def put(self, key: str, body: Body, *, crc32c: int | None, if_absent: bool) -> bool:
        asked = Asked(self._target, "PUT", key)
        headers = {**self._of_new(key), **_checksum(crc32c)}
        if if_absent:
            headers[b"if-none-match"] = b"*"
        response = await self._send_body(asked, body, headers=headers, also=412)
        if response.status == 412:
            if if_absent:
                return False
            raise refusal_from(response, asked)
        must_be_s3(response, asked)
        xml.check_written(response.body, asked)
        self._note_checksum(asked, crc32c, response)
        return True

    async def copy(self, key: str, source: str) -> None:
        asked = Asked(self._target, "COPY", key)
        response = await self._send(
            asked,
            b"PUT",
            headers={**self._of_new(key), **_copy_source(source)},
            body=b"",
            patience_seconds=WORK_SECONDS,
        )
        xml.copied_etag(response.body, asked, "CopyObjectResult")

    async def list_page(self, prefix: str, *, start_after: str, token: str | None) -> ListPage:
        asked = Asked(self._target, "LIST")
        full_prefix = self._target.full_key(prefix)
        query = [("list-type", "2"), ("encoding-type", "url"), ("prefix", full_prefix)]
        if token:
            query.append(("continuation-token", token))
        elif start_after:
            query.append(("start-after", self._target.full_key(start_after)))
        response = await self._send(asked, b"GET", query=query, max_body_bytes=xml.PAGE_BYTES)
        return xml.list_page(response.body, asked, self._target.prefix, full_prefix)

    async def delete(self, keys: Sequence[str]) -> None:
        for first in range(0, len(keys), MAX_KEYS):
            await self._delete_some(keys[first : first + MAX_KEYS])

    async def create_upload(self, key: str, *, checksums: bool) -> str:
        asked = Asked(self._target, "POST", key)
        headers = self._of_new(key)
        if checksums:
            headers = {**headers, b"x-amz-checksum-algorithm": b"CRC32C"}
        response = await self._send(asked, b"POST", query=[("uploads", "")], headers=headers)
        return xml.upload_id(response.body, asked)

    async def put_part(self, key: str, upload_id: str, number: int, body: Body, *, crc32c: int | None) -> str:
        asked = Asked(self._target, "PUT", key)
        query = [("partNumber", str(number)), ("uploadId", upload_id)]
        response = await self._send_body(asked, body, query=query, headers=_checksum(crc32c))
        xml.check_written(response.body, asked)
        etag = response.header(b"etag")
        if not etag:
            raise InvalidResponse(f"{asked}: the answer to part {number} has no ETag", key=key)
        self._note_checksum(asked, crc32c, response)
        return etag.decode("latin-1")

    async def copy_part(
        self, key: str, upload_id: str, number: int, source: str, *, start: int, length: int
    ) -> UploadedPart:
        asked = Asked(self._target, "COPY", key)
        query = [("partNumber", str(number)), ("uploadId", upload_id)]
        headers = {**_copy_source(source), b"x-amz-copy-source-range": b"bytes=%d-%d" % (start, start + length - 1)}
        response = await self._send(
            asked, b"PUT", query=query, headers=headers, body=b"", patience_seconds=WORK_SECONDS
        )
        etag, crc32c = xml.copied_etag(response.body, asked, "CopyPartResult")
        return UploadedPart(number, etag, length, crc32c)

    async def complete_upload(self, key: str, upload_id: str, parts: Sequence[UploadedPart]) -> None:
        asked = Asked(self._target, "POST", key)
        body = xml.completion_body(parts)
        query = [("uploadId", upload_id)]
        response = await self._send(asked, b"POST", query=query, body=body, patience_seconds=WORK_SECONDS)
        xml.check_completed(response.body, asked)

    async def abort_upload(self, key: str, upload_id: str) -> None:
        asked = Asked(self._target, "DELETE", key)
        response = await self._send(asked, b"DELETE", query=[("uploadId", upload_id)], also=404)
        check_gone(response, asked)

    async def list_parts(self, key: str, upload_id: str) -> AsyncIterator[Sequence[UploadedPart]]:
        asked = Asked(self._target, "LIST", key)
        marker: str | None = ""
        while marker is not None:
            query = [("uploadId", upload_id)] + ([("part-number-marker", marker)] if marker else [])
            response = await self._send(asked, b"GET", query=query, max_body_bytes=xml.PAGE_BYTES)
            page, marker = xml.part_page(response.body, asked, marker)
            yield page

    async def aclose(self) -> None:
        await self._session.aclose()

    def _note_checksum(self, asked: Asked, crc32c: int | None, response: Response) -> None:
        header = response.header(CHECKSUM)
        if is_confirmed(asked, crc32c, None if header is None else header.decode("latin-1")):
            self.compares = True

    def _of_new(self, key: str) -> Mapping[bytes, bytes]:
        return headers_of_new(self._target.options, key)

    async def _send_body(
        self,
        asked: Asked,
        body: Body,
        *,
        headers: Mapping[bytes, bytes],
        query: Sequence[tuple[str, str]] = (),
        also: int = 0,
    ) -> Response:
        """A PUT, with Content-MD5 from the first refusal on that asks for it (a bucket with Object Lock, say)."""
        if not self._wants_md5:
            try:
                return await self._send(asked, b"PUT", query=query, headers=headers, body=body, also=also)
            except StoreRefused as error:
                if not (error.status == 400 and CONTENT_MD5.decode() in str(error).lower()):
                    raise
        headers = {**headers, CONTENT_MD5: await run_sync(content_md5, body)}
        response = await self._send(asked, b"PUT", query=query, headers=headers, body=body, also=also)
        self._wants_md5 = True
        return response

    async def _get(
        self,
        asked: Asked,
        start: int,
        length: int | None,
        *,
        into: memoryview | BlockSink | None = None,
        max_body_bytes: int = 0,
        check: Callable[[Response], None] = check_not_empty,
    ) -> Response | None:
        """The answer to a ranged GET, known to hold that range; None where the object ends before it."""
        wanted = range_header(start, length)
        headers = {b"range": wanted.encode()} if wanted else _NO_HEADERS
        try:
            response = await self._send(
                asked,
                b"GET",
                headers=headers,
                into=into,
                max_body_bytes=max_body_bytes,
                also=416,
                check=check,
            )
        except EmptyObject:
            return None
        if response.status == 416:
            return None
        if response.status == 200 and response.header(b"content-range") is None:
            must_be_s3(response, asked)
        expected = expected_bytes(asked, start, length, response)
        if expected is not None and response.received != expected:
            raise ConnectionFailed(f"{asked}: {response.received} of {expected} bytes came", key=asked.key)
        return response

    async def _delete_some(self, keys: Sequence[str]) -> None:
        if len(keys) == 1:
            asked = Asked(self._target, "DELETE", keys[0])
            check_gone(await self._send(asked, b"DELETE", also=404), asked)
            return
        asked = Asked(self._target, "DELETE")
        body = xml.delete_body([self._target.full_key(key) for key in keys])
        # A directory bucket takes no Content-MD5.
        headers = _checksum(crc32c(body)) if self._target.is_directory else {CONTENT_MD5: content_md5(body)}
        try:
            response = await self._send(
                asked,
                b"POST",
                query=[("delete", "")],
                headers=headers,
                body=body,
                max_body_bytes=xml.PAGE_BYTES,
                also=204,
            )
        except StoreRefused as error:
            if error.error_code != "NotImplemented":
                raise
            for key in keys:  # some services know no request for many
                await self._delete_some([key])
            return
        if response.status == 204:
            return
        for key, code, message in xml.deletion_failures(response.body, asked):
            if code != "NoSuchKey":
                named = asked._replace(key=key.removeprefix(self._target.prefix))
                raise refusal_error(Refusal(200, code, message), named)

    async def _send(
        self,
        asked: Asked,
        method: bytes,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[bytes, bytes] = _NO_HEADERS,
        body: Body | None = None,
        into: memoryview | BlockSink | None = None,
        max_body_bytes: int = xml.ANSWER_BYTES,
        also: int = 0,
        check: Callable[[Response], None] | None = None,
        patience_seconds: float = 0.0,
    ) -> Response:
        """One signed request, and once more each for what one correction mends: region, clock, credentials."""
        session = self._session
        if self._headers_of_all:
            headers = {**headers, **self._headers_of_all}
        if not session.ready:
            await session.prepare()
        path = session.path_of(asked.key)
        encoded_query = encode_query(query) if query else b""
        # A copy that is refused for a region may speak of the other bucket's.
        corrected: set[str] = {"region"} if asked.verb == "COPY" else set()
        while True:
            signature = session.signature
            try:
                response = await session.request(
                    method,
                    path,
                    encoded_query,
                    headers,
                    body,
                    into=into,
                    max_body_bytes=max_body_bytes,
                    check=check,
                    patience_seconds=patience_seconds,
                )
            except WireError as error:
                raise wire_failure(error, asked, body) from error
            if response.status == also or response.status in _SUCCESS[method]:
                return response
            if response.status < 300:
                raise InvalidResponse(f"{asked}: unexpected HTTP {response.status}; {CHECK_ENDPOINT}", key=asked.key)
            refusal = xml.refusal_of(response.status, response.body, response.headers)
            if session.proxy is not None:
                refusal = refusal._replace(proxy=str(session.proxy))
            correction = await session.correct(refusal, response, corrected, signature)
            if correction is None:
                raise refusal_error(refusal, asked)
            corrected.add(correction)
            path = session.path_of(asked.key)


def _kept_checksum(response: Response) -> str:
    return (response.header(CHECKSUM) or b"").decode("latin-1")


def _copy_source(source: str) -> Mapping[bytes, bytes]:
    return {b"x-amz-copy-source": encode_path(f"/{source}")}


def _checksum(crc32c: int | None) -> Mapping[bytes, bytes]:
    return _NO_HEADERS if crc32c is None else {CHECKSUM: encoded(crc32c).encode()}
