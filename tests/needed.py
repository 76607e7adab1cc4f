"""Programs that some tests need: their absence is the only reason to skip a test.

`scripts/test` installs the programs where that asks nobody (as root, with apt-get). With `--no-skips`, as in CI, a test
that is skipped fails the run.
"""

from __future__ import annotations

import shutil
from typing import NoReturn

import pytest

__all__ = ["needed", "skip"]


def needed(program: str, *others: str) -> str:
    """The path of a program, or of one that does as well. Without any, the test is skipped by a line that names it."""
    found = next(filter(None, map(shutil.which, (program, *others))), None)
    if found is None:
        skip(program, f"apt-get install --no-install-recommends {program}")
    return found


def skip(name: str, way: str) -> NoReturn:
    """Skip the test because ``name`` is missing; ``way`` says how to get it."""
    pytest.skip(f"{name} is not here: {way}")
