"""Which transport carries a store's requests: our own wherever it applies, aiobotocore's for the rest."""

from __future__ import annotations

import os
from collections.abc import Mapping

from anyio.to_thread import run_sync

from snapdir.errors import InvalidOption
from snapdir.stores.bucket_options import NO_BUCKET_OPTIONS
from snapdir.stores.s3.control import Control
from snapdir.stores.s3.credentials import EnvironmentCredentials
from snapdir.stores.s3.target import S3Target
from snapdir.stores.s3.transport import Transport
from snapdir.stores.settings import StoreSettings

__all__ = ["choose_transport", "why_not_wire"]

WIRE_CONNECTIONS = 256
NOT_THERE = "work neither through a proxy, nor with access points, S3 Express or settings of `s3 =` in ~/.aws/config"


async def choose_transport(target: S3Target, settings: StoreSettings) -> tuple[Transport, S3Target]:
    """A transport, and the target with everything the configuration says.

    With keys and an endpoint in the environment, aiobotocore is not even loaded: 0.36 s.

    Raises:
        InvalidOption, AccessDenied: the configuration cannot be used.
    """
    from snapdir.stores.s3.wire_session import WireSession
    from snapdir.stores.s3.wire_transport import WireTransport

    connections = settings.requests(WIRE_CONNECTIONS)
    own = EnvironmentCredentials.find(anonymous=not target.options.sign)
    settled = own is not None and await run_sync(_is_settled, target)
    if own and settled and why_not_wire(target) is None:
        complete = target.with_profile(endpoint=None, region=None)
        return WireTransport(WireSession(complete, own, settings, max_connections=connections)), complete
    control = await Control.open(target, settings)
    if control.is_plain and why_not_wire(control.target) is None:
        return WireTransport(
            WireSession(control.target, control, settings, max_connections=connections)
        ), control.target
    if target.options._replace(sign=True) != NO_BUCKET_OPTIONS:
        await control.aclose()
        raise InvalidOption(f"{target.url}: --sse, --acl, --storage-class and --request-payer {NOT_THERE}")
    from snapdir.stores.s3.boto_transport import BotoTransport

    return BotoTransport(control), control.target


def why_not_wire(target: S3Target, environment: Mapping[str, str] = os.environ) -> str | None:
    """What our own connections cannot do for this bucket, in a few words; None where they can."""
    if environment.get("SNAPDIR_S3_TRANSPORT", "").lower() == "aiobotocore":
        return "SNAPDIR_S3_TRANSPORT asks for aiobotocore"
    if target.bucket.startswith("arn:") or target.bucket.endswith("--x-s3"):
        return "access points and S3 Express are signed in a way of their own"
    return "requests go through a proxy" if _meets_proxy(target) else None


def _meets_proxy(target: S3Target) -> bool:
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return False
    # 8 ms of HTTP and mail that few need.
    from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

    scheme, host, _, _ = target.address
    proxies = getproxies_environment()
    return scheme in proxies and not proxy_bypass_environment(host, proxies)


def _is_settled(target: S3Target) -> bool:
    """Whether no configuration file can have a say: endpoint and region are given, or there is none. Blocking."""
    if target.endpoint is None or os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE"):
        return False
    configuration = os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config"
    return target.region is not None or not os.path.exists(os.path.expanduser(configuration))
