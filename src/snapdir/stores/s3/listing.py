"""Whether a listing advances. Pure."""

from __future__ import annotations

from snapdir.errors import InvalidResponse
from snapdir.stores.base import ObjectInfo
from snapdir.stores.s3.xml import ListPage

MAX_IDLE_PAGES = 100
"""Pages in a row without a new key. S3 sends empty pages where many keys were deleted."""


class ListingProgress:
    """The keys and tokens of one listing so far.

    Args:
        name: How a failure names the listing.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._seen: set[str] = set()
        self._tokens: set[str] = set()
        self._idle_pages = 0

    def new_of(self, page: ListPage) -> list[ObjectInfo]:
        """The objects that no earlier page had.

        Raises:
            InvalidResponse: MAX_IDLE_PAGES in a row had no new key.
        """
        new = []
        for info in page.objects:
            if info.key not in self._seen:
                self._seen.add(info.key)
                new.append(info)
        self._idle_pages = 0 if new else self._idle_pages + 1
        if self._idle_pages >= MAX_IDLE_PAGES:
            raise InvalidResponse(f"{self._name}: {self._idle_pages} pages in a row had no new key")
        return new

    def token_of(self, page: ListPage) -> str | None:
        """The token of the next page; None at the end.

        Raises:
            InvalidResponse: the token came before.
        """
        token = page.next_token
        if token in self._tokens:
            raise InvalidResponse(f"{self._name}: the service sent the same page twice")
        if token is not None:
            self._tokens.add(token)
        return token
