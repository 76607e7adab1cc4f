"""Signatures, compared with published examples, with botocore, and checked by a real server."""

from __future__ import annotations

import hashlib
from calendar import timegm
from collections.abc import Iterator
from datetime import datetime
from types import SimpleNamespace
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from snapdir.stores.s3.http.pool import Pool
from snapdir.stores.s3.signing import (
    EMPTY_PAYLOAD,
    UNSIGNED_PAYLOAD,
    Credentials,
    Signer,
    encode_path,
    encode_query,
)
from tests.rclone_server import RcloneServer

EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
EXAMPLE_HOST = b"examplebucket.s3.amazonaws.com"
MAY_24_2013 = timegm((2013, 5, 24, 0, 0, 0))


def lines_of(block: bytes) -> dict[str, str]:
    """A block of headers as a mapping."""
    assert block.endswith(b"\r\n")
    pairs = [line.split(": ", 1) for line in block.decode().split("\r\n")[:-1]]
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(map(tuple, pairs))


# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "payload_hash", "signature"),
    [
        pytest.param(
            b"GET",
            "/test.txt",
            [],
            {b"range": b"bytes=0-9"},
            EMPTY_PAYLOAD,
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            id="GET object",
        ),
        pytest.param(
            b"PUT",
            "/test$file.text",
            [],
            {b"date": b"Fri, 24 May 2013 00:00:00 GMT", b"x-amz-storage-class": b"REDUCED_REDUNDANCY"},
            hashlib.sha256(b"Welcome to Amazon S3.").hexdigest().encode(),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            id="PUT object",
        ),
        pytest.param(
            b"GET",
            "/",
            [("lifecycle", "")],
            {},
            EMPTY_PAYLOAD,
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            id="GET lifecycle",
        ),
        pytest.param(
            b"GET",
            "/",
            [("prefix", "J"), ("max-keys", "2")],
            {},
            EMPTY_PAYLOAD,
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            id="list objects",
        ),
    ],
)
def test_the_published_examples(
    method: bytes,
    path: str,
    query: list[tuple[str, str]],
    headers: dict[bytes, bytes],
    payload_hash: bytes,
    signature: str,
) -> None:
    signer = Signer(EXAMPLE, "us-east-1", clock=lambda: MAY_24_2013)
    signed = signer.sign(
        method,
        encode_path(path),
        encode_query(query),
        host=EXAMPLE_HOST,
        headers=headers,
        payload_hash=payload_hash,
    )
    found = lines_of(signed)
    assert found["x-amz-date"] == "20130524T000000Z"
    assert found["x-amz-content-sha256"] == payload_hash.decode()
    names = ";".join(sorted([*(name.decode() for name in headers), "host", "x-amz-content-sha256", "x-amz-date"]))
    assert found["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        f"SignedHeaders={names},Signature={signature}"
    )


keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40) | st.text("/. +%~ü", max_size=20)
queries = st.dictionaries(st.text("abAB-_ ü%+=&~.", min_size=1, max_size=8), st.text(max_size=10), max_size=4)
values = st.from_regex(r"\A[!-~]+( [!-~]+)*\Z")
header_names = st.sampled_from(["content-md5", "if-none-match", "range", "x-amz-checksum-crc32c", "x-amz-meta-a"])


@settings(max_examples=200)
@given(
    key=keys,
    query=queries,
    headers=st.dictionaries(header_names, values),
    method=st.sampled_from(["GET", "PUT", "HEAD"]),
    token=st.none() | st.from_regex(r"\A[a-zA-Z0-9/+=%]{1,40}\Z"),
    payload=st.none() | st.binary(max_size=10),
)
def test_botocore_signs_the_same(
    key: str, query: dict[str, str], headers: dict[str, str], method: str, token: str | None, payload: bytes | None
) -> None:
    path, encoded_query = encode_path("/bucket/" + key), encode_query(query.items())
    assert dict(parse_qsl(encoded_query.decode(), keep_blank_values=True)) == query
    url = "http://localhost:9000" + path.decode() + ("?" + encoded_query.decode() if query else "")
    theirs = AWSRequest(method=method, url=url, headers=headers, data=payload or b"")
    theirs.context["client_config"] = SimpleNamespace(s3={"payload_signing_enabled": payload is not None})
    S3SigV4Auth(BotocoreCredentials("AKID%", "se/cret", token), "s3", "eu-west-1").add_auth(theirs)
    expected = {name.lower(): value for name, value in theirs.headers.items()}
    expected["authorization"] = expected["authorization"].replace(", ", ",")

    then = datetime.strptime(expected["x-amz-date"], "%Y%m%dT%H%M%S%z").timestamp() + 0.5
    signed = Signer(Credentials("AKID%", "se/cret", token), "eu-west-1", clock=lambda: then).sign(
        method.encode(),
        path,
        encoded_query,
        host=b"localhost:9000",
        headers={name.encode(): value.encode() for name, value in headers.items()},
        payload_hash=UNSIGNED_PAYLOAD if payload is None else hashlib.sha256(payload).hexdigest().encode(),
    )
    assert lines_of(signed) == expected


def test_a_path_is_encoded_once_and_never_normalised() -> None:
    assert encode_path("/a//b/../c/./d") == b"/a//b/../c/./d"
    assert encode_path("/a b+c%20d~e_f-g.h*'()!") == b"/a%20b%2Bc%2520d~e_f-g.h%2A%27%28%29%21"
    assert encode_path("/ü/日本/\U0001f600") == b"/%C3%BC/%E6%97%A5%E6%9C%AC/%F0%9F%98%80"


def test_a_query_is_sorted_by_what_is_sent() -> None:
    assert encode_query([("b", "2"), ("a", "/ +"), ("B", ""), ("é", "~")]) == b"%C3%A9=~&B=&a=%2F%20%2B&b=2"
    assert encode_query([]) == b""


def test_the_key_follows_the_day_and_the_time_the_second() -> None:
    now = [MAY_24_2013 + 86_398.9]
    signer = Signer(EXAMPLE, "us-east-1", clock=lambda: now[0])

    def signed() -> tuple[str, str]:
        found = lines_of(signer.sign(b"GET", b"/", host=EXAMPLE_HOST))
        return found["x-amz-date"], found["authorization"].split("/")[1]

    assert signed() == ("20130524T235958Z", "20130524")
    now[0] += 1
    assert signed() == ("20130524T235959Z", "20130524")
    now[0] += 1
    assert signed() == ("20130525T000000Z", "20130525")
    fresh = Signer(EXAMPLE, "us-east-1", clock=lambda: now[0])
    assert signer.sign(b"GET", b"/", host=EXAMPLE_HOST) == fresh.sign(b"GET", b"/", host=EXAMPLE_HOST)


def test_the_clock_can_be_corrected() -> None:
    offset = MAY_24_2013 - 1000
    signer = Signer(EXAMPLE, "us-east-1", clock=lambda: 1000.0, clock_offset_seconds=offset)
    assert lines_of(signer.sign(b"GET", b"/", host=EXAMPLE_HOST))["x-amz-date"] == "20130524T000000Z"


def test_secrets_do_not_show() -> None:
    credentials = Credentials("AKID", "hidden", "hidden-too")
    assert "hidden" not in repr(credentials)
    assert "hidden" not in repr(Signer(credentials, "us-east-1"))


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb", b" a", b"a ", b"a  b", b"\0", b"a\tb"])
def test_a_value_that_would_not_be_signed_as_sent_is_refused(value: bytes) -> None:
    signer = Signer(EXAMPLE, "us-east-1")
    with pytest.raises(ValueError, match="header value"):
        signer.sign(b"GET", b"/", host=EXAMPLE_HOST, headers={b"x-amz-meta-a": value})


@pytest.mark.parametrize(
    "name", [b"Range", b"host", b"x-amz-date", b"x-amz-content-sha256", b"a b", b"a:b", b"", b"a)"]
)
def test_a_name_that_is_not_ours_to_add_is_refused(name: bytes) -> None:
    signer = Signer(EXAMPLE, "us-east-1")
    with pytest.raises(ValueError, match="not a header that can be added"):
        signer.sign(b"GET", b"/", host=EXAMPLE_HOST, headers={name: b"value"})


@pytest.fixture(scope="module")
def real_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RcloneServer]:
    """A server that checks signatures. (With no directory cache at all, rclone spends seconds on nested folders.)"""
    with RcloneServer(tmp_path_factory.mktemp("signed"), arguments=("--dir-cache-time", "1ms")) as server:
        yield server


KEYS = ["a b+c%20d%", "ü/日本/\U0001f600", "~_-.!*'()=;,:@$&?x#y[]"]


@pytest.mark.parametrize("payload_signed", [False, True])
async def test_a_real_server_accepts_the_signatures(real_server: RcloneServer, payload_signed: bool) -> None:
    url = urlsplit(real_server.endpoint)
    signer = Signer(Credentials(real_server.access_key, real_server.secret_key), "us-east-1")
    async with Pool(url.hostname or "", url.port or 0) as pool:

        async def ask(method: bytes, key: str, body: bytes | None = None) -> tuple[int, bytes]:
            path = encode_path(f"/{real_server.bucket}/signing/{payload_signed}/{key}")
            digest = hashlib.sha256(body or b"").hexdigest().encode()
            lines = signer.sign(
                method,
                path,
                host=pool.host_header,
                headers={b"content-type": b"x/y"} if body else {},
                payload_hash=digest if payload_signed else UNSIGNED_PAYLOAD,
            )
            response = await pool.request(method, path, lines, body)
            return response.status, response.body

        for key in KEYS:
            content = key.encode() * 100
            assert (await ask(b"PUT", key, content))[0] == 200, key
            assert await ask(b"GET", key) == (200, content), key
            assert (await ask(b"HEAD", key))[0] == 200, key
        folder = real_server.bucket_folder / "signing" / str(payload_signed)
        assert {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} == set(KEYS)


async def test_a_real_server_refuses_a_wrong_key(real_server: RcloneServer) -> None:
    url = urlsplit(real_server.endpoint)
    signer = Signer(Credentials(real_server.access_key, "wrong"), "us-east-1")
    async with Pool(url.hostname or "", url.port or 0) as pool:
        path = encode_path(f"/{real_server.bucket}/key")
        response = await pool.request(b"GET", path, signer.sign(b"GET", path, host=pool.host_header))
        assert (response.status, b"SignatureDoesNotMatch" in response.body) == (403, True)


async def test_a_real_server_lists_by_a_signed_query(real_server: RcloneServer) -> None:
    url = urlsplit(real_server.endpoint)
    signer = Signer(Credentials(real_server.access_key, real_server.secret_key), "us-east-1")
    query = encode_query([("prefix", "no such/ü+ %"), ("list-type", "2"), ("max-keys", "5")])
    async with Pool(url.hostname or "", url.port or 0) as pool:
        path = encode_path(f"/{real_server.bucket}")
        lines = signer.sign(b"GET", path, query, host=pool.host_header)
        response = await pool.request(b"GET", path + b"?" + query, lines)
        assert (response.status, b"ListBucketResult" in response.body) == (200, True)
