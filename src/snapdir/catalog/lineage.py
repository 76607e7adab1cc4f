"""Which snapshots a snapshot came from, and which came from it. Pure.

Two relations lead from a snapshot to an earlier one: *history* (it followed the other at a location) and *derived* (its
maker said what it was made from). Ids are the nodes, so a snapshot that was pushed to two places is one node.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from snapdir.catalog.cycles import knots
from snapdir.catalog.record import Record

__all__ = ["Relation", "RelationKind", "ancestors", "descendants"]

RelationKind = Literal["history", "derived"]


@dataclass(frozen=True, slots=True)
class Relation:
    """One step between two snapshots.

    Attributes:
        id: The snapshot that was found.
        of: The snapshot it relates to, one step nearer to the one that was asked for.
        relation: How.
        location, created_at: Where and when the younger of the two was recorded with this relation.
        depth: Steps from the snapshot that was asked for, from 1.
    """

    id: str
    of: str
    relation: RelationKind
    location: str
    created_at: str
    depth: int


class _Step(NamedTuple):
    younger: str
    older: str
    relation: RelationKind
    location: str
    created_at: str


def ancestors(records: Iterable[Record], snapshot_id: str, *, depth: int | None = None) -> list[Relation]:
    """What ``snapshot_id`` came from: the whole chain, nearest first, at one distance the newest first.

    A snapshot is told once for each snapshot it relates to. Where a history returned to an earlier state, the steps
    that lead back are left out: no cycle is left, and the snapshot that was asked for is not among the answers. A step
    that was recorded several times at one location is told once, its latest.

    Args:
        depth: Steps to go at most; None goes to the end.
    Cost: linear in the records.
    """
    return _walk(records, snapshot_id, depth, near=lambda step: step.younger, far=lambda step: step.older)


def descendants(records: Iterable[Record], snapshot_id: str, *, depth: int | None = None) -> list[Relation]:
    """What came from ``snapshot_id``; otherwise as ``ancestors``."""
    return _walk(records, snapshot_id, depth, near=lambda step: step.older, far=lambda step: step.younger)


def _walk(
    records: Iterable[Record],
    snapshot_id: str,
    depth: int | None,
    *,
    near: Callable[[_Step], str],
    far: Callable[[_Step], str],
) -> list[Relation]:
    steps_of = _grouped(records, near)
    distances = _distances(snapshot_id, lambda of: map(far, steps_of.get(of, ())), depth)
    knot = knots(snapshot_id, lambda of: (far(step) for step in steps_of.get(of, ()) if far(step) in distances))
    found = [
        Relation(far(step), of, step.relation, step.location, step.created_at, distance + 1)
        for of, distance in distances.items()
        if depth is None or distance < depth
        for step in steps_of.get(of, ())
        if knot[far(step)] != knot[of] or distances[far(step)] > distance
    ]
    found.sort(key=lambda relation: relation.created_at, reverse=True)
    found.sort(key=lambda relation: relation.depth)
    return found


def _distances(start: str, follow: Callable[[str], Iterable[str]], depth: int | None) -> dict[str, int]:
    """Steps from ``start`` to every node within ``depth``, nearest first."""
    distances = {start: 0}
    ring, distance = [start], 0
    while ring and (depth is None or distance < depth):
        distance += 1
        ring = list(dict.fromkeys(node for of in ring for node in follow(of) if node not in distances))
        distances.update(dict.fromkeys(ring, distance))
    return distances


def _grouped(records: Iterable[Record], near: Callable[[_Step], str]) -> Mapping[str, list[_Step]]:
    """The steps by their nearer end, the latest one of those that only differ in time."""
    latest: dict[tuple[str, str, str, str], _Step] = {}
    for step in (step for record in records for step in _steps(record)):
        known = latest.get(step[:4])
        if known is None or known.created_at <= step.created_at:
            latest[step[:4]] = step
    grouped = defaultdict(list)
    for step in latest.values():
        grouped[near(step)].append(step)
    return grouped


def _steps(record: Record) -> Iterator[_Step]:
    if record.previous_id not in (None, record.id):
        yield _Step(record.id, record.previous_id or "", "history", record.location, record.created_at)
    for source in record.derived_from:
        if source != record.id:
            yield _Step(record.id, source, "derived", record.location, record.created_at)
