"""What the documentation names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGES = [
    PROJECT / "README.md",
    PROJECT / "CONTRIBUTING.md",
    PROJECT / "CHANGELOG.md",
    PROJECT / "benchmarks/README.md",
    *sorted((PROJECT / "docs").rglob("*.md")),
]
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")
# `tests/disk/test_walk.py`, `src/snapdir`, ...: a path from the project's root, in code quotes, without a placeholder.
QUOTED = re.compile(r"`((?:tests|src|scripts|docs|benchmarks)/[a-z0-9_./-]+|\.ci/run)")

ARCHITECTURE = PROJECT / "docs/architecture.md"
# `transfer/push.py`, `stores/s3/`, `config.py`: a path below src/snapdir.
ROOMS = re.compile(r"`([a-z0-9_/]+(?:\.pyi?|/))`")


def named(page: Path) -> str:
    return str(page.relative_to(PROJECT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [found[1] for found in LINK.finditer(page.read_text())]
    assert [target for target in targets if "://" not in target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_files_that_are_named_exist(page: Path) -> None:
    named_files = {found[1].rstrip("./") for found in QUOTED.finditer(page.read_text())}
    assert {file for file in named_files if not (PROJECT / file).exists()} == set()


def test_the_architecture_names_modules_that_exist() -> None:
    paths = {found[1] for found in ROOMS.finditer(ARCHITECTURE.read_text()) if not found[1].startswith("tests/")}
    assert len(paths) > 50
    assert {path for path in paths if not (PROJECT / "src/snapdir" / path).exists()} == set()


def test_every_guarantee_names_its_test() -> None:
    lines = (PROJECT / "docs/guarantees.md").read_text().splitlines()
    rows = [line for line in lines[lines.index("|---|---|") + 1 :] if line.startswith("| ") and "| **" not in line]
    assert len(rows) > 10
    assert [row for row in rows if "`tests/" not in row] == []


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [int(file.name[:4]) for file in sorted((PROJECT / "docs/decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_pre_commit_runs_what_check_runs() -> None:
    hooks = re.findall(r"entry: \.venv/bin/(.*)", (PROJECT / ".pre-commit-config.yaml").read_text())
    commands = re.findall(r"^(?:ruff|mypy|python)\b[^|\n]*", (PROJECT / "scripts/check").read_text(), re.MULTILINE)
    assert hooks == [command.strip() for command in commands]
