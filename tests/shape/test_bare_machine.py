"""Tests whose programs are missing are skipped by name; CI allows no skips."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needed import needed

PROJECT = Path(__file__).parents[2]
TESTS = "tests/conformance/test_surface.py"
COMMAND = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", TESTS, "-k", "SURF-11"]


def bare(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command where PATH holds nothing but bash."""
    folder.joinpath("bash").symlink_to(needed("bash"))
    environment = {"PATH": str(folder), "HOME": str(folder), "LANG": os.environ.get("LANG", "C.UTF-8")}
    return subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def test_what_is_missing_is_named_and_fails_nothing(tmp_path: Path) -> None:
    run = bare(tmp_path, *COMMAND)
    assert run.returncode == 0, run.stdout
    assert "zsh is not here: apt-get install" in run.stdout
    assert "fish is not here: apt-get install" in run.stdout
    assert "1 passed, 2 skipped" in run.stdout


def test_ci_takes_no_skip(tmp_path: Path) -> None:
    assert bare(tmp_path, *COMMAND, "--no-skips").returncode == 1


def test_any_program_of_several_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "second").write_text("#!/bin/sh\n")
    (tmp_path / "second").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert needed("first", "second") == str(tmp_path / "second")
    with pytest.raises(pytest.skip.Exception, match="first is not here"):
        needed("first")


def test_a_python_that_is_not_here_is_named(tmp_path: Path) -> None:
    run = bare(tmp_path, "bash", "-c", "source scripts/environment; choose_python 3.99; find_python")
    assert run.returncode == 1
    assert "no Python 3.99 with venv was found" in run.stderr


@pytest.mark.parametrize("script", ["docs", "quickstart", "test"])
def test_a_script_says_how_it_is_called_from_any_directory(script: str) -> None:
    command = ["bash", f"./{script}", "--help"]
    run = subprocess.run(command, cwd=PROJECT / "scripts", capture_output=True, text=True, timeout=240, check=True)
    assert f"\n  scripts/{script}  " in run.stdout
    assert "set -euo" not in run.stdout + run.stderr
