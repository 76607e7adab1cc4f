"""Clients installed by pip, each in its own virtual environment."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.places import cache_folder

__all__ = ["NotInstallable", "install", "version_of"]


class NotInstallable(Exception):
    """A client cannot be installed."""


def install(name: str, requirement: str) -> Path:
    """The ``bin`` folder of an environment with ``requirement``, created on first use.

    Raises:
        NotInstallable: with the last error of pip.
    """
    home = cache_folder() / name
    stamp = home / ".installed"
    wanted = f"{requirement} for {sys.version.split()[0]}"
    if not (stamp.is_file() and stamp.read_text() == wanted):
        shutil.rmtree(home, ignore_errors=True)
        print(f"installing {requirement}", file=sys.stderr, flush=True)
        venv.create(home, with_pip=True)
        pip = [
            str(home / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            requirement,
        ]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            raise NotInstallable((errors or ["pip failed"])[-1])
        stamp.write_text(wanted)
    return home / "bin"


def version_of(bin_folder: Path, package: str) -> str:
    """The version of a package in an environment."""
    code = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
    done = subprocess.run([str(bin_folder / "python"), "-c", code, package], capture_output=True, text=True, check=True)
    return done.stdout.strip()
