"""Endpoint, region and bucket from the URL and the environment."""

from __future__ import annotations

import pytest

from snapdir.errors import InvalidOption, InvalidStore
from snapdir.stores.s3.target import DEFAULT_REGION, S3Target
from snapdir.stores.urls import StoreURL


def target(url: str = "s3://bucket/some/prefix", **environment: str) -> S3Target:
    return S3Target.of(StoreURL.parse(url), environment)


def test_the_bucket_and_the_prefix_come_from_the_url() -> None:
    found = target()
    assert (found.bucket, found.prefix) == ("bucket", "some/prefix/")
    assert found.full_key("key") == "some/prefix/key"
    assert target("s3://bucket").full_key("key") == "key"
    assert found.named("a/b") == "s3://bucket/some/prefix/a/b"


def test_without_settings_it_is_aws_in_the_default_region() -> None:
    found = target().with_profile(endpoint=None, region=None)
    assert (found.is_aws, found.region) == (True, DEFAULT_REGION)


def test_our_own_variable_wins_over_the_ones_of_aws_and_the_profile() -> None:
    names = ["SNAPDIR_S3_STORE_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]
    environment = {name: f"http://{name.lower().replace('_', '-')}:1" for name in names}
    for name in names:
        found = target(**environment).with_profile(endpoint="http://profile", region=None)
        assert found.endpoint == environment.pop(name)
    assert target().with_profile(endpoint="http://profile", region=None).endpoint == "http://profile"


def test_an_empty_variable_is_unset() -> None:
    found = target(
        SNAPDIR_S3_STORE_ENDPOINT_URL="", AWS_ENDPOINT_URL_S3=" ", AWS_ENDPOINT_URL="http://third", AWS_REGION=""
    )
    assert (found.endpoint, found.region) == ("http://third", None)


def test_the_base_path_of_an_endpoint_is_kept() -> None:
    found = target(AWS_ENDPOINT_URL="https://host:9000/s3/gateway/")
    assert found.endpoint == "https://host:9000/s3/gateway"


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [("http://host", 80), ("https://host", 443), ("http://host:443", 443), ("https://host:80", 80)],
)
def test_an_endpoint_without_a_port_has_that_of_its_scheme(endpoint: str, port: int) -> None:
    assert target(AWS_ENDPOINT_URL=endpoint).address[:4] == (endpoint.partition(":")[0], "host", port, "/bucket/")


@pytest.mark.parametrize(
    ("prefix", "plain"),
    [("a//b", "a/b"), ("a/./b", "a/b"), ("a/../b", "b"), ("./a", "a"), ("a/..", ""), ("..", ""), ("a/b/.", "a/b")],
)
@pytest.mark.parametrize("scheme", ["s3", "b2"])
def test_a_prefix_that_services_may_store_elsewhere_is_refused_with_the_plain_one(
    scheme: str, prefix: str, plain: str
) -> None:
    found = target(f"{scheme}://bucket/{prefix}")
    endpoint = "http://minio:9000" if scheme == "s3" else None
    with pytest.raises(InvalidStore, match="services other than AWS") as caught:
        found.with_profile(endpoint=endpoint, region=None)
    assert str(caught.value).endswith(f"write {scheme}://bucket/{plain}")


def test_aws_takes_every_prefix_at_its_word() -> None:
    for prefix in ("a//b", "a/./b", ".."):
        found = target(f"s3://bucket/{prefix}").with_profile(endpoint=None, region=None)
        assert found.full_key("key") == f"{prefix}/key"


@pytest.mark.parametrize("prefix", ["a/b", "/a/b/", "//a/b//", ".a/b..", "...", "a b/%2F", ""])
def test_other_prefixes_are_fine_everywhere(prefix: str) -> None:
    found = target(f"s3://bucket/{prefix}", AWS_ENDPOINT_URL="http://minio:9000")
    kept = prefix.strip("/")
    assert found.with_profile(endpoint=None, region=None).prefix == (f"{kept}/" if kept else "")


def test_the_switch_of_aws_turns_off_its_own_variables_and_not_ours() -> None:
    ignored = {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "AWS_ENDPOINT_URL": "http://aws"}
    assert target(**ignored).endpoint is None
    assert target(**ignored, SNAPDIR_S3_STORE_ENDPOINT_URL="http://ours").endpoint == "http://ours"


def test_the_region_comes_from_either_variable() -> None:
    assert target(AWS_REGION="eu-west-1", AWS_DEFAULT_REGION="eu-west-2").region == "eu-west-1"
    assert target(AWS_DEFAULT_REGION="eu-west-2").region == "eu-west-2"
    assert target().with_profile(endpoint=None, region="eu-west-3").region == "eu-west-3"


@pytest.mark.parametrize(
    ("environment", "endpoint", "region"),
    [
        ({}, "https://s3.us-west-004.backblazeb2.com", "us-west-004"),
        ({"AWS_REGION": "eu-central-003"}, "https://s3.eu-central-003.backblazeb2.com", "eu-central-003"),
        (
            {"SNAPDIR_B2_REGION": "us-east-005", "AWS_REGION": "us-east-1"},
            "https://s3.us-east-005.backblazeb2.com",
            "us-east-005",
        ),
        ({"SNAPDIR_B2_TEST_ENDPOINT": "http://127.0.0.1:1"}, "http://127.0.0.1:1", "us-west-004"),
        (
            {"SNAPDIR_B2_TEST_ENDPOINT": "http://127.0.0.1:1", "SNAPDIR_S3_STORE_ENDPOINT_URL": "http://127.0.0.1:2"},
            "http://127.0.0.1:2",
            "us-west-004",
        ),
        ({"AWS_ENDPOINT_URL_S3": "http://elsewhere"}, "https://s3.us-west-004.backblazeb2.com", "us-west-004"),
    ],
)
def test_b2_has_an_endpoint_in_its_region_and_is_signed_for_it(
    environment: dict[str, str], endpoint: str, region: str
) -> None:
    found = target("b2://bucket/p", **environment).with_profile(endpoint="http://profile", region="profile-1")
    assert (found.endpoint, found.region, found.url) == (endpoint, region, "b2://bucket/p")


@pytest.mark.parametrize("bucket", ["has space", "ümlaut", "a" * 300, "semi;colon", "a:b"])
def test_a_name_no_bucket_can_have_is_refused(bucket: str) -> None:
    with pytest.raises(InvalidStore, match="not the name of a bucket"):
        target(f"s3://{bucket}/p")


@pytest.mark.parametrize(
    "value",
    ["localhost:9000", "ftp://host", "http://", "http://host:port", "http://[::1", "http://h:0", "http://h/?x-id=1"],
)
def test_what_is_no_endpoint_is_refused_by_name(value: str) -> None:
    with pytest.raises(InvalidOption, match="AWS_ENDPOINT_URL_S3"):
        target(AWS_ENDPOINT_URL_S3=value)


def test_credentials_in_an_endpoint_are_refused_and_not_shown() -> None:
    with pytest.raises(InvalidOption) as raised:
        target(SNAPDIR_S3_STORE_ENDPOINT_URL="http://user:canary@host/?token=canary")
    assert "canary" not in str(raised.value)
    assert "http://host/" in str(raised.value)


@pytest.mark.parametrize("value", ["user:canary@host:9000", "user:canary@host/?token=canary"])
def test_credentials_are_not_shown_without_a_scheme_either(value: str) -> None:
    with pytest.raises(InvalidOption, match="'host") as raised:
        target(SNAPDIR_S3_STORE_ENDPOINT_URL=value)
    assert "canary" not in str(raised.value)


def test_what_is_no_region_is_refused_by_name() -> None:
    with pytest.raises(InvalidOption, match="AWS_REGION"):
        target(AWS_REGION="eu west/1")
