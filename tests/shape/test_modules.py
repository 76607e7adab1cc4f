"""Folders stay small, short modules have several importers, and imports form no cycle (decision 0011)."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "snapdir"
MAX_MODULES = 25
MIN_LINES = 40


def name_of(file: Path) -> str:
    parts = ("snapdir", *file.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


MODULES = {name_of(file): file for file in sorted(SOURCE.rglob("*.py"))}


def test_no_folder_is_crowded() -> None:
    files = (file for file in MODULES.values() if file.name != "__init__.py")
    counts = Counter(str(file.parent.relative_to(SOURCE)) for file in files)
    assert {folder: count for folder, count in counts.items() if count > MAX_MODULES} == {}


def test_a_short_module_has_several_importers() -> None:
    importers = Counter(name for imported in GRAPH.values() for name in imported)
    short = {name for name, file in MODULES.items() if len(file.read_text().splitlines()) < MIN_LINES}
    packages = {name for name, file in MODULES.items() if file.name in ("__init__.py", "__main__.py")}
    verbs = {name for name in MODULES if name.startswith("snapdir.api.")}
    assert {name for name in short - packages - verbs if importers[name] < 2} == set()


def test_imports_form_no_cycle() -> None:
    try:
        TopologicalSorter(GRAPH).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None


def imports(file: Path) -> Iterator[str]:
    """The modules of snapdir that ``file`` imports, anywhere in it."""
    waiting: list[ast.AST] = [ast.parse(file.read_bytes())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in names)


GRAPH = {name: {*imports(file)} - {name} for name, file in MODULES.items() if name != "snapdir"}
"""What each module imports, also inside functions, but not for type checkers."""
