"""Whether a request would go through a proxy, as the variables of the environment say."""

from __future__ import annotations

import ipaddress
import os

__all__ = ["meets_proxy"]


def meets_proxy(scheme: str, host: str) -> bool:
    """Whether ``HTTP_PROXY`` and the like name a proxy for ``scheme``, and ``NO_PROXY`` does not except ``host``.

    ``NO_PROXY`` may name hosts, domains, addresses and networks (``10.0.0.0/8``, for hosts given by their address).
    """
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return False
    # 8 ms of HTTP and mail that few need.
    from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

    proxies = getproxies_environment()
    if scheme not in proxies:
        return False
    return not (_is_in_a_network(host, proxies.get("no", "")) or proxy_bypass_environment(host, proxies))


def _is_in_a_network(host: str, no_proxy: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in map(_network, no_proxy.split(",")) if network is not None)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip().removeprefix("[").removesuffix("]"), strict=False)
    except ValueError:
        return None
