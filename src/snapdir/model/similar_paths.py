"""Paths that may have been meant. Pure."""

from __future__ import annotations

from collections.abc import Iterable

HERE = "./"
SHOWN = 3
MAX_COMPARED = 10_000
"""Paths that are compared with a misspelled one, at 10 µs each."""


def similar_paths(path: str, known: Iterable[str]) -> list[str]:
    """Up to three of ``known`` that ``path`` may stand for: of the same name, or of a similar spelling."""
    folder, _, name = path.rpartition("/")
    same_name: list[str] = []
    first: list[str] = []
    beside: list[str] = []
    for other in known:
        if len(same_name) < SHOWN and other.rpartition("/")[2].lower() == name.lower():
            same_name.append(other)
        if len(first) <= MAX_COMPARED:
            first.append(other)
        if len(beside) < MAX_COMPARED and other.startswith(f"{folder}/"):
            beside.append(other)
    if same_name or not name:
        return same_name
    from difflib import get_close_matches

    near = beside if len(first) > MAX_COMPARED else first
    spelled = {other.removeprefix(HERE): other for other in near}
    return [spelled[close] for close in get_close_matches(path.removeprefix(HERE), spelled, n=SHOWN)]
