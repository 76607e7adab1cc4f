"""Listings of any store: their order, and how they continue after a failure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from itertools import pairwise

from snapdir.errors import TransientStoreError
from snapdir.stores.base import ObjectInfo, Page, close_pages

TELLING_KEYS = 100
"""A page of this many keys is in order by more than chance."""


def shows_order(page: Sequence[ObjectInfo]) -> bool:
    """Whether a page shows that its store lists keys in the order of their bytes."""
    return len(page) >= TELLING_KEYS and all(info.key < following.key for info, following in pairwise(page))


class ResumedListing:
    """One listing that begins again after a failure: an async generator that has raised is finished.

    It continues after the last page if that page has a resume token; else it begins at the start, and skips known keys.
    (A store need not list in the order of its keys, so the last key is not enough.) Keys are kept in memory only if the
    listing may begin at the start again.

    Args:
        begin: Begins the listing at the start (None), or after a page, by its ``resume``.
        request: Makes the request for a page, within the store's limits.
    """

    def __init__(
        self,
        begin: Callable[[str | None], AsyncIterator[Page]],
        resume: str | None,
        request: Callable[[Callable[[], Awaitable[Page | None]]], Awaitable[Page | None]],
    ) -> None:
        self._begin = begin
        self._resume = resume
        self._request = request
        self._pages: AsyncIterator[Page] | None = None
        self._seen: set[str] = set()

    async def next_new(self) -> Page | None:
        """The next page with keys that were on no page before; None at the end. May be called again after a failure."""
        while (page := await self._next()) is not None:
            self._resume = page.resume
            if new := [info for info in page if info.key not in self._seen]:
                if page.resume is None:
                    self._seen.update(info.key for info in new)
                return Page.of(new, page.resume)
        return None

    async def _next(self) -> Page | None:
        if self._pages is None:
            self._pages = self._begin(self._resume)
        try:
            return await self._request(partial(anext, self._pages, None))
        except TransientStoreError:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Close the listing, at its end or before."""
        pages, self._pages = self._pages, None
        if pages is not None:
            await close_pages(pages)
