"""Conditions of a PUT, and whether a service heeds them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from snapdir.errors import NoConditionalWrites, StoreRefused
from snapdir.model.keys import REFS_PROBE

IF_ABSENT: Mapping[bytes, bytes] = {b"if-none-match": b"*"}
NEVER_TRUE: Mapping[bytes, bytes] = {b"if-match": b'"00000000000000000000000000000000"'}
PROBE = b"snapdir writes this to find out whether the service heeds conditions\n"

Put = Callable[[str, bytes, Mapping[bytes, bytes]], Awaitable[bool]]
"""Writes on a condition; False if the service refused because of it."""


def if_unchanged(etag: bytes) -> Mapping[bytes, bytes]:
    return {b"if-match": etag}


class Conditions:
    """Finds out once whether a service heeds conditions: many ignore them, and report success.

    Args:
        service: Its name in messages.
        are_heeded: None if that is unknown.
    """

    def __init__(self, put: Put, service: str, *, are_heeded: bool | None) -> None:
        self._put = put
        self._service = service
        self._are_heeded = are_heeded

    async def require(self) -> None:
        """Two or three small PUTs, the first time.

        Raises:
            NoConditionalWrites: The service wrote although the condition was false, or knows no conditions.
        """
        if self._are_heeded is None:
            self._are_heeded = await self._refuses()
        if not self._are_heeded:
            raise NoConditionalWrites(f"{self._service} does not support conditional writes")

    async def _refuses(self) -> bool:
        """Whether false conditions are refused."""
        try:
            if await self._put(REFS_PROBE, PROBE, IF_ABSENT) and await self._put(REFS_PROBE, PROBE, IF_ABSENT):
                return False
            return not await self._put(REFS_PROBE, PROBE, NEVER_TRUE)
        except StoreRefused as error:
            if error.status != 501 and error.error_code != "NotImplemented":
                raise
            return False
