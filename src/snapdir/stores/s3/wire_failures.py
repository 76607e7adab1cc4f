"""What goes wrong on our own connections, in the words of a store."""

from __future__ import annotations

import ssl

from snapdir.disk.system import path_of_descriptor
from snapdir.errors import ConnectionFailed, InFluxError, InvalidResponse, LocalError, SnapdirError, StoreRefused
from snapdir.errors.local import MORE_DESCRIPTORS
from snapdir.stores.base import Body, FileRange, StillAtWork
from snapdir.stores.s3.failures import CHECK_ENDPOINT, Asked
from snapdir.stores.s3.http.connecting import out_of_descriptors
from snapdir.stores.s3.http.errors import (
    BodyChanged,
    BodyTruncated,
    BodyUnreadable,
    ConnectFailed,
    ProtocolViolation,
    TLSFailed,
    WireError,
    WorkTimeout,
)

__all__ = ["wire_failure"]

NETWORK = "check the endpoint (SNAPDIR_S3_STORE_ENDPOINT_URL, AWS_ENDPOINT_URL_S3) and the network"
LATER = "run again in some minutes"
LOST = "check the endpoint and the network, then run again"
CERTIFICATE = "name its CA in AWS_CA_BUNDLE if you trust it"
NO_TLS = "write http:// in the endpoint if that is all it speaks"
PLAIN_ANSWER = "WRONG_VERSION_NUMBER"
"""How OpenSSL calls an answer that is no TLS at all."""


def wire_failure(error: WireError, asked: Asked, body: Body | None) -> SnapdirError:
    """Our error for a request that was not carried there and back."""
    if isinstance(body, FileRange) and isinstance(error, BodyTruncated):
        return InFluxError(path_of_descriptor(body.fd), "shrank")
    if isinstance(body, FileRange) and isinstance(error, BodyChanged):
        return InFluxError(path_of_descriptor(body.fd))
    if isinstance(body, FileRange) and isinstance(error, BodyUnreadable):
        return LocalError(path_of_descriptor(body.fd), str(error.__cause__ or error))
    if isinstance(error, TLSFailed):
        return StoreRefused(f"{asked}: {error}; {_tls_advice(error.__cause__)}", key=asked.key)
    if isinstance(error, ProtocolViolation):
        return InvalidResponse(f"{asked}: {error}; {CHECK_ENDPOINT}", key=asked.key)
    kind = StillAtWork if isinstance(error, WorkTimeout) else ConnectionFailed
    return kind(f"{asked}: {error}; {_network_advice(error)}", key=asked.key)


def _network_advice(error: WireError) -> str:
    if out_of_descriptors(error):
        return MORE_DESCRIPTORS
    if isinstance(error, WorkTimeout):
        return LATER
    return NETWORK if isinstance(error, ConnectFailed) else LOST


def _tls_advice(cause: BaseException | None) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return CERTIFICATE
    return NO_TLS if isinstance(cause, ssl.SSLError) and cause.reason == PLAIN_ANSWER else CHECK_ENDPOINT
