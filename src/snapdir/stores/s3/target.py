"""The location of a bucket, from the URL, the environment and the AWS configuration."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from snapdir.errors import InvalidOption, InvalidStore
from snapdir.stores.bucket_options import NO_BUCKET_OPTIONS, BucketOptions
from snapdir.stores.s3.aws.configuration import Profile
from snapdir.stores.s3.aws.endpoints import AWSEndpoints, BucketAddress, split_endpoint
from snapdir.stores.urls import ARN, StoreURL

DEFAULT_REGION = "us-east-1"
B2_REGION = "us-west-004"
OWN_ENDPOINT = "SNAPDIR_S3_STORE_ENDPOINT_URL"
ENDPOINTS = {
    "s3": (OWN_ENDPOINT, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "b2": (OWN_ENDPOINT, "SNAPDIR_B2_TEST_ENDPOINT"),
}
REGIONS = {
    "s3": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "b2": ("SNAPDIR_B2_REGION", "AWS_REGION"),
}

DIRECTORIES = ("--x-s3", "--xa-s3")
"""Suffixes of the names of directory buckets and of their access points."""

_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}|arn:[A-Za-z0-9:._-]+").fullmatch
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}").fullmatch


class S3Target(NamedTuple):
    """A prefix in a bucket.

    Attributes:
        url: As a user writes it.
        prefix: The beginning of every key: empty, or ending with a slash.
        endpoint: Base URL of the service, a path in it included; None: AWS's own for the region.
        region: The region of signatures; None: the profile's, else DEFAULT_REGION.
        options: Options that the bucket requires.
        profile: Other settings of the AWS configuration.
    """

    url: str
    bucket: str
    prefix: str
    endpoint: str | None
    region: str | None
    options: BucketOptions = NO_BUCKET_OPTIONS
    profile: Profile = Profile()

    @classmethod
    def of(cls, url: StoreURL, environment: Mapping[str, str] = os.environ) -> S3Target:
        """Read an ``s3://`` or ``b2://`` URL and the environment. An empty variable counts as unset.

        Raises:
            InvalidStore: no bucket can have this name.
            InvalidOption: a variable holds an invalid endpoint or region.
        """
        if not _BUCKET(url.bucket):
            raise InvalidStore(f"{url}: {_why_no_bucket(url.bucket)}; write {url.scheme}://bucket/prefix")
        region = _first(REGIONS[url.scheme], environment, _checked_region)
        names = ENDPOINTS[url.scheme]
        if ignores_configured_endpoints(environment):
            names = tuple(name for name in names if not name.startswith("AWS_"))
        endpoint = _first(names, environment, _checked_endpoint)
        if url.scheme == "b2":
            region = region or B2_REGION
            endpoint = endpoint or f"https://s3.{region}.backblazeb2.com"
        prefix = f"{url.prefix}/" if url.prefix else ""
        profile = Profile.of_environment(environment)
        return cls(str(url), url.bucket, prefix, endpoint, region, profile=profile)

    def with_profile(self, *, endpoint: str | None, region: str | None) -> S3Target:
        """The target with values of the AWS profile that the environment does not set.

        The region in the ARN of an access point is used if no other is given.

        Raises:
            InvalidOption: the profile holds an invalid endpoint or region.
            InvalidStore: the prefix works on AWS only.
        """
        if self.endpoint is None and endpoint:
            endpoint = _checked_endpoint(endpoint, "endpoint_url of the AWS profile")
        if region:
            region = _checked_region(region, "region of the AWS profile")
        region = self.region or region or (self.bucket.split(":")[3] if self.is_arn else "") or DEFAULT_REGION
        complete = self._replace(endpoint=self.endpoint or endpoint or None, region=region)
        if not complete.is_aws:
            _require_plain_parts(complete)
        return complete

    @property
    def is_aws(self) -> bool:
        return self.endpoint is None

    @property
    def is_arn(self) -> bool:
        """Whether the bucket is an access point."""
        return self.bucket.startswith(ARN)

    @property
    def is_outpost(self) -> bool:
        """Whether the bucket is on an AWS Outpost, which promises less than S3."""
        return ":s3-outposts:" in self.bucket

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory bucket (S3 Express), or an access point of one."""
        return self.bucket.endswith(DIRECTORIES)

    @property
    def lists_in_order(self) -> bool:
        """Whether the service lists keys in the order of their bytes, as AWS does except for directory buckets."""
        return self.is_aws and not self.is_directory and not self.is_outpost

    @property
    def address(self) -> BucketAddress:
        """The base URL of requests: by AWS's rules, or with the bucket in the endpoint's path.

        Raises:
            InvalidStore, InvalidOption: the configuration does not fit the bucket. The region has no influence.
        """
        rules = self.profile.endpoints
        if self.is_aws or self.is_directory or (rules and rules.apply_to(self)):
            return (rules or AWSEndpoints()).address(self)
        return split_endpoint(f"{self.endpoint}/{self.bucket}", region=self.region or DEFAULT_REGION)

    def full_key(self, key: str) -> str:
        return self.prefix + key

    def named(self, key: str | None) -> str:
        """The bucket, or an object in it, for messages."""
        return f"s3://{self.bucket}" if key is None else f"s3://{self.bucket}/{self.prefix}{key}"

    @property
    def service_name(self) -> str:
        """The endpoint for messages: without userinfo and query."""
        return shown_endpoint(self.endpoint) if self.endpoint else f"AWS S3 in {self.region}"


def _why_no_bucket(name: str) -> str:
    if ":" in name or "@" in name:  # a key and its secret, most likely: not to be shown
        return "it is not the name of a bucket: set AWS_ACCESS_KEY_ID for a key, AWS_ENDPOINT_URL_S3 for a port"
    return f"{name!r} is not the name of a bucket"


def _require_plain_parts(target: S3Target) -> None:
    """Many services keep objects as files and store ``a//b`` as ``a/b``; a listing of ``a//b`` does not find it."""
    parts = target.prefix.removesuffix("/").split("/") if target.prefix else []
    if not {"", ".", ".."}.isdisjoint(parts):
        scheme, slashes, _ = target.url.partition("://")
        plain = posixpath.normpath(f"/{target.prefix}").strip("/")
        raise InvalidStore(
            f"{target.url}: a prefix with an empty part, `.` or `..` works on AWS only, services other than AWS may "
            f"shorten it; write {scheme}{slashes}{target.bucket}/{plain}"
        )


def ignores_configured_endpoints(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether AWS_IGNORE_CONFIGURED_ENDPOINT_URLS switches AWS's endpoint settings off."""
    return environment.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").strip().lower() == "true"


def shown_endpoint(url: str) -> str:
    """``url`` without possible secrets: userinfo, query, fragment."""
    if "://" not in url:
        return url.rpartition("@")[2].partition("?")[0]
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _first(names: tuple[str, ...], environment: Mapping[str, str], checked: Callable[[str, str], str]) -> str | None:
    for name in names:
        if value := environment.get(name, "").strip():
            return checked(value, name)
    return None


def _checked_endpoint(value: str, name: str) -> str:
    example = "write http://host:port or https://host, credentials and queries do not belong there"
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:  # a port that is not a number, a bracket that is not closed
        raise InvalidOption(f"invalid {name}: {error}: {example}") from None
    if not usable or parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidOption(f"invalid {name}: {shown_endpoint(value)!r}: {example}")
    return value.rstrip("/")


def is_region(text: str) -> bool:
    """Whether ``text`` can be the name of a region."""
    return _REGION(text) is not None


def _checked_region(value: str, name: str) -> str:
    if not is_region(value):
        raise InvalidOption(f"invalid {name}: {value[:80]!r} is not the name of a region, such as eu-central-1")
    return value
