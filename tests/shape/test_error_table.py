"""docs/errors.md is what the classes say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "error_table.py"


def test_the_page_is_what_would_be_generated() -> None:
    run = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, timeout=240, check=False)
    assert run.returncode == 0, run.stderr
