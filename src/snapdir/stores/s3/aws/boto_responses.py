"""aiohttp's answers with a bound: botocore reads every answer but an object whole, however long it is."""

from __future__ import annotations

from aiobotocore.httpsession import AIOHTTPSession  # type: ignore[import-untyped]
from aiohttp import ClientPayloadError, ClientResponse, ClientSession

from snapdir.stores.s3.http.receiving import ERROR_BODY_BYTES
from snapdir.stores.s3.xml import ANSWER_BYTES, PAGE_BYTES

__all__ = ["BoundedSession"]


class BoundedResponse(ClientResponse):
    """An answer of which ``read`` takes a bounded number of bytes. Objects are not read by it."""

    async def read(self) -> bytes:
        """The body; of an error its beginning.

        Raises:
            ClientPayloadError: longer than any answer to such a request is.
        """
        if self._body is None:
            try:
                self._body = await self._bounded()
            except BaseException:
                self.close()
                raise
        return self._body

    async def _bounded(self) -> bytes:
        collected = bytearray()
        while block := await self.content.readany():
            collected += block
            if len(collected) > self._most_bytes:
                self.close()
                if self.status < 300:
                    raise ClientPayloadError(f"an answer of more than {self._most_bytes} bytes")
                del collected[self._most_bytes :]
                break
        return bytes(collected)

    @property
    def _most_bytes(self) -> int:
        if self.status >= 300:
            return ERROR_BODY_BYTES
        return PAGE_BYTES if self.method in ("GET", "POST") else ANSWER_BYTES


class BoundedSession(AIOHTTPSession):  # type: ignore[misc]
    """botocore's way to send requests, whose answers are BoundedResponses."""

    async def _get_session(self, proxy_url: str | None) -> ClientSession:
        session: ClientSession = await super()._get_session(proxy_url)
        session._response_class = BoundedResponse  # aiobotocore leaves no other way to it
        return session
