"""Imports go down the picture of docs/architecture.md, never up, never sideways; also those inside functions."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "snapdir"

# From the words at the bottom to the edge at the top. Rooms of one row are siblings that never import each other.
ROWS = [
    {"errors"},
    {"model"},
    {"hashing", "disk"},
    {"index"},
    {"stores"},
    {"repository"},
    {"transfer", "catalog"},
    {"measurement"},
    {"config", "api", "blocking", "__init__"},
    {"cli", "integrations", "testing"},
    {"__main__"},
]
INSIDE_THE_FACADE = {
    "config": set[str](),
    "api": {"config"},
    "blocking": {"config", "api", "__init__"},
    "__init__": {"api", "config"},
}
# Libraries that only one room may know.
KEPT_INSIDE = {
    "aiofiles": "disk/async_files.py",
    "botocore": "stores/s3",
    "click": "cli",
    "re2": "model/patterns.py",
    "rich": "cli",
    "tqdm": "api/progress.py",
}
STANDARD_LIBRARY_ONLY = {"errors", "model"}
MODULES = sorted(SOURCE.rglob("*.py"))


def imports(file: Path) -> Iterator[str]:
    """Dotted names that ``file`` imports, anywhere in it; ``from a import b`` gives ``a.b``."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: write the full name, a relative import hides its row"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def row(room: str) -> int:
    return next(number for number, rooms in enumerate(ROWS) if room in rooms)


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_a_module_imports_only_from_below(file: Path) -> None:
    place = file.relative_to(SOURCE)
    room = place.parts[0].removesuffix(".py")
    for name in imports(file):
        package, *rest = name.split(".")
        if package != "snapdir":
            home = KEPT_INSIDE.get(package)
            assert home is None or place.as_posix().startswith(home), f"{place} imports {name}; only {home} may"
            assert home or room not in STANDARD_LIBRARY_ONLY or package in sys.stdlib_module_names, f"{place}: {name}"
            continue
        rest = rest or ["__init__"]
        imported = rest[0] if (SOURCE / rest[0]).is_dir() or (SOURCE / f"{rest[0]}.py").is_file() else "__init__"
        allowed = imported == room or row(imported) < row(room) or imported in INSIDE_THE_FACADE.get(room, ())
        assert allowed, f"{place} imports {name}, which is not below it"


HTTP = SOURCE / "stores" / "s3" / "http"


@pytest.mark.parametrize("file", sorted(HTTP.glob("*.py")), ids=lambda file: file.name)
def test_the_connections_know_http_and_nothing_of_s3(file: Path) -> None:
    inside = ("snapdir.stores.s3.http.", "snapdir.stores.base.", "snapdir.stores.blocks.")
    known = [name for name in imports(file) if name.startswith("snapdir.stores.")]
    assert [name for name in known if not name.startswith(inside)] == []


def test_every_room_has_its_place_in_the_picture() -> None:
    rooms = {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in MODULES}
    assert rooms <= set().union(*ROWS)
