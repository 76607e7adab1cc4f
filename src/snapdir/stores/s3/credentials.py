"""Sources of credentials: the environment, AWS's chain, and sessions with directory buckets."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import anyio
from anyio.to_thread import run_sync

from snapdir.errors import AccessDenied
from snapdir.stores.s3.in_effect import log_credentials
from snapdir.stores.s3.signing import ANONYMOUS, Credentials
from snapdir.stores.s3.target import S3Target

if TYPE_CHECKING:
    from snapdir.stores.s3.aws.chain_failures import Link

POLL_SECONDS = 0.2
"""How often a running helper is checked for a stop."""
STOP_SECONDS = 1.0
SESSION_SECONDS = 300.0
"""How long S3 keeps a session."""
RENEW_AFTER_SECONDS = SESSION_SECONDS - 60


class CredentialSource(Protocol):
    """Gives credentials that are valid for some minutes at least."""

    async def credentials(self) -> Credentials:
        """Valid credentials, renewed before they expire."""

    async def read_again(self) -> Credentials:
        """Credentials read again from their source."""


class EnvironmentCredentials:
    """Keys from the environment, the first link of AWS's chain, without loading botocore.

    Loading it takes 0.15 s, as long as a small push.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    @classmethod
    def find(
        cls, environment: Mapping[str, str] = os.environ, *, anonymous: bool = False
    ) -> EnvironmentCredentials | None:
        """The keys of the environment, or None without a complete pair; ANONYMOUS if ``anonymous``."""
        if anonymous:
            return cls(ANONYMOUS)
        access, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
        if not access or not secret:
            return None
        token = environment.get("AWS_SESSION_TOKEN") or environment.get("AWS_SECURITY_TOKEN") or None
        return cls(Credentials(access, secret, token))

    async def credentials(self) -> Credentials:
        """The keys of the environment.

        Raises:
            AccessDenied: no request can carry them.
        """
        return _checked(self._credentials)

    async def read_again(self) -> Credentials:
        """The current keys: the program may have set others."""
        now = self.find(anonymous=self._credentials is ANONYMOUS)
        self._credentials = now._credentials if now else self._credentials
        return _checked(self._credentials)


class ChainResult(NamedTuple):
    """botocore's credentials, which renew themselves, and their source."""

    credentials: Any
    link: Link


class ChainCredentials:
    """Credentials from AWS's chain, as botocore walks it, in a thread: profiles, SSO, roles, programs, metadata."""

    def __init__(self, target: S3Target) -> None:
        self._target = target
        self._result: ChainResult | None = None
        self._were_given = False
        self._program: _Helper | None = None
        self._cancelled = False

    async def credentials(self) -> Credentials:
        """Valid credentials, renewed some minutes before they expire.

        Raises:
            AccessDenied: no link of the chain has credentials; the message names the one that failed, and a remedy.
        Cancellation: ends the program that the profile runs for them (``credential_process``).
        """
        self._cancelled = False  # an earlier call may have been
        try:
            return await run_sync(self._frozen, abandon_on_cancel=True)
        except anyio.get_cancelled_exc_class():
            self._cancelled = True
            if self._program is not None:
                self._program.stop()
            raise

    async def read_again(self) -> Credentials:
        """Credentials read again: files may have changed, and a program is run again."""
        self._result = None
        return await self.credentials()

    def _frozen(self) -> Credentials:
        from snapdir.stores.s3.aws.chain_failures import link_errors

        result = self._result = self._result or self._walk()
        with link_errors(result.link, is_renewal=self._were_given):
            frozen = result.credentials.get_frozen_credentials()
        self._were_given = True
        return _checked(Credentials(frozen.access_key, frozen.secret_key, frozen.token or None))

    def _walk(self) -> ChainResult:
        """The first link of the chain with credentials; they may still have to be fetched."""
        from snapdir.stores.s3.aws.chain_failures import Link, link_errors, no_credentials, refuse_prompt
        from snapdir.stores.s3.aws.session import credential_chain, new_session

        session = new_session(region=self._target.region)
        chain = credential_chain(session)
        chain.get_provider("custom-process")._popen = self._start
        if not _may_ask():
            chain.get_provider("assume-role")._prompter = refuse_prompt
        profile = session.get_config_variable("profile") or "default"
        for provider in chain.providers:
            link = Link(self._target.url, provider.METHOD, profile, session.full_config)
            with link_errors(link):
                if credentials := provider.load():
                    log_credentials(self._target.url, link)
                    return ChainResult(credentials, link)
        raise no_credentials(self._target.url)

    def _start(self, command: Sequence[str], **options: Any) -> _Helper:
        self._program = _Helper(command, **options)
        if self._cancelled:  # just now, by the other thread
            self._program.stop()
        return self._program


class DirectorySession:
    """Credentials of a session with a directory bucket (S3 Express). One request creates a session.

    Args:
        source: Credentials that may create sessions.
        create: Creates a session; AccessDenied if, for instance, the credentials have expired.
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
        """The credentials of the session; a new one is created a minute before it ends.

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
        """The credentials of a new session."""
        return await self._begin(await self._source.read_again())

    async def _begin(self, credentials: Credentials) -> Credentials:
        began = self._clock()
        self._session = await self._create(credentials)
        self._renew_at = began + RENEW_AFTER_SECONDS
        return self._session


class _Helper(subprocess.Popen[bytes]):
    """A program that prints credentials. After ``stop`` it is not waited for, even if its pipes are still open."""

    is_stopped = False

    def stop(self) -> None:
        """Terminate it, and kill it after STOP_SECONDS."""
        self.is_stopped = True
        self.terminate()

    def communicate(self, *_: object, **__: object) -> tuple[bytes, bytes]:
        """Its output, as botocore reads it: without input and without a time limit.

        Raises:
            TimeoutExpired: it was stopped.
        """
        while True:
            was_stopped = self.is_stopped
            try:
                return super().communicate(timeout=STOP_SECONDS if was_stopped else POLL_SECONDS)
            except subprocess.TimeoutExpired:
                if was_stopped:
                    self.kill()
                    raise


def _checked(credentials: Credentials) -> Credentials:
    """``credentials``, if a header can carry them; the error does not show them."""
    in_headers = (credentials.access_key, credentials.session_token or "")
    if not (
        all(isinstance(text, str) and text.isprintable() and " ".join(text.split()) == text for text in in_headers)
        and isinstance(credentials.secret_key, str)
        and not any("\ud800" <= character <= "\udfff" for character in credentials.secret_key)
    ):
        raise AccessDenied(
            "invalid AWS credentials: they contain a line break, extra spaces or characters that a header cannot hold; "
            "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or the profile in AWS_PROFILE"
        )
    return credentials


def _may_ask() -> bool:
    """Whether there is a terminal to ask for the code of an MFA device."""
    return bool(sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty())
