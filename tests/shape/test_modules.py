"""Modules that a reader can take one at a time: no circle of imports, no crumb that only one other module needs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"
CRUMB_LINES = 40
MAX_MODULES_IN_A_FOLDER = 25
KEPT: dict[str, str] = {}
"""Modules below CRUMB_LINES with one importer that stay, each with its reason."""


@cache
def modules() -> dict[str, Path]:
    """Every module by its dotted name; a package is its ``__init__``."""
    files = sorted((SOURCE / "snapdir").rglob("*.py"))
    return {".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


@cache
def imports(name: str) -> frozenset[str]:
    """Modules of ours that a module imports, anywhere in it.

    Imports for type checkers are left out: a signature may name the type of an argument that a caller passes in.
    """
    return frozenset(_imported(ast.parse(modules()[name].read_bytes()))) - {name}


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in modules())
    elif isinstance(node, ast.ImportFrom) and node.module:
        for alias in node.names:
            submodule = f"{node.module}.{alias.name}"
            yield from (found for found in (submodule, node.module) if found in modules())
    for child in ast.iter_child_nodes(node):
        yield from _imported(child)


def circle_through(name: str) -> list[str]:
    """The shortest way from a module back to itself; empty if there is none."""
    ways = [[name]]
    seen = {name}
    while ways:
        way = ways.pop(0)
        for following in sorted(imports(way[-1])):
            if following == name:
                return [*way, name]
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return []


def test_no_module_needs_itself() -> None:
    circles = {tuple(sorted(set(circle))): circle for circle in map(circle_through, modules()) if circle}
    assert not circles, "\n".join(" -> ".join(circle) for circle in circles.values())


def test_a_folder_can_be_overlooked() -> None:
    folders: dict[Path, int] = {}
    for file in modules().values():
        folders[file.parent] = folders.get(file.parent, 0) + (file.name != "__init__.py")
    assert {str(folder): count for folder, count in folders.items() if count > MAX_MODULES_IN_A_FOLDER} == {}


def test_a_small_module_has_more_than_one_importer() -> None:
    crumbs = set()
    for name, file in modules().items():
        importers = [other for other in modules() if name in imports(other)]
        if file.name != "__init__.py" and file.read_bytes().count(b"\n") < CRUMB_LINES and len(importers) == 1:
            crumbs.add(name)
    assert crumbs == set(KEPT)
