"""Shared by the scripts that generate pages: write a page or, with ``--check``, compare it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["write_or_check"]


def write_or_check(page: Path, text: str, arguments: Sequence[str], *, problems: Sequence[str] = ()) -> int:
    """Write or check, and return the exit code: 1 if there are problems or the page is out of date."""
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 1
    if list(arguments) != ["--check"]:
        page.write_text(text)
        return 0
    if page.is_file() and page.read_text() == text:
        return 0
    print(f"{page.name} is out of date: run {sys.argv[0]}", file=sys.stderr)
    return 1
