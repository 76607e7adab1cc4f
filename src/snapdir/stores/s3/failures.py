"""Errors for error responses (by the code of S3, then by status) and for lost connections."""

from __future__ import annotations

import math
import re
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from snapdir.disk.system import path_of_descriptor
from snapdir.errors import (
    AccessDenied,
    ConnectionFailed,
    InFluxError,
    InvalidResponse,
    LocalError,
    ObjectNotFound,
    SnapdirError,
    StoreError,
    StoreMissing,
    StoreRefused,
    Throttled,
    TransientStoreError,
)
from snapdir.errors.local import MORE_DESCRIPTORS
from snapdir.stores.base import Body, FileRange, StillAtWork
from snapdir.stores.s3.bucket_headers import PAYER, denial_advice
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
from snapdir.stores.s3.http.parsing import http_seconds
from snapdir.stores.s3.target import S3Target, shown_endpoint
from snapdir.stores.settings import MAX_RETRY_AFTER_SECONDS

CHECK_ENDPOINT = "check the endpoint and any proxy in between"

CREDENTIALS = (
    "no usable AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, "
    "or sign in (such as `aws sso login`); for a public bucket, use --no-sign-request"
)

PROXY_CREDENTIALS = "the proxy requires credentials: set HTTPS_PROXY and HTTP_PROXY to http://user:password@host:port"

SHOWN_CHARACTERS = 300
"""The most of a server's text in a message."""


class BodyRefused(TransientStoreError):
    """The service received other bytes than announced: they changed before or during the transfer."""


class Operation(NamedTuple):
    """A request as errors name it: a ``verb`` such as GET or LIST, and the store's ``key`` or None."""

    target: S3Target
    verb: str
    key: str | None = None

    def __str__(self) -> str:
        return f"{self.verb} {self.target.named(self.key)} at {self.target.service_name}"


class ErrorResponse(NamedTuple):
    """The response of a service that did not carry out a request.

    Attributes:
        code: The error code; empty without a readable body, as for every HEAD.
        retry_after: The header as it came.
        server_time: ISO 8601, in errors about the clock.
        date: The header as it came.
        bucket_region: The bucket's region, if the response names it.
        location: Where a redirect leads; it is never followed.
        proxy: The proxy on the way, which may have responded itself.
    """

    status: int
    code: str = ""
    message: str = ""
    request_id: str = ""
    retry_after: str | None = None
    server_time: str | None = None
    date: str | None = None
    bucket_region: str | None = None
    location: str | None = None
    proxy: str = ""

    @property
    def server_seconds(self) -> float | None:
        """The service's time, in Unix seconds; None if it is not said."""
        if not self.server_time:
            return None if self.date is None else http_seconds(self.date)
        try:
            server = datetime.fromisoformat(self.server_time)
        except ValueError:
            return None
        return server.replace(tzinfo=server.tzinfo or UTC).timestamp()

    @property
    def is_by_proxy(self) -> bool:
        """Whether the response may be the proxy's own."""
        return bool(self.proxy) and not (self.code or self.request_id)

    @property
    def text(self) -> str:
        if self.is_by_proxy:
            return f"(HTTP {self.status} through the proxy {self.proxy})"
        code = f"{cleaned(self.code, 80)} " if self.code else ""
        request = f", request {cleaned(self.request_id, 80)}" if self.request_id else ""
        message = f": {cleaned(self.message)}" if self.message else ""
        return f"{code}(HTTP {self.status}{request}){message}"


Make = Callable[[ErrorResponse, Operation, str], StoreError]

RIGHTS = "check that the credentials (AWS_PROFILE or AWS_ACCESS_KEY_ID) may read and write there"
UNKNOWN_KEY = "check AWS_ACCESS_KEY_ID or AWS_PROFILE, and that the key belongs to this endpoint"
WRONG_SECRET = "check AWS_SECRET_ACCESS_KEY, and that no proxy changes requests"  # noqa: S105  # advice
EXPIRED = "sign in again (such as `aws sso login`) or renew AWS_SESSION_TOKEN"
CLOCK = "correct the clock of this machine (NTP); S3 accepts a difference of 15 minutes"
CREATE = "create the bucket, or check its name and the endpoint"
OTHER_REGION = "set AWS_REGION to the bucket's region, or the endpoint to one in that region"
OVERLOADED = "run again later, or with a lower --max-requests or --jobs"
AGAIN = "run again"
ARCHIVED = "restore the object first (such as with `aws s3api restore-object`)"
KMS_KEY = "check --sse-kms-key-id and the key the bucket encrypts with: it must exist, be enabled and be in this region"
FULL = "free space there or raise the quota"

NETWORK = "check the endpoint (SNAPDIR_S3_STORE_ENDPOINT_URL, AWS_ENDPOINT_URL_S3) and the network"
PROXY = "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY, the endpoint and the network"
PROXY_RULES = "allow this host and port in the proxy, or bypass it with NO_PROXY"
LATER = "run again in a few minutes"
LOST = "check the endpoint and the network, then run again"
CERTIFICATE = "if you trust the certificate, set AWS_CA_BUNDLE to a file with its CA"
NO_TLS = "if the service does not support TLS, use http:// in the endpoint"
PLAIN_ANSWER = "WRONG_VERSION_NUMBER"
"""OpenSSL's reason for a response without TLS."""


def _simply(error: type[StoreError]) -> Make:
    return lambda response, operation, advice: error(_sentence(response, operation, advice), key=operation.key)


def _refused(response: ErrorResponse, operation: Operation, advice: str) -> StoreError:
    message = _sentence(response, operation, advice)
    return StoreRefused(message, key=operation.key, status=response.status, error_code=response.code or None)


def _not_found(response: ErrorResponse, operation: Operation, advice: str) -> StoreError:
    """NoSuchKey. For a listing it is an invalid response, never an empty listing."""
    if operation.key is None:
        return InvalidResponse(_sentence(response, operation, advice))
    return ObjectNotFound(operation.key)


def _forbidden(response: ErrorResponse, operation: Operation, advice: str) -> StoreError:
    target = operation.target
    if response.code == "AccessDenied" and target.is_aws and target.options.request_payer is None:
        advice += f"; a Requester Pays bucket requires {PAYER}"  # AWS says no more than "Access Denied" there
    advice = denial_advice(target, operation.verb, response.message) or advice
    return AccessDenied(_sentence(response, operation, advice), key=operation.key)


def _throttled(response: ErrorResponse, operation: Operation, advice: str) -> StoreError:
    seconds = retry_after_seconds(response.retry_after)
    if seconds is not None and seconds > MAX_RETRY_AFTER_SECONDS:
        asks = f"its Retry-After is {seconds:g} s, and snapdir waits at most {MAX_RETRY_AFTER_SECONDS:g} s"
        advice = f"{asks}: {advice}" if advice else asks
    return Throttled(_sentence(response, operation, advice), key=operation.key, retry_after_seconds=seconds)


def _skewed(response: ErrorResponse, operation: Operation, advice: str) -> StoreError:
    return AccessDenied(_sentence(response, operation, f"{_clock_difference(response)}{advice}"), key=operation.key)


def _elsewhere(response: ErrorResponse, operation: Operation, advice: str) -> StoreError:
    if response.bucket_region:
        advice = f"the bucket is in {cleaned(response.bucket_region, 40)}: {advice}"
    elif response.location:
        to = _shown_location(response.location)
        advice = (
            f"snapdir does not follow the redirect to {to}: set the endpoint to that host if you trust it, or {advice}"
        )
    return _refused(response, operation, advice)


def _shown_location(location: str) -> str:
    try:
        return cleaned(shown_endpoint(location), 200)
    except ValueError:  # a bracket that is not closed
        return cleaned(location.rpartition("@")[2].partition("?")[0], 200)


_denied, _transient, _lost = _simply(AccessDenied), _simply(TransientStoreError), _simply(ConnectionFailed)

CODES: dict[str, tuple[Make, str]] = {
    "NoSuchKey": (_not_found, ""),
    "NoSuchBucket": (_simply(StoreMissing), CREATE),
    "InvalidBucketName": (_simply(StoreMissing), CREATE),
    "NoSuchUpload": (_refused, f"the upload was aborted or has expired: {AGAIN}"),
    "AccessDenied": (_forbidden, RIGHTS),
    "AccountProblem": (_forbidden, RIGHTS),
    "AllAccessDisabled": (_forbidden, RIGHTS),
    "InvalidAccessKeyId": (_denied, UNKNOWN_KEY),
    "NotSignedUp": (_forbidden, RIGHTS),
    "SignatureDoesNotMatch": (_denied, WRONG_SECRET),
    "UnsupportedAlgorithm": (_forbidden, WRONG_SECRET),  # rclone, of a request without a signature
    "ExpiredToken": (_denied, EXPIRED),
    "RequestExpired": (_denied, EXPIRED),
    "TokenRefreshRequired": (_denied, EXPIRED),
    "InvalidToken": (_denied, "check AWS_SESSION_TOKEN: it does not belong to these credentials"),
    "RequestTimeTooSkewed": (_skewed, CLOCK),
    "AuthorizationHeaderMalformed": (_elsewhere, OTHER_REGION),
    "IllegalLocationConstraintException": (_elsewhere, OTHER_REGION),
    "PermanentRedirect": (_elsewhere, OTHER_REGION),
    "TemporaryRedirect": (_elsewhere, OTHER_REGION),
    "Redirect": (_elsewhere, OTHER_REGION),
    "BandwidthLimitExceeded": (_throttled, OVERLOADED),
    "RequestLimitExceeded": (_throttled, OVERLOADED),
    "RequestThrottled": (_throttled, OVERLOADED),
    "ServiceUnavailable": (_throttled, OVERLOADED),
    "SlowDown": (_throttled, OVERLOADED),
    "Throttling": (_throttled, OVERLOADED),
    "ThrottlingException": (_throttled, OVERLOADED),
    "TooManyRequests": (_throttled, OVERLOADED),
    "TooManyRequestsException": (_throttled, OVERLOADED),
    "ConditionalRequestConflict": (_transient, AGAIN),
    "InternalError": (_transient, AGAIN),
    "OperationAborted": (_transient, AGAIN),
    "IncompleteBody": (_lost, AGAIN),
    "RequestTimeout": (_lost, AGAIN),
    "BadDigest": (_simply(BodyRefused), AGAIN),
    "InvalidDigest": (_simply(BodyRefused), AGAIN),
    "XAmzContentChecksumMismatch": (_simply(BodyRefused), AGAIN),
    "XAmzContentSHA256Mismatch": (_simply(BodyRefused), AGAIN),
    "InvalidObjectState": (_refused, ARCHIVED),
    "AccessControlListNotSupported": (_refused, "leave out --acl (SNAPDIR_ACL)"),
    "InvalidStorageClass": (_refused, "check --storage-class (SNAPDIR_STORAGE_CLASS)"),
    "InvalidEncryptionAlgorithmError": (_refused, "check --sse (SNAPDIR_SSE)"),
    "KMS.DisabledException": (_refused, KMS_KEY),
    "KMS.InvalidKeyUsageException": (_refused, KMS_KEY),
    "KMS.KMSInvalidStateException": (_refused, KMS_KEY),
    "KMS.NotFoundException": (_refused, KMS_KEY),
    "KMS.ThrottlingException": (_throttled, OVERLOADED),
    "QuotaExceeded": (_refused, FULL),
    "XMinioStorageFull": (_refused, FULL),
}

STATUSES: dict[int, tuple[Make, str]] = {
    400: (_refused, "often the cause is an expired token or the wrong region (AWS_REGION)"),
    401: (_forbidden, RIGHTS),
    403: (_forbidden, RIGHTS),
    407: (_denied, PROXY_CREDENTIALS),
    408: (_lost, AGAIN),
    409: (_transient, AGAIN),
    429: (_throttled, OVERLOADED),
    501: (_refused, "this service cannot do that"),
    503: (_throttled, OVERLOADED),
    505: (_refused, "check the endpoint"),
    507: (_refused, FULL),
    509: (_throttled, OVERLOADED),
}


def service_error(response: ErrorResponse, operation: Operation) -> StoreError:
    """The error to raise for an error response."""
    if response.is_by_proxy and response.status in (401, 407):
        make, advice = _denied, PROXY_CREDENTIALS
    elif response.code in CODES:
        make, advice = CODES[response.code]
    elif response.status == 404:
        return _nothing_there(response, operation)
    elif response.status in STATUSES and not (response.status == 400 and response.code):
        make, advice = STATUSES[response.status]
    elif 300 <= response.status < 400:
        make, advice = _elsewhere, OTHER_REGION
    else:
        make, advice = (_transient, AGAIN) if response.status >= 500 else (_refused, "")
    return make(response, operation, advice)


def _nothing_there(response: ErrorResponse, operation: Operation) -> StoreError:
    """A 404 without a known code. Except for a HEAD, it may come from something in between, and shows no absence."""
    if operation.verb == "HEAD" and not response.code:
        return _not_found(response, operation, "")
    if response.code:
        return _refused(response, operation, "")
    advice = f"this does not look like S3: {CHECK_ENDPOINT}"
    return InvalidResponse(_sentence(response, operation, advice), key=operation.key)


def _sentence(response: ErrorResponse, operation: Operation, advice: str) -> str:
    sentence = f"{operation}: {response.text}"
    return f"{sentence.removesuffix('.')}; {advice}" if advice else sentence


def _clock_difference(response: ErrorResponse) -> str:
    if response.server_seconds is None:
        return ""
    seconds = time.time() - response.server_seconds
    side = "ahead of" if seconds > 0 else "behind"
    return f"the clock here is {abs(seconds) / 60:.0f} minutes {side} the store's: "


def retry_after_seconds(header: str | None) -> float | None:
    """Seconds of a ``Retry-After`` header, a number or an HTTP date; None without a valid one."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    date = http_seconds(text)
    return None if date is None else max(0.0, math.ceil(date - time.time()))


def connection_error(error: WireError, operation: Operation, body: Body | None) -> SnapdirError:
    """The error to raise for a request without a complete response."""
    if isinstance(body, FileRange) and isinstance(error, BodyTruncated | BodyChanged | BodyUnreadable):
        return _file_failure(error, path_of_descriptor(body.fd))
    kind, advice = _kind_and_advice(error)
    return kind(f"{operation}: {error}; {advice}", key=operation.key)


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


_SECRETS = r"(?i)\?\S+|\b(?:x-amz-[a-z0-9-]+|signature|awsaccesskeyid)\s*[=:]\s*\S+|\bauthorization\s*[=:].*"


def cleaned(text: str, length: int = SHOWN_CHARACTERS) -> str:
    """A server's text for a message: short, without control characters, queries and signatures."""
    printable = "".join(character if character.isprintable() else " " for character in text[: 4 * length])
    shown = " ".join(re.sub(_SECRETS, "…", printable).split())
    return shown if len(shown) <= length else f"{shown[:length]}…"
