"""Sources of credentials: the environment, which needs no botocore, AWS's whole chain, or a session on one of them."""

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
from snapdir.stores.s3.location import S3Target
from snapdir.stores.s3.signing import ANONYMOUS, Credentials

if TYPE_CHECKING:
    from snapdir.stores.s3.aws.chain_failures import Link

__all__ = ["ChainCredentials", "CredentialSource", "DirectorySession", "EnvironmentCredentials"]

LOOK_SECONDS = 0.2
"""After which it is seen that a helper was stopped."""
STOP_SECONDS = 1.0
SESSION_SECONDS = 300.0
"""How long S3 keeps a session."""
RENEW_AFTER_SECONDS = SESSION_SECONDS - 60


class CredentialSource(Protocol):
    """Gives credentials that hold for some minutes at least."""

    async def credentials(self) -> Credentials:
        """Those in force, renewed before they expire."""

    async def read_again(self) -> Credentials:
        """Those of now, from where they come from, whatever was found there before."""


class EnvironmentCredentials:
    """Keys from the environment, which come first in AWS's chain: with them botocore is not loaded.

    Loading botocore takes 0.15 s, which is as much as the whole of a small push.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    @classmethod
    def find(
        cls, environment: Mapping[str, str] = os.environ, *, anonymous: bool = False
    ) -> EnvironmentCredentials | None:
        """Those of the environment, or None without a complete pair; ANONYMOUS for ``anonymous`` requests."""
        if anonymous:
            return cls(ANONYMOUS)
        access, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
        if not access or not secret:
            return None
        token = environment.get("AWS_SESSION_TOKEN") or environment.get("AWS_SECURITY_TOKEN") or None
        return cls(Credentials(access, secret, token))

    async def credentials(self) -> Credentials:
        """Those of the environment.

        Raises:
            AccessDenied: no request can carry them.
        """
        return _checked(self._credentials)

    async def read_again(self) -> Credentials:
        """Those of now: a program may have set others."""
        now = self.find(anonymous=self._credentials is ANONYMOUS)
        self._credentials = now._credentials if now else self._credentials
        return _checked(self._credentials)


class _Found(NamedTuple):
    """botocore's credentials, which renew themselves, and where they come from."""

    credentials: Any
    link: Link


class ChainCredentials:
    """Credentials from AWS's chain, as botocore walks it, in a thread: profiles, SSO, roles, programs, metadata."""

    def __init__(self, target: S3Target) -> None:
        self._target = target
        self._found: _Found | None = None
        self._were_given = False
        self._program: _Helper | None = None
        self._cancelled = False

    async def credentials(self) -> Credentials:
        """Those in force, renewed some minutes before they expire.

        Raises:
            AccessDenied: there are none; the message names the link of the chain that failed, and the way out.
        Cancellation: ends the program that the profile runs for them (``credential_process``).
        """
        self._cancelled = False  # that of an earlier call ends no program of this one
        try:
            return await run_sync(self._frozen, abandon_on_cancel=True)
        except anyio.get_cancelled_exc_class():
            self._cancelled = True
            if self._program is not None:
                self._program.stop()
            raise

    async def read_again(self) -> Credentials:
        """Those of now, whatever was found before: files may have changed, and a program is run again."""
        self._found = None
        return await self.credentials()

    def _frozen(self) -> Credentials:
        from snapdir.stores.s3.aws.chain_failures import link_errors

        found = self._found = self._found or self._walk()
        with link_errors(found.link, is_renewal=self._were_given):
            frozen = found.credentials.get_frozen_credentials()
        self._were_given = True
        return _checked(Credentials(frozen.access_key, frozen.secret_key, frozen.token or None))

    def _walk(self) -> _Found:
        """The first link of the chain that has credentials; they need not have been fetched yet."""
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
                    return _Found(credentials, link)
        raise no_credentials(self._target.url)

    def _start(self, command: Sequence[str], **options: Any) -> _Helper:
        self._program = _Helper(command, **options)
        if self._cancelled:  # just now, by the other thread
            self._program.stop()
        return self._program


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


class _Helper(subprocess.Popen[bytes]):
    """A program that prints credentials. Nobody waits for one that was stopped, whatever still holds its pipes."""

    is_stopped = False

    def stop(self) -> None:
        """Ask it to end; it is killed if that takes longer than STOP_SECONDS."""
        self.is_stopped = True
        self.terminate()

    def communicate(self, *_: object, **__: object) -> tuple[bytes, bytes]:
        """What it prints, as botocore asks for it: without input, and for as long as it takes.

        Raises:
            TimeoutExpired: it was stopped.
        """
        while True:
            was_stopped = self.is_stopped
            try:
                return super().communicate(timeout=STOP_SECONDS if was_stopped else LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                if was_stopped:
                    self.kill()
                    raise


def _checked(credentials: Credentials) -> Credentials:
    """Themselves, if a header can carry them; what they are is not said."""
    in_headers = (credentials.access_key, credentials.session_token or "")
    if not (
        all(isinstance(text, str) and text.isprintable() and " ".join(text.split()) == text for text in in_headers)
        and isinstance(credentials.secret_key, str)
        and not any("\ud800" <= character <= "\udfff" for character in credentials.secret_key)
    ):
        raise AccessDenied(
            "no request can carry the AWS credentials: they hold a line end, needless spaces or what is no text; check "
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or what AWS_PROFILE names"
        )
    return credentials


def _may_ask() -> bool:
    """Whether there is a terminal to ask for the code of an MFA device."""
    return bool(sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty())
