"""What a checkout would do to a directory that exists. Blocking; reads, never writes."""

from __future__ import annotations

from pathlib import Path

from snapdir.disk.destination import Destination
from snapdir.errors import DestinationConflict, LocalError
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Repository
from snapdir.transfer.checkout import CheckoutOptions
from snapdir.transfer.destination.conflicts import refuse_conflicts
from snapdir.transfer.destination.linked import survey_links
from snapdir.transfer.destination.mirror import leftovers, would_go
from snapdir.transfer.destination.survey import is_empty, survey
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.plan import PlannedObject, plan_tree
from snapdir.transfer.engine.selection import Selection

__all__ = ["rehearse"]


def rehearse(
    manifest: Manifest,
    cache: Repository,
    into: Path,
    *,
    selection: Selection,
    options: CheckoutOptions,
    counters: Counters,
) -> list[PlannedObject]:
    """List in ``counters`` what a checkout would replace, remove and leave over, and fail where it would fail.

    Returns the objects that it would read.

    Args:
        cache: What ``options.linked`` makes links to.

    Raises:
        UnsafePath, DestinationConflict: as ``checkout``.
        LocalError: a directory cannot be read.
    Cost: as ``survey``: every file of the snapshot that is there is hashed.
    """
    plan = plan_tree(selection.of(manifest), preserve_special_modes=options.preserve_special_modes)
    try:
        destination = Destination.open(into, create=False)
    except DestinationConflict:
        raise  # a file stands in its place or above it
    except LocalError:
        if into.exists() or into.is_symlink():
            raise
        return plan.wanted
    with destination:
        if is_empty(destination):
            return plan.wanted
        if options.linked:
            _, found = survey_links(plan, cache, destination, counters)
        else:
            found = survey(plan, destination, counters)
        refuse_conflicts(
            found, destination, overwrite=options.overwrite, delete=options.delete, protected=options.protected
        )
        counters.replaced += found.differing
        if options.delete:
            counters.pruned += [extra.path for extra in would_go(plan, destination, options.protected)]
        else:
            counters.pruned += [extra.path for extra in found.in_the_way]
            removed = set(counters.pruned)
            left = leftovers(
                manifest, selection, destination, own_directories=options.own_directories, skip_unreadable=True
            )
            counters.extra += [path for path in left if path not in removed]
    return plan.wanted if options.linked else found.missing
