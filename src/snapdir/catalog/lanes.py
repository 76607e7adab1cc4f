"""A lineage as rows with lines beside them, as ``git log --graph`` draws a history. Pure.

Each snapshot is one row. A line leads from a row to every row below that it came from (or that came from it), in a
column that stays free of other lines. Long stretches of history are folds: rows that a page may hide, because no line
begins, ends or moves beside them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from snapdir.catalog.graph import Graph

MAX_LINES = 7
"""Lines side by side: with more, text has no room on a phone. A page names further relations in words."""

FOLDED_FROM = 4
"""Fewer rows are not worth a click."""


class Line(NamedTuple):
    """A line in a column beside a row; ``derived`` if that is one of the relations it stands for."""

    column: int
    derived: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One snapshot.

    Attributes:
        column: Of its dot.
        arriving, leaving: Lines that end at the dot from above, and that begin there and lead down.
        passing: Lines that go by.
    """

    id: str
    column: int
    arriving: tuple[Line, ...]
    leaving: tuple[Line, ...]
    passing: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows of one stretch of history, from top to bottom."""

    rows: tuple[Row, ...]

    @property
    def passing(self) -> tuple[Line, ...]:
        """The lines beside a row that stands for all of them."""
        first = self.rows[0]
        return (*first.passing, *first.arriving)


@dataclass(frozen=True, slots=True)
class Drawing:
    """Rows from top to bottom.

    Attributes:
        columns: How many are used.
        undrawn: Relations without a line: of those the drawing has no column for, and those that lead up.
    """

    rows: tuple[Row | Fold, ...]
    columns: int
    undrawn: int


def draw(graph: Graph, *, newest_first: bool) -> Drawing:
    """Place every snapshot below all that came from it (or, with the oldest first, below all that it came from).

    Where several may come next, the newest (oldest) does. In a cycle of relations, such as a push of an earlier
    snapshot makes, one relation is not drawn. Cost: n log n.
    """
    pairs = {(later, earlier) if newest_first else (earlier, later): kinds for (earlier, later), kinds in _sound(graph)}
    below: dict[str, list[str]] = defaultdict(list)
    above: dict[str, list[str]] = defaultdict(list)
    for upper, lower in pairs:
        below[upper].append(lower)
        above[lower].append(upper)
    age = sorted(graph.nodes, key=lambda node: (node.created_at, node.id), reverse=newest_first)
    stretches = _stretches([node.id for node in age], above, below, pairs, focus=graph.focus)
    order = _ordered(stretches, above, below)
    placed = _Lines(pairs, below, [id_ for stretch in order for id_ in stretch])
    rows = [_folded([placed.row(id_) for id_ in stretch]) for stretch in order]
    return Drawing(tuple(row for group in rows for row in group), placed.columns, placed.undrawn)


def _sound(graph: Graph) -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
    known = {node.id for node in graph.nodes}
    return ((pair, kinds) for pair, kinds in graph.relations().items() if known.issuperset(pair))


def _stretches(
    ids: Iterable[str],
    above: Mapping[str, Sequence[str]],
    below: Mapping[str, Sequence[str]],
    pairs: Mapping[tuple[str, str], tuple[str, ...]],
    *,
    focus: str,
) -> list[list[str]]:
    """The snapshots in their order, those of one stretch together: each has one relation up and one down, history."""

    def inside(id_: str) -> bool:
        up, down = above.get(id_, ()), below.get(id_, ())
        if id_ == focus or len(up) != 1 or len(down) != 1 or up[0] == down[0]:
            return False
        return "history" in pairs[up[0], id_] and "history" in pairs[id_, down[0]]

    plain = {id_ for id_ in ids if inside(id_)}
    stretches: list[list[str]] = []
    taken: set[str] = set()
    for id_ in ids:
        if id_ not in taken:
            stretches.append(_stretch(id_, plain, above, below) if id_ in plain else [id_])
            taken.update(stretches[-1])
    return stretches


def _stretch(
    id_: str, plain: set[str], above: Mapping[str, Sequence[str]], below: Mapping[str, Sequence[str]]
) -> list[str]:
    """All snapshots of the stretch of ``id_``, from top to bottom; it may be a circle."""
    climbed = {id_: None}
    while (higher := above[next(reversed(climbed))][0]) in plain and higher not in climbed:
        climbed[higher] = None
    stretch = {next(reversed(climbed)): None}
    while (lower := below[next(reversed(stretch))][0]) in plain and lower not in stretch:
        stretch[lower] = None
    return list(stretch)


def _ordered(
    stretches: Sequence[list[str]], above: Mapping[str, Sequence[str]], below: Mapping[str, Sequence[str]]
) -> list[list[str]]:
    """The stretches from top to bottom. In a circle, the first of those that are left goes on top."""
    home = {id_: number for number, stretch in enumerate(stretches) for id_ in stretch}
    waiting = [len(above.get(stretch[0], ())) for stretch in stretches]
    ready = [number for number, count in enumerate(waiting) if count == 0]
    heapify(ready)
    placed = [False] * len(stretches)
    left = iter(range(len(stretches)))
    order: list[list[str]] = []
    while len(order) < len(stretches):
        number = heappop(ready) if ready else next(left)
        if placed[number]:
            continue
        placed[number] = True
        order.append(stretches[number])
        for lower in below.get(stretches[number][-1], ()):
            waiting[home[lower]] -= 1
            if waiting[home[lower]] == 0:
                heappush(ready, home[lower])
    return order


def _folded(rows: list[Row]) -> list[Row | Fold]:
    return [Fold(tuple(rows))] if len(rows) >= FOLDED_FROM else [*rows]


@dataclass(slots=True)
class _Open:
    """A line that has begun: the row it leads to."""

    target: str
    derived: bool


@dataclass
class _Lines:
    """The columns while rows are placed from top to bottom."""

    pairs: Mapping[tuple[str, str], tuple[str, ...]]
    below: Mapping[str, Sequence[str]]
    order: Sequence[str]
    columns: int = 1
    undrawn: int = 0
    open: list[_Open | None] = field(default_factory=lambda: [None] * (MAX_LINES + 1))

    def __post_init__(self) -> None:
        self.position = {id_: number for number, id_ in enumerate(self.order)}

    def row(self, id_: str) -> Row:
        """The next row. Lines to one snapshot, of one kind, share a column."""
        arriving = [column for column, line in enumerate(self.open) if line is not None and line.target == id_]
        arrived = tuple(self._line(column) for column in arriving)
        for column in arriving:
            self.open[column] = None
        column = arriving[0] if arriving else self.open.index(None)
        passing = tuple(self._line(number) for number, line in enumerate(self.open) if line is not None)
        leaving = tuple(filter(None, (self._begin(id_, lower, column) for lower in self._lower(id_))))
        self.columns = max(self.columns, column + 1, *(line.column + 1 for line in (*leaving, *passing)), 1)
        return Row(id_, column, arrived, leaving, passing)

    def _lower(self, id_: str) -> list[str]:
        """The rows that lines lead to, the history first: it goes straight on. One above is in a circle."""
        lower = [other for other in self.below.get(id_, ()) if self.position[other] > self.position[id_]]
        self.undrawn += len(self.below.get(id_, ())) - len(lower)
        return sorted(lower, key=lambda other: ("history" not in self.pairs[id_, other], self.position[other]))

    def _begin(self, id_: str, lower: str, column: int) -> Line | None:
        derived = "derived" in self.pairs[id_, lower]
        wanted = _Open(lower, derived)
        if wanted in self.open:
            return self._line(self.open.index(wanted))
        free = [column] if self.open[column] is None and column < MAX_LINES else []
        free += [number for number, line in enumerate(self.open[:MAX_LINES]) if line is None]
        if not free:
            self.undrawn += 1
            return None
        self.open[free[0]] = wanted
        return self._line(free[0])

    def _line(self, column: int) -> Line:
        line = self.open[column]
        return Line(column, line is not None and line.derived)
