"""Codes and statuses of S3 become snapdir's errors; text of a server is escaped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from snapdir.errors import (
    AccessDenied,
    ConnectionFailed,
    InvalidResponse,
    ObjectNotFound,
    StoreError,
    StoreMissing,
    StoreRefused,
    Throttled,
    TransientStoreError,
)
from snapdir.stores.bucket_options import BucketOptions
from snapdir.stores.s3.failures import (
    CODES,
    SHOWN_CHARACTERS,
    BodyRefused,
    ErrorResponse,
    Operation,
    cleaned,
    retry_after_seconds,
    service_error,
)
from snapdir.stores.s3.target import S3Target

TARGET = S3Target("s3://bucket/p", "bucket", "p/", "http://host:9000", "us-east-1")


def failed(status: int, code: str = "", verb: str = "GET", key: str | None = "key", **more: str) -> StoreError:
    return service_error(ErrorResponse(status, code, **more), Operation(TARGET, verb, key))


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (404, "NoSuchKey", ObjectNotFound),
        (404, "NoSuchBucket", StoreMissing),
        (404, "NoSuchUpload", StoreRefused),
        (404, "NoSuchVersion", StoreRefused),
        (404, "", InvalidResponse),
        (403, "", AccessDenied),
        (401, "", AccessDenied),
        (403, "SomethingNew", AccessDenied),
        (400, "ExpiredToken", AccessDenied),
        (400, "UnsupportedAlgorithm", AccessDenied),
        (400, "", StoreRefused),
        (400, "SomethingNew", StoreRefused),
        (400, "RequestTimeout", ConnectionFailed),
        (400, "IncompleteBody", ConnectionFailed),
        (400, "BadDigest", BodyRefused),
        (408, "", ConnectionFailed),
        (409, "ConditionalRequestConflict", TransientStoreError),
        (416, "InvalidRange", StoreRefused),
        (429, "", Throttled),
        (500, "", TransientStoreError),
        (500, "SomethingNew", TransientStoreError),
        (501, "NotImplemented", StoreRefused),
        (502, "", TransientStoreError),
        (503, "", Throttled),
        (503, "SlowDown", Throttled),
        (200, "SlowDown", Throttled),
        (507, "", StoreRefused),
        (301, "", StoreRefused),
        (307, "TemporaryRedirect", StoreRefused),
    ],
)
def test_the_class_says_what_to_do(status: int, code: str, expected: type[StoreError]) -> None:
    error = failed(status, code)
    assert type(error) is expected
    assert error.key == "key"


def test_a_head_that_finds_nothing_found_no_object() -> None:
    assert type(failed(404, verb="HEAD")) is ObjectNotFound


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_names_what_was_asked_and_where(code: str) -> None:
    error = failed(400, code, verb="LIST", key=None, message="A word of theirs", request_id="R-1")
    for part in ("LIST s3://bucket", "http://host:9000", code, "HTTP 400", "R-1", "A word of theirs"):
        assert part in str(error)
    assert not isinstance(error, ObjectNotFound), "a listing is not an object"


@pytest.mark.parametrize(("minutes", "side"), [(-125, "ahead of"), (125, "behind")])
def test_a_clock_that_is_wrong_is_said_to_be(minutes: int, side: str) -> None:
    there = datetime.now(UTC) + timedelta(minutes=minutes)
    error = failed(403, "RequestTimeTooSkewed", server_time=there.strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert isinstance(error, AccessDenied)
    assert f"the clock here is 125 minutes {side} the store's: correct the clock of this machine" in str(error)
    assert "correct the clock of this machine" in str(failed(403, "RequestTimeTooSkewed", server_time="soon"))


def test_a_bucket_that_is_elsewhere_is_said_to_be_there() -> None:
    error = failed(301, "PermanentRedirect", bucket_region="eu-west-3")
    assert "the bucket is in eu-west-3: set AWS_REGION" in str(error)


@pytest.mark.parametrize(
    ("endpoint", "payer", "is_named"),
    [(None, None, True), (None, "requester", False), ("http://host:9000", None, False)],
)
def test_what_aws_denies_without_a_reason_may_be_for_who_pays(
    endpoint: str | None, payer: str | None, is_named: bool
) -> None:
    target = TARGET._replace(endpoint=endpoint, options=BucketOptions(request_payer=payer))
    error = service_error(ErrorResponse(403, "AccessDenied", "Access Denied"), Operation(target, "GET", "key"))
    assert "check that the credentials (AWS_PROFILE or AWS_ACCESS_KEY_ID) may read and write there" in str(error)
    assert ("a Requester Pays bucket requires --request-payer requester" in str(error)) == is_named


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("7", 7), (" 0 ", 0), ("soon", None), ("-3", None), ("1.5", None), ("9" * 400, 999_999_999)],
)
def test_the_wish_to_be_left_alone_is_a_number(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header) == seconds


def test_or_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 90 < (retry_after_seconds(later) or 0) <= 100
    assert retry_after_seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\r\nlines\tand\x1b[31mcolour\u202e", "two lines and [31mcolour"),
        ("see http://h/k?X-Amz-Signature=abc&x=1 there", "see http://h/k… there"),
        ("Authorization: AWS4-HMAC-SHA256 Credential=AKID, Signature=abc", "…"),
        ("x-amz-security-token: abc", "…"),
        ("x" * 1000, "x" * SHOWN_CHARACTERS + "…"),
    ],
)
def test_what_a_server_says_is_shown_without_secrets_and_tricks(text: str, shown: str) -> None:
    assert cleaned(text) == shown


def test_advice_follows_what_the_service_says_as_one_sentence() -> None:
    message = str(failed(403, "SignatureDoesNotMatch", message="Check your key."))
    assert ": Check your key; check AWS_SECRET_ACCESS_KEY" in message
