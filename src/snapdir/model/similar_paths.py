"""Paths that may have been meant. Pure."""

from __future__ import annotations

from collections.abc import Sequence

HERE = "./"
SHOWN = 3
MAX_COMPARED = 10_000
"""Paths that are compared with a misspelled one, at 10 µs each."""


def similar_paths(path: str, known: Sequence[str]) -> list[str]:
    """Up to three of ``known`` that ``path`` may stand for: of the same name, or of a similar spelling."""
    folder, _, name = path.rpartition("/")
    same_name = [other for other in known if other.rpartition("/")[2].lower() == name.lower()]
    if same_name or not name:
        return same_name[:SHOWN]
    from difflib import get_close_matches

    near = [other for other in known if other.startswith(f"{folder}/")] if len(known) > MAX_COMPARED else known
    spelled = {other.removeprefix(HERE): other for other in near[:MAX_COMPARED]}
    return [spelled[close] for close in get_close_matches(path.removeprefix(HERE), spelled, n=SHOWN)]
