"""A lineage as a page for a browser: ``--open-html``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Flag, Single, text
from snapdir.errors import local_errors

if TYPE_CHECKING:
    from snapdir.api.lineage import Lineage

__all__ = ["page", "write_page"]


def page() -> list[Flag]:
    return [
        Single(
            "--open-html",
            "html",
            metavar="<FILE>",
            parse=text,
            section="Output",
            help="Also draw it on an HTML page, and open that where there is a display and a terminal.",
        )
    ]


def write_page(invocation: Invocation, found: Lineage, name: str) -> None:
    """Write the page, and show it to whoever sits in front of a display.

    Raises:
        LocalError: the file cannot be written.
    """
    from snapdir.catalog.graph import lineage_graph
    from snapdir.catalog.page import lineage_page

    graph = lineage_graph(found.focus, found.relations, found.records, backward=found.backward)
    title = "What this snapshot came from" if found.backward else "What came from this snapshot"
    file = Path(os.path.expanduser(name)).absolute()
    with local_errors(name):
        file.write_text(lineage_page(graph, title=title), encoding="utf-8")
    invocation.terminal.note(f"wrote {name}")
    if _somebody_can_look(invocation):
        import webbrowser

        webbrowser.open(file.as_uri())


def _somebody_can_look(invocation: Invocation) -> bool:
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(display) and invocation.terminal.attended and sys.stdout is not None and sys.stdout.isatty()
