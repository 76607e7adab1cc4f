"""What goes wrong on our own connections, in the words of a store."""

from __future__ import annotations

import ssl

from snapdir.disk.system import path_of_descriptor
from snapdir.errors import (
    AccessDenied,
    ConnectionFailed,
    InFluxError,
    InvalidResponse,
    LocalError,
    SnapdirError,
    StoreError,
    StoreRefused,
)
from snapdir.errors.local import MORE_DESCRIPTORS
from snapdir.stores.base import Body, FileRange, StillAtWork
from snapdir.stores.s3.failures import CHECK_ENDPOINT, PROXY_CREDENTIALS, Asked
from snapdir.stores.s3.http.connecting import out_of_descriptors
from snapdir.stores.s3.http.errors import (
    BodyChanged,
    BodyTruncated,
    BodyUnreadable,
    ConnectFailed,
    ProtocolViolation,
    ProxyRefused,
    TLSFailed,
    WireError,
    WorkTimeout,
)

__all__ = ["wire_failure"]

NETWORK = "check the endpoint (SNAPDIR_S3_STORE_ENDPOINT_URL, AWS_ENDPOINT_URL_S3) and the network"
PROXY = "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY, the endpoint and the network"
PROXY_RULES = "check that the proxy lets this host and port pass, or except the host by NO_PROXY"
LATER = "run again in some minutes"
LOST = "check the endpoint and the network, then run again"
CERTIFICATE = "name its CA in AWS_CA_BUNDLE if you trust it"
NO_TLS = "write http:// in the endpoint if that is all it speaks"
PLAIN_ANSWER = "WRONG_VERSION_NUMBER"
"""How OpenSSL calls an answer that is no TLS at all."""


def wire_failure(error: WireError, asked: Asked, body: Body | None) -> SnapdirError:
    """Our error for a request that was not carried there and back."""
    if isinstance(body, FileRange) and isinstance(error, BodyTruncated | BodyChanged | BodyUnreadable):
        return _file_failure(error, path_of_descriptor(body.fd))
    kind, advice = _kind_and_advice(error)
    return kind(f"{asked}: {error}; {advice}", key=asked.key)


def _file_failure(error: WireError, path: str) -> SnapdirError:
    if isinstance(error, BodyUnreadable):
        return LocalError(path, str(error.__cause__ or error))
    return InFluxError(path, "shrank") if isinstance(error, BodyTruncated) else InFluxError(path)


def _kind_and_advice(error: WireError) -> tuple[type[StoreError], str]:
    if out_of_descriptors(error):
        return ConnectionFailed, MORE_DESCRIPTORS
    match error:
        case TLSFailed():
            row: tuple[type[StoreError], str] = StoreRefused, _tls_advice(error.__cause__)
        case ProtocolViolation():
            row = InvalidResponse, CHECK_ENDPOINT
        case WorkTimeout():
            row = StillAtWork, LATER
        case ProxyRefused(status=401 | 407):  # tinyproxy says 401 to wrong credentials
            row = AccessDenied, PROXY_CREDENTIALS
        case ProxyRefused() if error.status < 500:
            row = StoreRefused, PROXY_RULES
        case ConnectFailed():
            row = ConnectionFailed, NETWORK if error.server.proxy is None else PROXY
        case _:
            row = ConnectionFailed, LOST
    return row


def _tls_advice(cause: BaseException | None) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return CERTIFICATE
    return NO_TLS if isinstance(cause, ssl.SSLError) and cause.reason == PLAIN_ANSWER else CHECK_ENDPOINT
