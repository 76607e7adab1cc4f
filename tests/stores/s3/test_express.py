"""Directory buckets (S3 Express): hosts, and sessions whose credentials sign the requests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snapdir.errors import AccessDenied, ConnectionFailed, InvalidResponse
from snapdir.stores.bucket_options import BucketOptions
from snapdir.stores.s3.aws.session import completed_target
from snapdir.stores.s3.credentials import SESSION_SECONDS, DirectorySession
from snapdir.stores.s3.signing import Credentials
from snapdir.stores.s3.target import S3Target
from snapdir.stores.urls import StoreURL

from .canned_server import XML, CannedServer, canned, cut, error, reply
from .conftest import CREDENTIALS, QUICK, opened
from .playing_service import Source

BUCKET = "logs--use1-az4--x-s3"
SESSION = Credentials("SESSIONKEY", "s", "session-token", b"x-amz-s3session-token")


def session(key: str = "SESSIONKEY") -> str:
    credentials = "<SessionToken>session-token</SessionToken><SecretAccessKey>session-secret</SecretAccessKey>"
    credentials += f"<AccessKeyId>{key}</AccessKeyId><Expiration>2030-01-01T00:00:00Z</Expiration>"
    return f"{XML}<CreateSessionResult><Credentials>{credentials}</Credentials></CreateSessionResult>"


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in {**CREDENTIALS, "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def asked(server: CannedServer) -> list[tuple[str, str, str]]:
    """Method, target and access key of each request."""
    signed = [request.headers["authorization"].split("Credential=")[1].split("/")[0] for request in server.requests]
    return [(request.method, request.target, key) for request, key in zip(server.requests, signed, strict=True)]


async def test_one_session_signs_all_requests(keys: pytest.MonkeyPatch) -> None:
    async with canned(reply(session()), reply(), reply(f"{XML}<DeleteResult/>")) as server:
        keys.setenv("AWS_ENDPOINT_URL", server.url)
        async with opened(f"s3://{BUCKET}/p") as store:
            await store.write("a", b"data")
            await store.delete(["a", "b"])
    assert asked(server) == [
        ("GET", f"/{BUCKET}?session=", "AKIDCANARY"),
        ("PUT", f"/{BUCKET}/p/a", "SESSIONKEY"),
        ("POST", f"/{BUCKET}?delete=", "SESSIONKEY"),
    ]
    created, written, deleted = (request.headers for request in server.requests)
    assert created["x-amz-create-session-mode"] == "ReadWrite"
    assert created["x-amz-security-token"] == "token-canary"
    for headers in (written, deleted):
        assert headers["x-amz-s3session-token"] == "session-token"
        assert "x-amz-security-token" not in headers
        assert "/us-east-1/s3express/aws4_request" in headers["authorization"]
        assert "x-amz-checksum-crc32c" in headers
        assert "content-md5" not in headers


async def test_the_encryption_of_new_objects_is_that_of_their_session(keys: pytest.MonkeyPatch) -> None:
    settings = replace(QUICK, bucket=BucketOptions(sse="aws:kms", sse_kms_key_id="key"))
    async with canned(reply(session()), reply()) as server:
        keys.setenv("AWS_ENDPOINT_URL", server.url)
        async with opened(f"s3://{BUCKET}/p", settings) as store:
            await store.write("a", b"data")
    for request in server.requests:
        assert request.headers["x-amz-server-side-encryption"] == "aws:kms"
        assert request.headers["x-amz-server-side-encryption-aws-kms-key-id"] == "key"


async def test_a_session_that_has_expired_is_begun_anew(keys: pytest.MonkeyPatch) -> None:
    answers = reply(session()), error("ExpiredToken", 400), reply(session("SECOND")), reply()
    async with canned(*answers) as server:
        keys.setenv("AWS_ENDPOINT_URL", server.url)
        async with opened(f"s3://{BUCKET}") as store:
            await store.write("a", b"data")
    assert [key for _, _, key in asked(server)] == ["AKIDCANARY", "SESSIONKEY", "AKIDCANARY", "SECOND"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error("AccessDenied", 403), AccessDenied),
        (reply("<html>hello</html>"), InvalidResponse),
        (reply(f"{XML}<CreateSessionResult/>"), InvalidResponse),
        (cut(b""), ConnectionFailed),
    ],
    ids=["denied", "page", "empty", "cut off"],
)
async def test_a_session_that_cannot_be_created_is_the_error(
    keys: pytest.MonkeyPatch, answer: object, kind: type[Exception]
) -> None:
    async with canned(answer) as server:
        keys.setenv("AWS_ENDPOINT_URL", server.url)
        async with opened(f"s3://{BUCKET}") as store:
            with pytest.raises(kind, match=f"CREATE SESSION s3://{BUCKET}"):
                await store.write("a", b"data")


async def test_a_session_is_renewed_before_it_ends() -> None:
    now = 0.0
    created: list[str] = []

    async def create(credentials: Credentials) -> Credentials:
        created.append(credentials.access_key)
        return SESSION

    sessions = DirectorySession(Source(), create, clock=lambda: now)
    for now in (0.0, 1.0, SESSION_SECONDS / 2, SESSION_SECONDS - 30, SESSION_SECONDS):  # noqa: B007
        assert await sessions.credentials() == SESSION
    assert len(created) == 2


async def test_credentials_that_were_renewed_on_disk_create_the_session() -> None:
    async def create(credentials: Credentials) -> Credentials:
        if credentials.access_key == "OLD":
            raise AccessDenied("expired")
        return SESSION

    old, new = Credentials("OLD", "s"), Credentials("NEW", "s")
    assert await DirectorySession(Source([old, new]), create).credentials() == SESSION
    with pytest.raises(AccessDenied):
        await DirectorySession(Source([old]), create).credentials()


@pytest.mark.parametrize(
    ("variables", "host", "by_session"),
    [
        ({}, f"{BUCKET}.s3express-use1-az4.us-east-1.amazonaws.com", True),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, f"{BUCKET}.s3express-fips-use1-az4.us-east-1.amazonaws.com", True),
        (
            {"AWS_S3_DISABLE_EXPRESS_SESSION_AUTH": "true"},
            f"{BUCKET}.s3express-use1-az4.us-east-1.amazonaws.com",
            False,
        ),
    ],
)
def test_hosts_are_those_of_the_zone(
    keys: pytest.MonkeyPatch, variables: dict[str, str], host: str, by_session: bool
) -> None:
    for name, value in variables.items():
        keys.setenv(name, value)
    target = completed_target(S3Target.of(StoreURL.parse(f"s3://{BUCKET}/p")))
    assert target.is_directory
    assert not target.lists_in_order
    assert (target.address.host, target.address.service) == (host, "s3express")
    assert target.address.by_session == by_session
