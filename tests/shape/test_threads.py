"""No worker thread calls into the event loop: see ``Sink`` in ``transfer/engine/ranges.py`` for the reason."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "snapdir"
ALLOWED = {"check_cancelled", "BlockingPortal"}
"""The first only looks; the second is how threads that have no loop of their own use one, and is never cancelled."""

MODULES = sorted(SOURCE.rglob("*.py"))


def names_used(tree: ast.Module) -> set[str]:
    """What a module takes from ``anyio.from_thread``."""
    used: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "anyio.from_thread":
            used.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "anyio":
            assert "from_thread" not in {alias.name for alias in node.names}, "write anyio.from_thread in full"
        elif (isinstance(node, ast.Attribute) and ast.unparse(node.value) == "anyio.from_thread") or (
            isinstance(node, ast.Attribute) and node.attr == "run_coroutine_threadsafe"
        ):
            used.add(node.attr)
    return used


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_no_thread_waits_for_the_loop(file: Path) -> None:
    assert names_used(ast.parse(file.read_bytes())) <= ALLOWED


@pytest.mark.parametrize(
    "text",
    [
        "import anyio.from_thread\nanyio.from_thread.run(f)",
        "from anyio.from_thread import run_sync",
        "import asyncio\nasyncio.run_coroutine_threadsafe(f(), loop)",
    ],
)
def test_every_spelling_is_seen(text: str) -> None:
    assert not names_used(ast.parse(text)) <= ALLOWED
