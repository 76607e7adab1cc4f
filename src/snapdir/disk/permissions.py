"""The permission bits that this process leaves off new files."""

from __future__ import annotations

__all__ = ["current_umask"]

USUAL_UMASK = 0o022


def current_umask() -> int:
    """The umask, from /proc: os.umask reads it only by setting it, and another thread may create a file just then."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
    except (OSError, ValueError):
        pass
    return USUAL_UMASK
