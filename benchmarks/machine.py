"""Conditions of a measurement: hardware, versions, commit; nothing that identifies the machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

from benchmarks.places import PROJECT

__all__ = ["available_memory", "commit", "library_versions", "machine"]

_LIBRARIES = ("anyio", "blake3", "botocore", "click", "crc32c", "uvloop")


def machine() -> dict[str, str]:
    """CPU, usable cores, memory, kernel, and the load at this moment."""
    cpu = re.search(r"^model name\s*: (.+)$", _read("/proc/cpuinfo"), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+) kB$", _read("/proc/meminfo"), re.MULTILINE)
    return {
        "cpu": cpu[1].strip() if cpu else platform.processor() or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{int(memory[1]) / (1 << 20):.0f} GiB" if memory else "unknown",
        "kernel": f"{platform.system()} {platform.release().split('-')[0]}",
        "load": f"load average {os.getloadavg()[0]:.1f} at the start",
    }


def available_memory() -> int:
    """Bytes that programs and files in memory may take without swapping."""
    found = re.search(r"^MemAvailable:\s*(\d+) kB$", _read("/proc/meminfo"), re.MULTILINE)
    return int(found[1]) << 10 if found else 1 << 62


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that snapdir uses."""
    versions = {"python": f"{platform.python_implementation()} {platform.python_version()}"}
    for library in _LIBRARIES:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def commit() -> str:
    """The commit of the checkout, followed by ``+`` if the sources differ from it; ``unknown`` outside a checkout."""
    try:
        name = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=normal", "--", "src")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name + ("+" if changed else "")


def _git(*arguments: str) -> str:
    # No optional locks: other programs may be using the checkout.
    command = ["git", "--no-optional-locks", *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.strip()


def _read(file: str) -> str:
    try:
        return Path(file).read_text()
    except OSError:
        return ""
