"""The ancestors and descendants of a snapshot. Pure.

Two relations lead from a snapshot to an earlier one: *history* (it followed the other at a location) and *derived* (its
provenance names the other). Ids are the nodes, so a snapshot that was pushed to two locations is one node.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from snapdir.catalog.record import Record

RelationKind = Literal["history", "derived"]


@dataclass(frozen=True, slots=True)
class Relation:
    """One step between two snapshots.

    Attributes:
        id: The ancestor or descendant.
        of: The snapshot it relates to, one step nearer to the start.
        relation: The kind.
        location, created_at: Where and when the younger of the two was recorded with this relation.
        depth: Steps from the start, from 1.
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


def ancestors(
    records: Iterable[Record], snapshot_id: str, *, depth: int | None = None, derived: bool = False
) -> list[Relation]:
    """The ancestors of ``snapshot_id``: the whole chain, nearest first, at the same distance the newest first.

    A snapshot is listed once for each snapshot it relates to. If a history returned to an earlier state, the steps that
    lead back are left out: the result has no cycle, and does not contain ``snapshot_id``. Of several records of a step
    at one location the latest counts.

    Args:
        depth: Steps to go at most; None goes to the end.
        derived: Go only from a snapshot to those that its provenance names.
    Cost: linear in the records.
    """
    return _walk(_steps(records, derived), snapshot_id, depth, near=_younger, far=_older)


def descendants(
    records: Iterable[Record], snapshot_id: str, *, depth: int | None = None, derived: bool = False
) -> list[Relation]:
    """The descendants of ``snapshot_id``; otherwise as ``ancestors``."""
    return _walk(_steps(records, derived), snapshot_id, depth, near=_older, far=_younger)


def _younger(step: _Step) -> str:
    return step.younger


def _older(step: _Step) -> str:
    return step.older


def _walk(
    steps: Iterable[_Step],
    snapshot_id: str,
    depth: int | None,
    *,
    near: Callable[[_Step], str],
    far: Callable[[_Step], str],
) -> list[Relation]:
    steps_of = _grouped(steps, near)
    distances = _distances(snapshot_id, lambda of: map(far, steps_of.get(of, ())), depth)
    knot = _knots(snapshot_id, lambda of: (far(step) for step in steps_of.get(of, ()) if far(step) in distances))
    relations = [
        Relation(far(step), of, step.relation, step.location, step.created_at, distance + 1)
        for of, distance in distances.items()
        if depth is None or distance < depth
        for step in steps_of.get(of, ())
        if knot[far(step)] != knot[of] or distances[far(step)] > distance
    ]
    relations.sort(key=lambda relation: relation.created_at, reverse=True)
    relations.sort(key=lambda relation: relation.depth)
    return relations


def _distances(start: str, follow: Callable[[str], Iterable[str]], depth: int | None) -> dict[str, int]:
    """Steps from ``start`` to every node within ``depth``, nearest first."""
    distances = {start: 0}
    ring, distance = [start], 0
    while ring and (depth is None or distance < depth):
        distance += 1
        ring = list(dict.fromkeys(node for of in ring for node in follow(of) if node not in distances))
        distances.update(dict.fromkeys(ring, distance))
    return distances


def _grouped(steps: Iterable[_Step], near: Callable[[_Step], str]) -> Mapping[str, list[_Step]]:
    """The steps by their nearer end, the latest one of those that only differ in time."""
    latest: dict[tuple[str, str, str, str], _Step] = {}
    for step in steps:
        known = latest.get(step[:4])
        if known is None or known.created_at <= step.created_at:
            latest[step[:4]] = step
    grouped = defaultdict(list)
    for step in latest.values():
        grouped[near(step)].append(step)
    return grouped


def _steps(records: Iterable[Record], derived: bool) -> Iterator[_Step]:
    for record in records:
        if not derived and record.previous_id not in (None, record.id):
            yield _Step(record.id, record.previous_id or "", "history", record.location, record.created_at)
        for source in record.derived_from:
            if source != record.id:
                yield _Step(record.id, source, "derived", record.location, record.created_at)


def _knots(start: str, follow: Callable[[str], Iterable[str]]) -> dict[str, int]:
    """The knot of each node within reach of ``start``: two nodes share a knot if each leads to the other.

    (Tarjan's strongly connected components, without recursion: a history can be long.)
    """
    found_at: dict[str, int] = {start: 0}
    lowest: dict[str, int] = {start: 0}
    knot: dict[str, int] = {}
    open_nodes: list[str] = [start]
    path: list[tuple[str, Iterator[str]]] = [(start, iter(follow(start)))]
    while path:
        node, rest = path[-1]
        for other in rest:
            if other not in found_at:
                found_at[other] = lowest[other] = len(found_at)
                open_nodes.append(other)
                path.append((other, iter(follow(other))))
                break
            if other not in knot:
                lowest[node] = min(lowest[node], found_at[other])
        else:
            path.pop()
            if path:
                lowest[path[-1][0]] = min(lowest[path[-1][0]], lowest[node])
            if lowest[node] == found_at[node]:
                _close_knot(node, open_nodes, knot, number=found_at[node])
    return knot


def _close_knot(node: str, open_nodes: list[str], knot: dict[str, int], *, number: int) -> None:
    """Close the knot of ``node``: the open nodes that were reached after it."""
    while True:
        member = open_nodes.pop()
        knot[member] = number
        if member == node:
            return
