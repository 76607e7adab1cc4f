"""The page of ``ancestors`` and ``descendants``. Pure."""

from __future__ import annotations

from snapdir.catalog.graph import Graph
from snapdir.cli.pages.document import code, document
from snapdir.cli.pages.drawing import drawing

__all__ = ["lineage_page"]


def lineage_page(graph: Graph, *, backward: bool) -> str:
    """The snapshot that was asked about on top; below it its ancestors (``backward``) or descendants, nearest first."""
    title = "What this snapshot came from" if backward else "What came from this snapshot"
    body = [
        f"<header><h1>{title}</h1><p>{code(graph.focus)}</p></header>",
        *drawing(graph, newest_first=backward),
    ]
    return document(title, body)
