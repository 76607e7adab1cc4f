"""Sorted public names, short modules, short functions, and tests that run."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

import snapdir

PROJECT = Path(__file__).parents[2]
SOURCE = PROJECT / "src" / "snapdir"
MAX_MODULE_LINES = 400
MAX_MEDIAN_LINES = 8
MAX_P90_LINES = 25

MODULES = sorted(SOURCE.rglob("*.py"))
LISTED_BY_STUB = SOURCE / "__init__.py"
"""Its names stand in ``__init__.pyi``, where type checkers see them too."""
PYTHON = sorted(
    file for folder in ("src", "scripts", "tests", "benchmarks") for file in (PROJECT / folder).rglob("*.py")
)


def named(file: Path) -> str:
    return str(file.relative_to(PROJECT))


def public_names(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            names: list[str] | None = ast.literal_eval(node.value) if isinstance(node.value, ast.List) else None
            return names
    return None


def isort_order(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest: what ruff's RUF022 writes."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)


LISTING = [file for file in MODULES if public_names(ast.parse(file.read_bytes()))]
"""Modules for other programs list their names; in the others, names without an underscore are for snapdir alone."""


@pytest.mark.parametrize("file", LISTING, ids=named)
def test_all_is_sorted_and_defined(file: Path) -> None:
    tree = ast.parse(file.read_bytes())
    names = public_names(tree) or []
    assert len(set(names)) == len(names)
    assert names == sorted(names, key=isort_order)
    bound = set(_bound_names(tree))
    assert set(names) <= bound, f"{named(file)}: {set(names) - bound} listed but not defined"


@pytest.mark.parametrize("file", MODULES, ids=named)
def test_a_name_with_an_underscore_stays_in_its_module(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("snapdir"):
            assert not [alias.name for alias in node.names if alias.name.startswith("_")]


def test_every_public_name_is_found_where_the_stub_says() -> None:
    lines = LISTED_BY_STUB.with_suffix(".pyi").read_text().splitlines()
    imports = [line for line in lines if "import" in line]
    assert imports == sorted(imports)
    assert len(snapdir.__all__) == len(imports)  # with version(), without the module blocking
    for name in snapdir.__all__:
        assert getattr(snapdir, name) is not None


def _bound_names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.If | ast.Try):
            yield from (n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
            yield from (a.asname or a.name for n in ast.walk(node) if isinstance(n, ast.ImportFrom) for a in n.names)


@pytest.mark.parametrize("file", PYTHON, ids=named)
def test_a_module_is_short_enough_to_read(file: Path) -> None:
    lines = file.read_bytes().count(b"\n")
    assert lines < MAX_MODULE_LINES


def test_functions_are_short() -> None:
    lengths = sorted(length for file in MODULES for length in _function_lengths(file))
    p90 = lengths[int(len(lengths) * 0.9)]
    assert statistics.median(lengths) <= MAX_MEDIAN_LINES
    assert p90 <= MAX_P90_LINES


def _function_lengths(file: Path) -> Iterator[int]:
    """Lines of each function's body, its docstring left out: promises may take the room they need."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            yield (node.end_lineno or 0) - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("file", [file for file in PYTHON if "tests" in file.parts], ids=named)
def test_a_test_is_skipped_only_for_a_program_it_needs(file: Path) -> None:
    for number, line in enumerate(file.read_text().splitlines(), 1):
        marks = re.search(r"mark\.(skip|skipif|xfail)\b|pytest\.(skip|xfail|importorskip)\(", line)
        if marks and "re.search" not in line:
            assert named(file) == "tests/needed.py", f"{named(file)}:{number}: {line.strip()}"


def test_no_module_is_called_for_what_it_lacks() -> None:
    nameless = {"utils", "util", "helpers", "helper", "common", "core", "misc"}
    assert not {file.stem for file in MODULES} & nameless
