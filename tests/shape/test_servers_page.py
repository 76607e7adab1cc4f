"""docs/servers.md is about the servers, versions and operations of scripts/servers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "servers.md"


def test_the_page_has_every_server_and_operation() -> None:
    command = [sys.executable, PROJECT / "scripts" / "server_matrix.py", "--check"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert run.returncode == 0, run.stderr


def test_what_is_not_green_has_its_reason() -> None:
    text = PAGE.read_text()
    marked = re.findall(r" no \((\d+)\) ", text)
    assert marked == re.findall(r"^(\d+)\. ", text, re.MULTILINE)
    assert not re.search("(store|internal) error", text)
