"""The settings of AWS that are in effect for a bucket, and their log."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from snapdir.stores.s3.http.endpoint import DEFAULT_PORTS
from snapdir.stores.s3.target import DEFAULT_REGION, S3Target, shown_endpoint

log = logging.getLogger("snapdir.stores")

KEYS_OF_ENVIRONMENT = "the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
NO_KEYS = "none: requests are not signed"


class InEffect(NamedTuple):
    """A setting that requests to a bucket use.

    Attributes:
        source: ``env``, ``config`` (AWS's files) or ``default``.
    """

    name: str
    value: str
    source: str


def log_settings(target: S3Target, given: S3Target) -> None:
    """Log the settings of a store that is opened: ``target``, which ``given`` was completed to."""
    if log.isEnabledFor(logging.INFO):
        settings = settings_of(target, given, os.environ)
        log.info("%s: %s", target.url, ", ".join(f"{setting.name} {setting.value}" for setting in settings))


def log_credentials(url: str, source: object) -> None:
    """Log where the credentials of a store come from."""
    log.info("%s: credentials from %s", url, source)


def settings_of(target: S3Target, given: S3Target, environment: Mapping[str, str]) -> Iterator[InEffect]:
    """The settings of ``target``, which ``given``, of the URL and the environment alone, was completed to."""
    address = target.address
    port = "" if address.port == DEFAULT_PORTS[address.scheme] else f":{address.port}"
    endpoint = shown_endpoint(target.endpoint) if target.endpoint else f"{address.scheme}://{address.host}{port}"
    yield InEffect("endpoint", endpoint, _source(given.endpoint, target.endpoint))
    region_of_files = None if target.region == DEFAULT_REGION else target.region
    yield InEffect("region", address.region, _source(given.region, region_of_files))
    in_path = address.path.startswith(f"/{target.bucket}/") or address.path.endswith(f"/{target.bucket}/")
    yield InEffect("addressing", "path" if in_path else "virtual-hosted", "default")
    profile = environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE")
    yield InEffect("profile", profile or "default", _source(profile, None))


def _source(of_environment: str | None, of_files: str | None) -> str:
    return "env" if of_environment else "config" if of_files else "default"
