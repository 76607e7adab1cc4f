"""A repository for dry runs: it takes no writes, and counts requests."""

from __future__ import annotations

from snapdir.repository.repository import Repository
from snapdir.stores.dry import DryStore


class Rehearsal(Repository):
    """The repository ``to``, read as usual; what would be written to it is only counted."""

    def __init__(self, to: Repository) -> None:
        store = DryStore(to.store)
        objects = store if to.objects is to.store else DryStore(to.objects)
        super().__init__(store, objects)
        self._dry_stores = {store, objects}

    @property
    def requests(self) -> int:
        """Requests across a network that were sent, and that would have been sent."""
        return sum(store.requests for store in self._dry_stores if store.capabilities.remote)
