"""Credentials of a session with a directory bucket (S3 Express), by which its requests are signed."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from snapdir.errors import AccessDenied
from snapdir.stores.s3.credentials import CredentialSource
from snapdir.stores.s3.signing import Credentials

__all__ = ["SESSION_SECONDS", "DirectorySession"]

SESSION_SECONDS = 300.0
"""How long S3 keeps a session."""
RENEW_AFTER_SECONDS = SESSION_SECONDS - 60


class DirectorySession:
    """A CredentialSource on another one: each session begins with one request (CreateSession), and is renewed in time.

    Args:
        source: Credentials that may create sessions.
        create: Creates a session; raises AccessDenied where the credentials have expired, for instance.
    """

    def __init__(
        self,
        source: CredentialSource,
        create: Callable[[Credentials], Awaitable[Credentials]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._create = create
        self._clock = clock
        self._session: Credentials | None = None
        self._renew_at = 0.0

    async def credentials(self) -> Credentials:
        """Those of the session, or of a new one a minute before the session ends.

        Raises:
            StoreError: the session cannot be created.
        """
        if self._session is not None and self._clock() < self._renew_at:
            return self._session
        credentials = await self._source.credentials()
        try:
            return await self._begin(credentials)
        except AccessDenied:
            renewed = await self._source.read_again()
            if renewed == credentials:
                raise
            return await self._begin(renewed)

    async def read_again(self) -> Credentials:
        """Those of a new session."""
        return await self._begin(await self._source.read_again())

    async def _begin(self, credentials: Credentials) -> Credentials:
        began = self._clock()
        self._session = await self._create(credentials)
        self._renew_at = began + RENEW_AFTER_SECONDS
        return self._session
