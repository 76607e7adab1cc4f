"""Credentials for which nothing need be loaded; ``Control`` has all others."""

from __future__ import annotations

import os
from collections.abc import Mapping

from snapdir.stores.s3.signing import ANONYMOUS, Credentials

__all__ = ["EnvironmentCredentials"]


class EnvironmentCredentials:
    """Keys from the environment, which come first in AWS's chain: with them nothing else need be loaded.

    Loading aiobotocore takes 0.36 s, which is more than the whole of a small push.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    @classmethod
    def find(
        cls, environment: Mapping[str, str] = os.environ, *, anonymous: bool = False
    ) -> EnvironmentCredentials | None:
        """Those of the environment, or None if it holds no complete pair; nobody's for ``anonymous`` requests."""
        if anonymous:
            return cls(ANONYMOUS)
        access, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
        if not access or not secret:
            return None
        token = environment.get("AWS_SESSION_TOKEN") or environment.get("AWS_SECURITY_TOKEN") or None
        return cls(Credentials(access, secret, token))

    async def credentials(self) -> Credentials:
        return self._credentials

    async def aclose(self) -> None:
        """Nothing is held."""
