"""Whether a listing gets ahead. Pure."""

from __future__ import annotations

from snapdir.errors import InvalidResponse
from snapdir.stores.base import ObjectInfo
from snapdir.stores.s3.xml import ListPage

__all__ = ["MAX_IDLE_PAGES", "ListingProgress"]

MAX_IDLE_PAGES = 100
"""Pages in a row that bring no new key. S3 itself sends empty ones where it has to pass over what was deleted."""


class ListingProgress:
    """What the pages of one listing have brought so far: each key counts once.

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
            InvalidResponse: MAX_IDLE_PAGES in a row had none.
        """
        new = []
        for info in page.objects:
            if info.key not in self._seen:
                self._seen.add(info.key)
                new.append(info)
        self._idle_pages = 0 if new else self._idle_pages + 1
        if self._idle_pages >= MAX_IDLE_PAGES:
            raise InvalidResponse(f"{self._name}: {self._idle_pages} pages in a row brought no new key")
        return new

    def token_of(self, page: ListPage) -> str | None:
        """Where the page says that the listing goes on; None at its end.

        Raises:
            InvalidResponse: where it was before.
        """
        token = page.next_token
        if token in self._tokens:
            raise InvalidResponse(f"{self._name}: a page came twice")
        if token is not None:
            self._tokens.add(token)
        return token
