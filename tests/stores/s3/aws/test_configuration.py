"""S3 settings of ``~/.aws/config`` apply in every set-up, even if keys, region and endpoint are variables."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from anyio.to_thread import run_sync

from snapdir.config import Config
from snapdir.errors import InvalidOption, InvalidStore, ObjectNotFound, TransientStoreError
from snapdir.stores.base import FileRange, Store
from snapdir.stores.open import open_store
from snapdir.stores.s3.aws.configuration import files_affect_settings
from snapdir.stores.s3.aws.session import completed_target
from snapdir.stores.s3.client import S3Client
from snapdir.stores.s3.store import S3Store
from snapdir.stores.s3.target import S3Target
from snapdir.stores.settings import RetryPolicy, StoreSettings
from snapdir.stores.urls import StoreURL
from tests.stores.s3.canned_server import CannedServer, canned, error, reply
from tests.stores.s3.conftest import CREDENTIALS, QUICK
from tests.stores.s3.playing_service import Source
from tests.stores.s3.scripted_server import CERTIFICATE, server_tls

POINT = "arn:aws:s3:us-west-2:123456789012:accesspoint"
OUTPOST = "arn:aws:s3-outposts:us-west-2:123456789012:outpost"
Write = Callable[[str], None]


@pytest.fixture
def configure(tmp_path: Path) -> Write:
    """Writes the default profile of the real file in the home directory."""

    def write(settings: str, *, name: str = "config") -> None:
        file = tmp_path / "home/.aws" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"[default]\n{settings}\n")

    return write


@asynccontextmanager
async def store_of(
    server: CannedServer, monkeypatch: pytest.MonkeyPatch, settings: StoreSettings = QUICK
) -> AsyncIterator[Store]:
    """Opened with keys, region and endpoint in variables."""
    url = server.url.replace("127.0.0.1", "localhost")
    for name, value in {**CREDENTIALS, "AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL_S3": url}.items():
        monkeypatch.setenv(name, value)
    async with open_store("s3://bucket/p", settings) as store:
        yield store


def address(url: str, region: str = "eu-west-1", endpoint: str = "") -> str:
    """Base URL of the bucket, as the files say."""
    environment = {"AWS_REGION": region, "SNAPDIR_S3_STORE_ENDPOINT_URL": endpoint}
    scheme, host, port, path, *_ = completed_target(S3Target.of(StoreURL.parse(url), environment)).address
    return f"{scheme}://{host}{'' if port in (80, 443) else f':{port}'}{path}"


# Every set-up


async def test_bodies_are_signed_where_the_file_says_so(
    configure: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure("s3 =\n  payload_signing_enabled = true")
    content = os.urandom(200_000)
    (tmp_path / "file").write_bytes(b"before" + content)
    async with canned(reply()) as server, store_of(server, monkeypatch) as store:
        with open(tmp_path / "file", "rb") as file:  # noqa: ASYNC230
            await store.write("from-a-file", FileRange(file.fileno(), 6, len(content)))
        await store.write("long", content)
        await store.write("short", b"short")
    signed = [request.headers["x-amz-content-sha256"] for request in server.requests]
    assert signed == [hashlib.sha256(body).hexdigest() for body in (content, content, b"short")]
    assert [request.body for request in server.requests] == [content, content, b"short"]


async def test_the_credentials_file_may_say_it_too(configure: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    configure("s3 =\n  payload_signing_enabled = true", name="credentials")
    async with canned(reply()) as server, store_of(server, monkeypatch) as store:
        await store.write("key", b"data")
    assert server.requests[0].headers["x-amz-content-sha256"] == hashlib.sha256(b"data").hexdigest()


async def test_the_bundle_of_the_file_is_trusted(configure: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(f"ca_bundle = {CERTIFICATE}")
    async with canned(reply(status=404), tls=server_tls()) as server, store_of(server, monkeypatch) as store:
        with pytest.raises(ObjectNotFound):
            await store.stat("key")


async def test_a_bundle_that_is_missing_is_named_with_what_names_it(
    configure: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure("ca_bundle = ~/gone.pem")
    async with canned(reply(status=404), tls=server_tls()) as server, store_of(server, monkeypatch) as store:
        with pytest.raises(
            InvalidOption, match=r"invalid ca_bundle of the AWS profile: .*/home/gone.pem: No such file"
        ):
            await store.stat("key")


async def test_the_variable_comes_before_the_bundle_of_the_file(
    configure: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure("ca_bundle = /gone.pem")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(CERTIFICATE))
    async with canned(reply(status=404), tls=server_tls()) as server, store_of(server, monkeypatch) as store:
        with pytest.raises(ObjectNotFound):
            await store.stat("key")


@pytest.mark.parametrize(
    ("setting", "variable", "chosen", "attempts"),
    [
        ("max_attempts = 2", "", None, 2),
        ("", "3", None, 3),
        ("max_attempts = 2", "3", None, 3),
        ("max_attempts = 2", "", 1, 1),
    ],
    ids=["file", "variable", "both", "option"],
)
async def test_attempts_are_those_of_the_configuration_unless_an_option_says_others(
    configure: Write, monkeypatch: pytest.MonkeyPatch, setting: str, variable: str, chosen: int | None, attempts: int
) -> None:
    configure(setting)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", variable)
    quick = Config().with_options(max_retries=chosen, retry_base_ms=0, retry_max_ms=0).stores
    async with canned(error("InternalError", 500)) as server, store_of(server, monkeypatch, quick) as store:
        with pytest.raises(TransientStoreError):
            await store.stat("key")
    assert len(server.requests) == attempts


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("max_attempts = many", "max_attempts of the AWS profile"),
        ("max_attempts = 0", "max_attempts of the AWS profile"),
        ("max_attempts = 99999999999999999999", "max_attempts of the AWS profile"),
        ("s3 =\n  addressing_style = vritual", "addressing_style"),
        ("s3 =\n  us_east_1_regional_endpoint = global", "us_east_1_regional_endpoint"),
    ],
)
async def test_a_bad_value_is_named(
    configure: Write, monkeypatch: pytest.MonkeyPatch, setting: str, named: str
) -> None:
    configure(setting)
    async with canned(reply()) as server:
        with pytest.raises(InvalidOption, match=named):
            async with store_of(server, monkeypatch):
                pass


def test_a_bad_number_in_the_variable_is_named() -> None:
    with pytest.raises(InvalidOption, match="AWS_MAX_ATTEMPTS"):
        S3Target.of(StoreURL.parse("s3://bucket"), {"AWS_MAX_ATTEMPTS": "-1"})


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("region = eu-west-1\noutput = json\nsso_region = x", False),
        ("# s3 =\n", False),
        ("s3 =\n  addressing_style = path", True),
        ("S3 =\n  addressing_style = path", True),
        ("ca_bundle=/x", True),
        ("max_attempts : 3", True),
    ],
)
def test_files_without_a_say_are_not_parsed(configure: Write, text: str, counts: bool) -> None:
    configure(text)
    assert files_affect_settings({}, region_is_given=True) is counts
    assert files_affect_settings({}, region_is_given=False) is (counts or "region" in text)
    assert files_affect_settings({"AWS_PROFILE": "x"}, region_is_given=True)


# Hosts


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "bucket.s3.eu-west-1.amazonaws.com"),
        ("cn-north-1", "bucket.s3.cn-north-1.amazonaws.com.cn"),
        ("eusc-de-east-1", "bucket.s3.eusc-de-east-1.amazonaws.eu"),
        ("us-iso-east-1", "bucket.s3.us-iso-east-1.c2s.ic.gov"),
        ("us-isob-east-1", "bucket.s3.us-isob-east-1.sc2s.sgov.gov"),
        ("us-gov-west-1", "bucket.s3.us-gov-west-1.amazonaws.com"),
    ],
)
def test_each_partition_has_its_hosts(region: str, host: str) -> None:
    assert address("s3://bucket/p", region) == f"https://{host}/"


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("", "https://bucket.s3.us-east-1.amazonaws.com/"),
        ("s3 =\n  addressing_style = path", "https://s3.us-east-1.amazonaws.com/bucket/"),
        ("s3 =\n  use_dualstack_endpoint = true", "https://bucket.s3.dualstack.us-east-1.amazonaws.com/"),
        ("use_dualstack_endpoint = true", "https://bucket.s3.dualstack.us-east-1.amazonaws.com/"),
        (
            "use_dualstack_endpoint = true\ns3 =\n  use_dualstack_endpoint = false",
            "https://bucket.s3.us-east-1.amazonaws.com/",
        ),
        ("use_fips_endpoint = true", "https://bucket.s3-fips.us-east-1.amazonaws.com/"),
        ("s3 =\n  use_accelerate_endpoint = true", "https://bucket.s3-accelerate.amazonaws.com/"),
        ("s3 =\n  us_east_1_regional_endpoint = legacy", "https://bucket.s3.amazonaws.com/"),
        ("s3 =\n  max_concurrent_requests = 20", "https://bucket.s3.us-east-1.amazonaws.com/"),
    ],
)
def test_settings_of_the_profile_choose_the_host(configure: Write, setting: str, expected: str) -> None:
    configure(setting)
    assert address("s3://bucket", "us-east-1") == expected


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("AWS_USE_DUALSTACK_ENDPOINT", "https://bucket.s3.dualstack.eu-west-1.amazonaws.com/"),
        ("AWS_USE_FIPS_ENDPOINT", "https://bucket.s3-fips.eu-west-1.amazonaws.com/"),
    ],
)
def test_variables_choose_it_too(monkeypatch: pytest.MonkeyPatch, variable: str, expected: str) -> None:
    monkeypatch.setenv(variable, "true")
    assert address("s3://bucket") == expected
    monkeypatch.setenv(variable, "")
    assert address("s3://bucket") == "https://bucket.s3.eu-west-1.amazonaws.com/"


@pytest.mark.parametrize(
    ("url", "style", "endpoint", "expected"),
    [
        ("s3://bucket/p", "auto", "http://minio:9000/base", "http://minio:9000/base/bucket/"),
        ("s3://bucket/p", "virtual", "http://minio:9000", "http://bucket.minio:9000/"),
        ("s3://bucket/p", "virtual", "http://10.0.0.1:9000", "http://10.0.0.1:9000/bucket/"),
        ("s3://my_bucket/p", "virtual", "http://minio:9000", "http://minio:9000/my_bucket/"),
        ("s3://bucket/p", "path", "http://minio_server:9000", "http://minio_server:9000/bucket/"),
        ("s3://my_bucket/p", "auto", "", "https://s3.eu-west-1.amazonaws.com/my_bucket/"),
        ("s3://my.bucket/p", "auto", "", "https://s3.eu-west-1.amazonaws.com/my.bucket/"),
        ("b2://bucket/p", "virtual", "", "https://bucket.s3.us-west-004.backblazeb2.com/"),
    ],
)
def test_endpoints_have_the_bucket_in_the_path_or_in_the_host(
    configure: Write, url: str, style: str, endpoint: str, expected: str
) -> None:
    configure(f"s3 =\n  addressing_style = {style}\n  use_dualstack_endpoint = true")
    if not endpoint and url.startswith("s3:"):
        configure(f"s3 =\n  addressing_style = {style}")
    region = "us-west-004" if url.startswith("b2:") else "eu-west-1"
    assert address(url, region, endpoint) == expected


def test_what_contradicts_an_endpoint_is_an_error(configure: Write) -> None:
    configure("s3 =\n  use_accelerate_endpoint = true")
    with pytest.raises(InvalidOption, match=r"s3://bucket/p: .*custom endpoint.*Accelerate.*AWS configuration"):
        address("s3://bucket/p", endpoint="http://minio:9000")
    with pytest.raises(InvalidOption, match=r"s3://my\.bucket: .*Accelerate"):
        address("s3://my.bucket")
    assert address("b2://bucket", "us-west-004") == "https://s3.us-west-004.backblazeb2.com/bucket/"


async def test_a_host_may_have_an_underscore(configure: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    configure("region = eu-west-1\nendpoint_url = http://minio_server:9000")
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    store = await S3Store.open(StoreURL.parse("s3://my_bucket/p"), QUICK)
    assert store._target.address.host == "minio_server"
    await store.aclose()


# Access points


@pytest.mark.parametrize("region", ["", "us-east-1"])
@pytest.mark.parametrize(
    ("arn", "host", "service"),
    [
        (f"{POINT}{{}}data", "data-123456789012.s3-accesspoint.us-west-2.amazonaws.com", "s3"),
        (
            f"{POINT.replace(':s3:', ':s3-object-lambda:')}{{}}data",
            "data-123456789012.s3-object-lambda.us-west-2.amazonaws.com",
            "s3-object-lambda",
        ),
        (
            f"{OUTPOST}{{}}op-01234567890123456{{}}accesspoint{{}}data",
            "data-123456789012.op-01234567890123456.s3-outposts.us-west-2.amazonaws.com",
            "s3-outposts",
        ),
    ],
    ids=["access-point", "object-lambda", "outpost"],
)
@pytest.mark.parametrize("prefix", ["", "/a/b:c"])
def test_access_points_are_named_in_either_spelling(
    arn: str, host: str, service: str, region: str, prefix: str
) -> None:
    spelled = [f"s3://{arn.replace('{}', mark)}{prefix}" for mark in ":/"]
    stores = [StoreURL.parse(url) for url in spelled]
    assert stores[0] == stores[1]
    assert (stores[0].bucket, stores[0].prefix) == (arn.replace("{}", ":"), prefix[1:])
    target = completed_target(S3Target.of(stores[1], {"AWS_REGION": region}))
    assert (target.address.host, target.address.service) == (host, service)
    assert (target.address.region, target.address.path) == ("us-west-2", "/")


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:s3",
        "arn:aws:s3:us-west-2:123456789012",
        POINT,
        f"{POINT}/",
        f"{POINT}:",
        f"{POINT}//data",
        f"{POINT}:data:more",
        "arn:aws:s3:::bucket",
        f"{OUTPOST}/op-1",
        f"{OUTPOST}/op-1/accesspoint",
        f"{OUTPOST}/op-1/bucket/data",
        "arn:aws:sqs:us-west-2:123456789012:queue",
    ],
)
def test_an_arn_that_is_cut_short_or_another_ones_is_refused_when_it_is_parsed(arn: str) -> None:
    with pytest.raises(InvalidStore, match=r"not the ARN of an access point: write s3://arn:aws:s3:REGION"):
        StoreURL.parse(f"s3://{arn}")


@pytest.mark.parametrize(
    ("arn", "words"),
    [
        ("arn:aws:s3::123456789012:accesspoint:abc.mrap", "multi-Region"),
        ("arn:aws-cn:s3:cn-north-1:123456789012:accesspoint:data", "partition"),
        (f"{POINT}:under_score", "under_score"),
    ],
)
def test_an_access_point_that_cannot_be_used_is_refused_when_it_is_opened(arn: str, words: str) -> None:
    with pytest.raises(InvalidStore, match=words):
        completed_target(S3Target.of(StoreURL.parse(f"s3://{arn}"), {"AWS_REGION": "eu-west-1"}))


def test_a_profile_may_keep_access_points_to_its_own_region(configure: Write) -> None:
    configure("s3_use_arn_region = false")
    with pytest.raises(InvalidStore, match="UseArnRegion"):
        address(f"s3://{POINT}/data", "us-east-1")


async def test_objects_of_access_points_are_copied_by_sending_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    store = await S3Store.open(StoreURL.parse(f"s3://{POINT}/data"), QUICK)
    assert store.capabilities.copy_service == ""
    await store.aclose()


async def test_requests_to_an_access_point_are_signed_for_its_service_and_region() -> None:
    url = StoreURL.parse(f"s3://{POINT.replace(':s3:', ':s3-object-lambda:')}/data")
    target = await run_sync(completed_target, S3Target.of(url, {"AWS_REGION": "us-east-1"}))
    client = S3Client(target, Source(), QUICK, max_connections=1)
    signer, _ = await client._prepare()
    assert client._key_path == b"/"
    assert b"/us-west-2/s3-object-lambda/aws4_request" in signer.sign(b"GET", b"/key", host=b"host")
    await client.aclose()


def test_a_chosen_number_of_attempts_stays() -> None:
    assert StoreSettings().with_attempts(3).retry.attempts == 3
    assert StoreSettings().with_attempts(None).retry == RetryPolicy(more_if_throttled=2)
    assert Config().with_options(max_retries=5).stores.with_attempts(3).retry.attempts == 5


@pytest.mark.parametrize("keys_are_given", [True, False])
async def test_a_named_pipe_is_refused_where_reading_would_never_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keys_are_given: bool
) -> None:
    pipe = tmp_path / "home/.aws/config"
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)
    if keys_are_given:
        for name, value in {**CREDENTIALS, "AWS_REGION": "r", "AWS_ENDPOINT_URL": "http://minio:9000"}.items():
            monkeypatch.setenv(name, value)
    with pytest.raises(InvalidOption, match="config is a named pipe"):
        await S3Store.open(StoreURL.parse("s3://bucket"), QUICK)
