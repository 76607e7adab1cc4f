"""Which transport carries a store's requests: our own wherever it applies, aiobotocore's for the rest."""

from __future__ import annotations

import os

from anyio.to_thread import run_sync

from snapdir.errors import InvalidOption
from snapdir.stores.bucket_options import NO_BUCKET_OPTIONS
from snapdir.stores.s3.aws.configuration import files_have_a_say
from snapdir.stores.s3.aws.control import Control
from snapdir.stores.s3.credentials import ChainCredentials, EnvironmentCredentials
from snapdir.stores.s3.location import S3Target
from snapdir.stores.s3.proxies import meets_proxy
from snapdir.stores.s3.transport import Transport
from snapdir.stores.settings import StoreSettings

__all__ = ["choose_transport", "why_not_wire"]

WIRE_CONNECTIONS = 256
OWN_OPTIONS = "--sse, --acl, --storage-class and --request-payer"


async def choose_transport(target: S3Target, settings: StoreSettings) -> tuple[Transport, S3Target]:
    """A transport, and the target with everything the configuration says.

    With keys and an endpoint in the environment, and nothing in the files that counts, botocore is not even loaded.

    Raises:
        InvalidStore, InvalidOption, AccessDenied: the configuration cannot be used.
    """
    own = EnvironmentCredentials.find(anonymous=not target.options.sign)
    complete = await run_sync(_completed, target, own is not None)
    reason = why_not_wire(complete)
    if reason is None:
        from snapdir.stores.s3.session import WireSession
        from snapdir.stores.s3.wire_transport import WireTransport

        source = own or ChainCredentials(complete)
        connections = settings.requests(WIRE_CONNECTIONS)
        return WireTransport(WireSession(complete, source, settings, max_connections=connections)), complete
    if target.options._replace(sign=True) != NO_BUCKET_OPTIONS:
        raise InvalidOption(f"{target.url}: leave out {OWN_OPTIONS}, which do not work here: {reason}")
    from snapdir.stores.s3.aws.boto_transport import BotoTransport

    control = await Control.open(target, settings)
    return BotoTransport(control), control.target


def why_not_wire(target: S3Target) -> str | None:
    """What our own connections cannot do for this bucket, in a few words; None where they can."""
    if os.environ.get("SNAPDIR_S3_TRANSPORT", "").lower() == "aiobotocore":
        return "SNAPDIR_S3_TRANSPORT asks for aiobotocore"
    if target.bucket.endswith("--x-s3"):
        return "S3 Express is signed in a way of its own"
    scheme, host, *_ = target.address
    return "requests go through a proxy" if meets_proxy(scheme, host) else None


def _completed(target: S3Target, keys_are_given: bool) -> S3Target:
    """Blocking: may read files and load botocore."""
    is_simple = keys_are_given and target.endpoint is not None and not target.is_arn
    if is_simple and not files_have_a_say(os.environ, region_is_given=target.region is not None):
        return target.with_profile(endpoint=None, region=None)
    from snapdir.stores.s3.aws.session import completed_target

    return completed_target(target, os.environ)
