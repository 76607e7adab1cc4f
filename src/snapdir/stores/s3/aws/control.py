"""The AWS side of an S3 store: configuration, credentials, region and endpoint, as aiobotocore resolves them."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Mapping
from typing import Any

import anyio
from anyio.to_thread import run_sync

from snapdir.stores.s3.aws.configuration import session_variables
from snapdir.stores.s3.aws.sockets import Sockets
from snapdir.stores.s3.failures import Asked
from snapdir.stores.s3.location import S3Target
from snapdir.stores.settings import StoreSettings

__all__ = ["Control"]

DEFAULT_CONCURRENCY = 64

_ROOT = re.compile(rb"(?:<\?xml[^>]*>\s*)?<([\w:.-]+)").match


class Control:
    """One aiobotocore client and what it was made from.

    botocore's own retries are off (RetryingStore makes them) but for one: a request that meets a bucket of another
    region is sent there at once, and so is every later one.

    Attributes:
        target: Complete: endpoint and region are resolved.
        client: For the transport. Its pool holds ``max_concurrency`` connections.
    """

    def __init__(self, target: S3Target, settings: StoreSettings, session: Any, client: Any, sockets: Sockets) -> None:
        self.target = target
        self.settings = settings
        self.client = client
        self._session = session
        self._sockets = sockets
        self._closed = False

    @classmethod
    async def open(
        cls, target: S3Target, settings: StoreSettings, environment: Mapping[str, str] = os.environ
    ) -> Control:
        """Resolve the configuration and make a client. No request to the store.

        Raises:
            InvalidOption: a profile that does not exist, a configuration file that cannot be read.
            AccessDenied: credentials are configured but cannot be had (an expired sign-in, a failing helper).
        """
        # In threads: the import takes 0.25 s, the client 0.1, and both read files.
        session, target = await run_sync(_session_and_target, target, environment)
        sockets = Sockets()
        making = await run_sync(_client_to_be, session, target, settings, sockets)
        from snapdir.stores.s3.aws.boto_failures import translate

        with translate(Asked(target, "OPEN")):
            # A loop of its own, in a thread: whatever finds credentials may read files and run programs. Shielded,
            # because a thread cannot be stopped.
            with anyio.CancelScope(shield=True):
                client = await run_sync(asyncio.run, making.__aenter__())
        return cls(target, settings, session, client, sockets)

    @property
    def concurrency(self) -> int:
        return self.settings.requests(DEFAULT_CONCURRENCY)

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            await self.client.__aexit__(None, None, None)
            await self._sockets.end()


def _session_and_target(target: S3Target, environment: Mapping[str, str]) -> tuple[Any, S3Target]:
    from aiobotocore.hooks import AioHierarchicalEmitter  # type: ignore[import-untyped]
    from aiobotocore.session import AioSession  # type: ignore[import-untyped]

    from snapdir.stores.s3.aws.session import completed_by_session

    logging.getLogger("aiobotocore").addHandler(logging.NullHandler())  # its tracebacks are for those who ask for them
    hooks = AioHierarchicalEmitter()
    hooks.register_last("before-call.s3", _send_at_once)
    hooks.register_last("before-parameter-build.s3", _ask_for_the_region_once)
    # Registered here, before the session has its own: the first of the first.
    hooks.register_first("before-parse.s3.*", _refuse_pages)
    session = AioSession(session_vars=session_variables(environment), event_hooks=hooks)
    return session, completed_by_session(target, session, environment)


def _client_to_be(session: Any, target: S3Target, settings: StoreSettings, sockets: Sockets) -> Any:
    from aiobotocore.config import AioConfig  # type: ignore[import-untyped]
    from botocore import UNSIGNED  # type: ignore[import-untyped]

    from snapdir.stores.s3.aws.boto_responses import BoundedSession

    config = AioConfig(
        # Checksums are ours to send: many services refuse the trailers that botocore adds by default.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=settings.connect_timeout_seconds,
        read_timeout=max(settings.first_byte_timeout_seconds, settings.stall_timeout_seconds),
        connector_args={"socket_factory": sockets},
        http_session_cls=BoundedSession,
        max_pool_connections=settings.requests(DEFAULT_CONCURRENCY),
        s3=_s3_options(session, target),
        signature_version=None if target.options.sign else UNSIGNED,
    )
    return session.create_client("s3", region_name=target.region, endpoint_url=target.endpoint, config=config)


def _s3_options(session: Any, target: S3Target) -> dict[str, Any]:
    """What the profile says of S3 stands. Else: path style for an endpoint of its own, and payloads are not signed.

    Signing one takes a pass of SHA-256 (1.5 GB/s), over plain HTTP too, where botocore would do it. The CRC32C that
    goes with every object guards its bytes against accidents; what TLS guards against, plain HTTP does not guard.
    """
    profile = session.get_scoped_config().get("s3") or {}
    ours = {
        "addressing_style": "auto" if target.is_aws else "path",
        "payload_signing_enabled": False,
    }
    return {name: value for name, value in ours.items() if name not in profile}


def _send_at_once(params: Any, **_: Any) -> None:
    """Without ``Expect: 100-continue``: a service that answers neither 100 nor an error would be waited for for ever.

    ``rclone serve s3`` does that for some keys; aiohttp has no timeout for it.
    """
    params["headers"].pop("Expect", None)


def _ask_for_the_region_once(model: Any, context: dict[str, Any], **_: Any) -> None:
    """Let botocore not follow the redirect of the very request by which it finds out where a redirect leads.

    Against a service that redirects everything and says nowhere it would recurse until Python stops it.
    """
    if model.name == "HeadBucket":
        context.get("s3_redirect", {})["redirected"] = True


def _refuse_pages(response_dict: Any, **_: Any) -> None:
    """Say of a success whose body is no whole XML document that it makes no sense. botocore would call it a 500."""
    from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]

    body = response_dict["body"]
    if response_dict["status_code"] == 200 and isinstance(body, bytes) and (text := body.strip()):
        root = _ROOT(text)
        name = root[1] if root else b""
        if name.lower() in (b"", b"html") or not text.endswith((b"</%b>" % name, b"/>")):
            raise ResponseParserError("no XML document")
