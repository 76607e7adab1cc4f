"""Tips for what people type who know other tools: words of theirs, and arguments where snapdir has options."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from snapdir.errors import has_login
from snapdir.model.digest import is_hexadecimal

PUSH = "`snapdir push --store STORE DIR` stores a directory and prints its id"
PULL = "`snapdir pull --store STORE --id ID DIR` writes a snapshot into a directory"
REMOVE = (
    "a store keeps every snapshot; to drop some, copy the others to a new store with"
    " `snapdir sync --from OLD --to NEW --id ID`; `snapdir flush-cache` empties the local cache"
)
WORDS = {
    "add": f"there is nothing to add: {PUSH}",
    "backup": PUSH,
    "clone": PULL,
    "commit": PUSH,
    "cp": f"{PULL}; `snapdir sync --from STORE --to STORE` copies to another store",
    "delete": REMOVE,
    "download": PULL,
    "forget": REMOVE,
    "gc": REMOVE,
    "get": PULL,
    "init": "a store needs no set-up: the first `snapdir push --store STORE DIR` creates it",
    "list": "`snapdir ls STORE` lists the snapshots of a store",
    "prune": REMOVE,
    "put": PUSH,
    "restore": PULL,
    "rm": REMOVE,
    "snapshots": "`snapdir ls STORE` lists the snapshots of a store",
    "upload": PUSH,
}

_URL = re.compile(r"[a-z][a-z0-9+.-]*://").match
_STORE_AND_NAME = re.compile(r"(.+)@([0-9A-Za-z][0-9A-Za-z._/-]*)").fullmatch
_FEWEST_DIGITS = 8


def of_other_tools(word: str) -> str:
    """What a command of another tool is called here; empty for an unknown word."""
    return WORDS.get(word.lower(), "")


class _Meant(NamedTuple):
    """The store and the snapshot that an argument names."""

    store: str = ""
    snapshot_id: str = ""


def line_with_options(command: str, args: Sequence[str], words: Sequence[str], options: Sequence[str]) -> str:
    """The command line with options for the stores and snapshots that were given as arguments; empty without any.

    Args:
        args: The command line as it was typed, after the command.
        words: Its arguments.
        options: Those that the command has.
    """
    sides = [name for name in ("--from", "--to") if name in options]
    meant = {word: found for word in words if (found := _meaning(word) or (_Meant(word) if sides else None))}
    stores = iter(sides or ["--store"])
    line = ["snapdir", command]
    for arg in args:
        found = meant.pop(arg, None)
        line += [arg] if found is None else _as_options(found, stores)
    if line[2:] == list(args):
        return ""
    missing = _still_missing({option.partition("=")[0] for option in line}, options)
    return shlex.join([*line, *missing])


def _as_options(found: _Meant, stores: Iterator[str]) -> list[str]:
    store = [next(stores, "--store"), found.store] if found.store else []
    return store + (["--id", found.snapshot_id] if found.snapshot_id else [])


def _still_missing(named: set[str], options: Sequence[str], environment: Mapping[str, str] = os.environ) -> list[str]:
    """The options without which the line would not run, with a word to be replaced."""
    if "--from" in options:
        return [] if {"--id", "--all"} & named else ["--all"]
    needs_store = "--store" in options and "--store" not in named and not environment.get("SNAPDIR_STORE")
    return ["--store", "STORE"] if needs_store else []


def _meaning(word: str) -> _Meant | None:
    """None for an argument that is neither a store nor a snapshot; a directory that exists is a directory."""
    if os.path.exists(word):
        return None
    both = _STORE_AND_NAME(word)
    if has_login(word):
        return _Meant(store=word)
    if both and (_URL(word) or both[1].startswith(("/", ".", "~")) or os.path.isdir(both[1])):
        return _Meant(both[1], both[2])
    if _URL(word):
        return _Meant(store=word)
    if len(word) >= _FEWEST_DIGITS and is_hexadecimal(word):
        return _Meant(snapshot_id=word)
    return None
