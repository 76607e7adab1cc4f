"""The positions of the snapshots of a graph in a drawing: in layers, below their ancestors. Pure.

Layers by longest path, order within a layer by the mean of the neighbours, and long edges led through the layers they
cross, as Sugiyama, Tagawa and Toda describe it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import fmean

from snapdir.catalog.graph import Graph, Node

CARD_WIDTH = 280.0
LINE_HEIGHT = 18.0
CARD_PADDING = 16.0
LAYER_GAP = 64.0
SIDE_GAP = 32.0
MARGIN = 24.0
WAYPOINT_WIDTH = 8.0
SWEEPS = 6
LONGEST_LED = 40
"""Layers that an edge may cross to be led around cards; a longer edge goes straight behind them."""


@dataclass(frozen=True, slots=True)
class Card:
    """The box of a snapshot: its upper left corner and its size."""

    id: str
    x: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Route:
    """An arrow, with every relation between the two, and the points it goes through."""

    earlier: str
    later: str
    relations: tuple[str, ...]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Layout:
    width: float
    height: float
    cards: tuple[Card, ...]
    routes: tuple[Route, ...]


Slot = tuple[str, ...]
"""A card, ``(id,)``, or the waypoint of an edge in a layer, ``(earlier, later, number)``."""

Chain = tuple[tuple[Slot, int], ...]
"""The slots an edge touches, each with its layer: its ends, and a waypoint in every layer between."""


def lay_out(graph: Graph) -> Layout:
    """Place every snapshot and every arrow. Cost: about the number of edges times the layers they cross."""
    pairs = graph.relations()
    layer_of = _layers([node.id for node in graph.nodes], list(pairs))
    chains = {pair: tuple(_chain(pair, layer_of)) for pair in pairs}
    layers: list[list[Slot]] = [[] for _ in range(max(layer_of.values()) + 1)]
    for id_, layer in layer_of.items():
        layers[layer].append((id_,))
    for earlier, later in chains:
        for slot, layer in chains[earlier, later][1:-1]:
            layers[layer].append(slot)
    neighbours = _neighbours(chains.values())
    _order(layers, neighbours)
    centres = _centres(layers, neighbours)
    return _drawn(graph, pairs, chains, layers, centres)


def _layers(ids: Sequence[str], pairs: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The layer of each snapshot: below its ancestors, except for edges that close a circle."""
    later_of: dict[str, list[str]] = {id_: [] for id_ in ids}
    for earlier, later in pairs:
        later_of[earlier].append(later)
    finished = _finished(ids, later_of)
    rank = {id_: number for number, id_ in enumerate(reversed(finished))}
    layer = dict.fromkeys(ids, 0)
    for id_ in reversed(finished):
        for later in later_of[id_]:
            if rank[later] > rank[id_]:  # else it closes a circle
                layer[later] = max(layer[later], layer[id_] + 1)
    return layer


def _finished(ids: Sequence[str], later_of: Mapping[str, Sequence[str]]) -> list[str]:
    """Depth first, without recursion: each id after all that are reached from it (backwards a topological order)."""
    seen: set[str] = set()
    finished: list[str] = []
    for start in ids:
        if start in seen:
            continue
        seen.add(start)
        stack = [(start, iter(later_of[start]))]
        while stack:
            _, rest = stack[-1]
            following = next((later for later in rest if later not in seen), None)
            if following is None:
                finished.append(stack.pop()[0])
            else:
                seen.add(following)
                stack.append((following, iter(later_of[following])))
    return finished


def _chain(pair: tuple[str, str], layer_of: Mapping[str, int]) -> Iterator[tuple[Slot, int]]:
    earlier, later = pair
    first, last = layer_of[earlier], layer_of[later]
    yield (earlier,), first
    if last - first <= LONGEST_LED:
        for layer in range(first + 1, last):
            yield (earlier, later, str(layer)), layer
    yield (later,), last


def _neighbours(chains: Iterable[Chain]) -> dict[Slot, list[Slot]]:
    neighbours: dict[Slot, list[Slot]] = {}
    for chain in chains:
        for (upper, _), (lower, _) in pairwise(chain):
            neighbours.setdefault(upper, []).append(lower)
            neighbours.setdefault(lower, []).append(upper)
    return neighbours


def _order(layers: Sequence[list[Slot]], neighbours: Mapping[Slot, Sequence[Slot]]) -> None:
    """Sort each layer by the mean position of its neighbours, downwards and upwards in turn: fewer crossings."""
    position = {slot: float(number) for layer in layers for number, slot in enumerate(layer)}

    def ideal(slot: Slot) -> float:
        return fmean(position[other] for other in neighbours[slot]) if slot in neighbours else position[slot]

    for sweep in range(SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            layer.sort(key=ideal)
            position.update((slot, float(number)) for number, slot in enumerate(layer))


def _centres(layers: Sequence[Sequence[Slot]], neighbours: Mapping[Slot, Sequence[Slot]]) -> dict[Slot, float]:
    """The position of each slot from left to right: near its neighbours, in the order of its layer, no overlaps."""
    centres = {slot: offset for layer in layers for slot, offset in zip(layer, _packed(layer), strict=True)}
    for sweep in range(SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            ideal = [fmean([centres[other] for other in neighbours.get(slot, (slot,))]) for slot in layer]
            centres.update(zip(layer, _spread(layer, ideal), strict=True))
    leftmost = min(centres[slot] - _width(slot) / 2 for slot in centres)
    return {slot: centre - leftmost + MARGIN for slot, centre in centres.items()}


def _packed(layer: Sequence[Slot]) -> list[float]:
    """Centres of slots side by side, around 0."""
    edges = list(accumulate((_width(slot) + SIDE_GAP for slot in layer), initial=0.0))
    return [(left + right - edges[-1]) / 2 for left, right in pairwise(edges)]


def _spread(layer: Sequence[Slot], ideal: Sequence[float]) -> list[float]:
    """``ideal``, moved apart where slots would overlap, then moved back together to its middle."""
    placed: list[float] = []
    for slot, centre, before in zip(layer, ideal, (None, *layer), strict=False):
        least = placed[-1] + (_width(before) + _width(slot)) / 2 + SIDE_GAP if before else centre
        placed.append(max(centre, least))
    shift = fmean(wish - got for wish, got in zip(ideal, placed, strict=True)) if placed else 0.0
    return [centre + shift for centre in placed]


def _width(slot: Slot) -> float:
    return CARD_WIDTH if len(slot) == 1 else WAYPOINT_WIDTH


def _card_height(node: Node) -> float:
    return 2 * CARD_PADDING + LINE_HEIGHT * (len(node.lines()) + 0.75)


def _ports(chains: Iterable[Chain], centres: Mapping[Slot, float], *, leaving: bool) -> dict[Chain, float]:
    """Where each edge leaves its upper card (or reaches its lower one): side by side, in the order of the targets."""
    fans: dict[Slot, list[Chain]] = {}
    end, beside = (0, 1) if leaving else (-1, -2)
    for chain in chains:
        fans.setdefault(chain[end][0], []).append(chain)
    ports = {}
    for card, fan in fans.items():
        fan.sort(key=lambda chain: centres[chain[beside][0]])
        for number, chain in enumerate(fan, 1):
            ports[chain] = centres[card] + CARD_WIDTH * (number / (len(fan) + 1) - 0.5)
    return ports


def _drawn(
    graph: Graph,
    relations: Mapping[tuple[str, str], tuple[str, ...]],
    chains: Mapping[tuple[str, str], Chain],
    layers: Sequence[Sequence[Slot]],
    centres: Mapping[Slot, float],
) -> Layout:
    """Everything with its coordinates."""
    heights: dict[Slot, float] = {(node.id,): _card_height(node) for node in graph.nodes}
    bands = [max(heights.get(slot, 0.0) for slot in layer) for layer in layers]
    tops = list(accumulate((band + LAYER_GAP for band in bands), initial=MARGIN))
    cards = {
        slot: Card(slot[0], centres[slot] - CARD_WIDTH / 2, tops[number], heights[slot])
        for number, layer in enumerate(layers)
        for slot in layer
        if slot in heights
    }
    leaves = _ports(chains.values(), centres, leaving=True)
    arrives = _ports(chains.values(), centres, leaving=False)

    def points(chain: Chain) -> Iterator[tuple[float, float]]:
        start, end = cards[chain[0][0]], cards[chain[-1][0]]
        yield leaves[chain], start.y + start.height
        for slot, number in chain[1:-1]:
            yield centres[slot], tops[number]
            yield centres[slot], tops[number] + bands[number]
        yield arrives[chain], end.y

    routes = [Route(*pair, relations[pair], tuple(points(chain))) for pair, chain in chains.items()]
    width = max(centres[slot] + _width(slot) / 2 for slot in centres) + MARGIN
    return Layout(width, tops[-1] - LAYER_GAP + MARGIN, tuple(cards.values()), tuple(routes))
