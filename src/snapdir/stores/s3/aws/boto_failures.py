"""What goes wrong below S3, as botocore and aiohttp tell it, in our words."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import aiohttp
from botocore import exceptions as boto  # type: ignore[import-untyped]
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]

from snapdir.errors import (
    AccessDenied,
    ConnectionFailed,
    InvalidResponse,
    SnapdirError,
    StoreError,
    StoreRefused,
)
from snapdir.stores.s3.aws.session import configuration_error
from snapdir.stores.s3.failures import CHECK_ENDPOINT, CREDENTIALS, Asked, Refusal, cleaned, refusal_error

__all__ = ["refusal_of", "translate"]

ENDPOINT = "check the endpoint (SNAPDIR_S3_STORE_ENDPOINT_URL, AWS_ENDPOINT_URL_S3) and the network"
PROXY = "the proxy's address cannot be read: write http://host:port in HTTPS_PROXY and HTTP_PROXY"
CERTIFICATE = "the server's certificate is not trusted: check the endpoint, or name its CA in AWS_CA_BUNDLE"

# The first that fits, so the narrower stand before the wider.
TABLE: tuple[tuple[tuple[type[BaseException], ...], Callable[[Any, Asked], SnapdirError]], ...] = (
    ((boto.ClientError,), lambda error, asked: refusal_error(refusal_of(error.response), asked)),
    ((boto.ConnectTimeoutError,), lambda _, asked: _lost(asked, "no connection in time", ENDPOINT)),
    ((boto.ReadTimeoutError,), lambda _, asked: _lost(asked, "no answer in time", ENDPOINT)),
    ((boto.SSLError, ssl.SSLError), lambda error, asked: _tls(asked, error)),
    ((boto.ProxyConnectionError,), lambda error, asked: _proxy(asked, error)),
    ((boto.EndpointConnectionError,), lambda error, asked: _lost(asked, cause_of(error), ENDPOINT)),
    ((boto.ConnectionClosedError,), lambda _, asked: _lost(asked, "the connection was closed before the answer")),
    ((boto.HTTPClientError,), lambda error, asked: _http(asked, error)),
    ((boto.NoCredentialsError, boto.PartialCredentialsError), lambda _, asked: _denied(asked, CREDENTIALS)),
    ((boto.CredentialRetrievalError,), lambda error, asked: _denied(asked, _silent_helper(error))),
    (
        (
            boto.MetadataRetrievalError,
            boto.SSOError,
            boto.TokenRetrievalError,
            boto.RefreshWithMFAUnsupportedError,
            boto.InfiniteLoopConfigError,
        ),
        lambda error, asked: _denied(asked, f"{cleaned(str(error))}; {CREDENTIALS}"),
    ),
    ((boto.ProfileNotFound, boto.ConfigNotFound, boto.ConfigParseError), lambda error, _: configuration_error(error)),
    ((boto.ParamValidationError,), lambda error, asked: StoreRefused(f"{asked}: {cleaned(str(error))}", key=asked.key)),
    # botocore lets the parsers it is built on speak for themselves: numbers, dates and XML that are none.
    (
        (ResponseParserError, ValueError, KeyError, TypeError, AttributeError),
        lambda error, asked: _nonsense(asked, error),
    ),
    ((boto.BotoCoreError,), lambda error, asked: StoreRefused(f"{asked}: {cleaned(str(error))}", key=asked.key)),
    (
        (aiohttp.ClientError, asyncio.TimeoutError, OSError),
        lambda error, asked: _lost(asked, f"the connection broke off: {cause_of(error)}"),
    ),
)


@contextmanager
def translate(asked: Asked) -> Iterator[None]:
    """Turn whatever botocore or aiohttp raises within the block into our error about ``asked``.

    Only the library's own call belongs in the block: a mistake of ours inside it would be blamed on the server.
    """
    try:
        yield
    except SnapdirError:
        raise
    except Exception as error:
        for kinds, make in TABLE:
            if isinstance(error, kinds):
                # The words of a helper are its own, and may be secret: no traceback shows them either.
                cause = None if isinstance(error, boto.CredentialRetrievalError) else error
                raise make(error, asked) from cause
        raise


def refusal_of(response: Mapping[str, Any]) -> Refusal:
    """What botocore parsed from an error answer. It makes up a code and a message where there was no readable body."""
    error, about = response.get("Error", {}), response.get("ResponseMetadata", {})
    headers = about.get("HTTPHeaders", {})
    code = str(error.get("Code", ""))
    made_up = code.isdigit()
    return Refusal(
        status=int(about.get("HTTPStatusCode", 0)),
        code="" if made_up else code,
        message="" if made_up else str(error.get("Message") or ""),
        request_id=str(about.get("RequestId") or headers.get("x-amz-request-id") or ""),
        retry_after=headers.get("retry-after"),
        server_time=error.get("ServerTime"),
        bucket_region=error.get("Region") or headers.get("x-amz-bucket-region"),
    )


def cause_of(error: BaseException) -> str:
    """The innermost reason in a few words, without URLs."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, aiohttp.ClientConnectorDNSError):
            return f"unknown host {inner.host}"
        if isinstance(inner, asyncio.TimeoutError):
            return "nothing moved for too long"
        if isinstance(inner, OSError) and inner.errno and not isinstance(inner, aiohttp.ClientConnectorError):
            return os.strerror(inner.errno)
        innermost = inner
        inner = inner.kwargs.get("error") if isinstance(inner, boto.BotoCoreError) else inner.__cause__
    return cleaned(str(innermost)) or type(innermost).__name__


def _lost(asked: Asked, what: str, advice: str = "run again") -> ConnectionFailed:
    return ConnectionFailed(f"{asked}: {what}; {advice}", key=asked.key)


def _denied(asked: Asked, what: str) -> AccessDenied:
    return AccessDenied(f"{asked}: {what}", key=asked.key)


def _silent_helper(error: Any) -> str:
    """About a program, or another source, that gave no credentials."""
    source = cleaned(str(error.kwargs.get("provider", "the AWS configuration")), 40)
    what = "credential_process of the AWS profile" if source == "custom-process" else source
    return f"{what} gave no credentials: run it by hand to see why; {CREDENTIALS}"


def _proxy(asked: Asked, error: Any) -> StoreError:
    if getattr(error.kwargs.get("error"), "status", None) == 407:
        return refusal_error(Refusal(407), asked)
    return _lost(asked, f"proxy: {cause_of(error)}", "check HTTPS_PROXY")


def _tls(asked: Asked, error: BaseException) -> StoreError:
    """A certificate stays as it is however often it is asked; any other TLS trouble may pass."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, ssl.SSLCertVerificationError | aiohttp.ClientConnectorCertificateError):
            return StoreRefused(f"{asked}: {CERTIFICATE}", key=asked.key)
        inner = inner.kwargs.get("error") if isinstance(inner, boto.BotoCoreError) else inner.__cause__
    return _lost(asked, "TLS failed", ENDPOINT)


def _http(asked: Asked, error: Any) -> StoreError:
    inner = error.kwargs.get("error")
    if isinstance(inner, boto.InvalidProxiesConfigError):
        return StoreRefused(f"{asked}: {PROXY}", key=asked.key)
    if isinstance(inner, aiohttp.ClientResponseError | ValueError):
        return _nonsense(asked, inner)
    return _lost(asked, cause_of(error))


def _nonsense(asked: Asked, error: BaseException) -> InvalidResponse:
    return InvalidResponse(
        f"{asked}: the answer is not one of S3 ({type(error).__name__}); {CHECK_ENDPOINT}",
        key=asked.key,
    )
