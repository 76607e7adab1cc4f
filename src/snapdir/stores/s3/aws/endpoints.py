"""The host of a bucket on AWS, by botocore's rules and partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from snapdir.errors import InvalidOption, InvalidStore

if TYPE_CHECKING:
    from snapdir.stores.s3.location import S3Target

__all__ = ["AWSEndpoints", "Address", "split_endpoint"]

SIGV4, BY_SESSION = "sigv4", "sigv4-s3express"
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Address(NamedTuple):
    """The base URL of a bucket, and region and service of its signatures.

    Attributes:
        path: The path before keys, with both outer slashes.
        by_session: The credentials of a session with the directory bucket sign requests.
    """

    scheme: str
    host: str
    port: int
    path: str
    region: str
    service: str = "s3"
    by_session: bool = False


class AWSEndpoints:
    """AWS's rules for the hosts of S3, with the options of the configuration.

    Making one reads 0.1 MB of rules: 70 ms. Blocking.
    """

    def __init__(
        self,
        loader: Any = None,
        *,
        addressing_style: str = "",
        dual_stack: bool = False,
        fips: bool = False,
        accelerate: bool = False,
        global_in_us_east_1: bool = False,
        region_of_arn: bool = True,
        sessions: bool = True,
    ) -> None:
        """The options are those of ``~/.aws/config``; ``loader`` is that of a botocore session."""
        from botocore.endpoint_provider import EndpointProvider  # type: ignore[import-untyped]
        from botocore.loaders import Loader  # type: ignore[import-untyped]

        loader = loader or Loader()
        rules = loader.load_service_model("s3", "endpoint-rule-set-1")
        self._provider = EndpointProvider(rules, loader.load_data("partitions"))
        self._style = addressing_style
        self._accelerate = accelerate
        self._global_in_us_east_1 = global_in_us_east_1
        self._variants = {"UseDualStack": dual_stack, "UseFIPS": fips}  # of AWS's own endpoints
        self._region_of_arn = region_of_arn
        self._sessions = sessions

    def apply_to(self, target: S3Target) -> bool:
        """Whether the rules apply; otherwise the bucket is in the endpoint's path."""
        return target.is_aws or target.is_arn or target.is_directory or self._accelerate or self._style == "virtual"

    def address(self, target: S3Target) -> Address:
        """The address of a bucket.

        Raises:
            InvalidStore: it names neither a bucket nor an access point.
            InvalidOption: the options contradict each other, the bucket or the endpoint.
        """
        from botocore.exceptions import EndpointProviderError  # type: ignore[import-untyped]

        try:
            endpoint = self._provider.resolve_endpoint(**self._parameters(target))
        except EndpointProviderError as error:
            kind = InvalidStore if target.is_arn else InvalidOption
            words = str(error.kwargs.get("msg") or error)
            raise kind(f"{target.url}: {words}; check the store's URL and the AWS configuration") from error
        schemes = endpoint.properties.get("authSchemes", ())
        scheme = next((scheme for scheme in schemes if scheme["name"] in (SIGV4, BY_SESSION)), None)
        if scheme is None:
            raise InvalidStore(
                f"{target.url}: a multi-Region access point needs SigV4A signatures, which snapdir does not support; "
                "use the bucket itself, or an access point of one region"
            )
        region = scheme.get("signingRegion") or target.region or ""
        address = split_endpoint(endpoint.url, region=region, service=scheme.get("signingName", "s3"))
        return address._replace(by_session=scheme["name"] == BY_SESSION)

    def _parameters(self, target: S3Target) -> dict[str, str | bool]:
        parameters: dict[str, str | bool] = {
            "Bucket": target.bucket,
            "Region": target.region or "",
            "UseArnRegion": self._region_of_arn,
            "Accelerate": self._accelerate,
            "ForcePathStyle": self._wants_path(target),
            "DisableS3ExpressSessionAuth": not self._sessions,
        }
        if target.endpoint is not None:
            return {**parameters, "Endpoint": target.endpoint}
        return {**parameters, **self._variants, "UseGlobalEndpoint": self._global_in_us_east_1}

    def _wants_path(self, target: S3Target) -> bool:
        if target.is_arn or target.is_directory or self._accelerate:
            return False
        return self._style == "path" if target.is_aws else self._style != "virtual"


def split_endpoint(url: str, *, region: str, service: str = "s3") -> Address:
    """The parts of the base URL of a bucket."""
    parts = urlsplit(url)
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    return Address(parts.scheme, parts.hostname or "", port, f"{parts.path.rstrip('/')}/", region, service)
