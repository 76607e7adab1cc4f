"""Which nodes of a graph lie on a cycle together. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

__all__ = ["knots"]


def knots(start: str, follow: Callable[[str], Iterable[str]]) -> dict[str, int]:
    """The number of the knot each node within reach of ``start`` belongs to: two nodes share one if each leads to the
    other. (Tarjan's strongly connected components, without recursion: a history can be long.)

    Cost: linear in the edges within reach.
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
                _close(node, open_nodes, knot, number=found_at[node])
    return knot


def _close(node: str, open_nodes: list[str], knot: dict[str, int], *, number: int) -> None:
    """Everything found since ``node`` and not closed yet is one knot."""
    while True:
        member = open_nodes.pop()
        knot[member] = number
        if member == node:
            return
