"""Every case of the checklist is tested, and docs/conformance.md says so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]
SCRIPT = PROJECT / "scripts" / "conformance_page.py"
CASES = 293


def test_every_case_has_a_test_and_the_page_is_what_would_be_generated() -> None:
    run = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, timeout=240, check=False)
    assert run.returncode == 0, run.stderr


def test_the_page_lists_every_case_once() -> None:
    rows = re.findall(r"^\| ([A-Z]+-\d\d) \|", (PROJECT / "docs" / "conformance.md").read_text(), re.MULTILINE)
    assert len(rows) == len(set(rows)) == CASES
