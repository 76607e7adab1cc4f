"""The host of a bucket on AWS, by botocore's rules and partitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from snapdir.errors import InvalidOption, InvalidStore
from snapdir.stores.s3.http.endpoint import DEFAULT_PORTS

if TYPE_CHECKING:
    from snapdir.stores.s3.target import S3Target

OPTIONS = {"UseArnRegion": True}
OF_AWS_HOSTS = frozenset({"UseDualStack", "UseFIPS", "UseGlobalEndpoint"})
"""Options that only AWS's own hosts have."""

SIGV4, BY_SESSION = "sigv4", "sigv4-s3express"


class BucketAddress(NamedTuple):
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
        self, loader: Any = None, *, addressing_style: str = "", options: Mapping[str, bool] = OPTIONS
    ) -> None:
        """``options`` are parameters of the rules; ``loader`` is that of a botocore session."""
        from botocore.endpoint_provider import EndpointProvider  # type: ignore[import-untyped]
        from botocore.loaders import Loader  # type: ignore[import-untyped]

        loader = loader or Loader()
        rules = loader.load_service_model("s3", "endpoint-rule-set-1")
        self._provider = EndpointProvider(rules, loader.load_data("partitions"))
        self._style = addressing_style
        self._options = options
        self._accelerate = options.get("Accelerate", False)

    def apply_to(self, target: S3Target) -> bool:
        """Whether the rules apply; otherwise the bucket is in the endpoint's path."""
        return target.is_aws or target.is_arn or target.is_directory or self._accelerate or self._style == "virtual"

    def address(self, target: S3Target) -> BucketAddress:
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
            **self._options,
            "Bucket": target.bucket,
            "Region": target.region or "",
            "ForcePathStyle": self._wants_path(target),
        }
        if target.endpoint is None:
            return parameters
        kept = {name: value for name, value in parameters.items() if name not in OF_AWS_HOSTS}
        return {**kept, "Endpoint": target.endpoint}

    def _wants_path(self, target: S3Target) -> bool:
        if target.is_arn or target.is_directory or self._accelerate:
            return False
        return self._style == "path" if target.is_aws else self._style != "virtual"


def split_endpoint(url: str, *, region: str, service: str = "s3") -> BucketAddress:
    """The parts of the base URL of a bucket."""
    parts = urlsplit(url)
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    return BucketAddress(parts.scheme, parts.hostname or "", port, f"{parts.path.rstrip('/')}/", region, service)
