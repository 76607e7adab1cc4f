"""Power cuts: scripts/power_cut.py at a few moments of every verb. If it cannot run, it says why in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.power_cut_cases import CASES

SCRIPT = Path(__file__).parents[2] / "scripts" / "power_cut.py"


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_nothing_acknowledged_is_lost_and_nothing_wrong_is_believed(name: str) -> None:
    """In the middle of the verb, and right behind its end."""
    run = subprocess.run(
        [sys.executable, SCRIPT, "--moments", "2", "--only", name], capture_output=True, text=True, check=False
    )
    print(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr
