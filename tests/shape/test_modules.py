"""Modules that a reader can take one at a time: no circle of imports, no crumb that only one other module needs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"
CRUMB_LINES = 40
MAX_MODULES_IN_A_FOLDER = 25
INSIDE_S3 = "snapdir.stores.s3."
"""Some of its modules still name types of each other."""
KEPT: dict[str, str] = {}
"""Modules below CRUMB_LINES with one importer that stay, each with its reason."""


@cache
def modules() -> dict[str, Path]:
    """Every module by its dotted name; a package is its ``__init__``."""
    files = sorted((SOURCE / "snapdir").rglob("*.py"))
    return {".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


@cache
def imports(name: str) -> frozenset[str]:
    """Modules of ours that a module imports: anywhere in it, also for type checkers only."""
    return frozenset(found for found in _imported(name) if found != name)


def _imported(name: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(modules()[name].read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules())
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                if submodule in modules():
                    yield submodule
                elif node.module in modules():
                    yield node.module


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
    outside = (name for name in modules() if not name.startswith(INSIDE_S3))
    circles = {tuple(sorted(set(circle))): circle for circle in map(circle_through, outside) if circle}
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
