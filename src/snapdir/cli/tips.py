"""Tips for what people type who know other tools: words of theirs, and arguments where snapdir has options."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from snapdir.errors import has_login
from snapdir.model.digest import MIN_DIGITS, is_hexadecimal
from snapdir.model.tags import is_name

PUSH = "`snapdir push --store STORE DIR` stores a directory and prints its id"
PULL = "`snapdir pull --store STORE --id ID DIR` writes a snapshot into a directory"
LIST = "`snapdir ls STORE` lists the snapshots of a store"
LOG = "`snapdir log STORE` lists the pushes to a store, with notes and changes"
SIZE = "`snapdir size STORE@ID` counts files and bytes, and `snapdir size STORE` those of all snapshots"
VERIFY = "`snapdir verify --store STORE --id ID` reads a snapshot back and checks every byte"
REMOVE = (
    "a store keeps every snapshot; to drop some, copy the others to a new store with"
    " `snapdir sync --from OLD --to NEW --id ID`; `snapdir tag --delete NAME` deletes a name,"
    " and `snapdir flush-cache` empties the local cache"
)
SETTINGS = "options and SNAPDIR_ variables are the settings: `snapdir defaults` prints each with its source"
STORE = "a store needs no set-up: name it with --store or SNAPDIR_STORE, and the first `snapdir push` creates it"
CREDENTIALS = (
    "there is no login: credentials for S3 come from the same places as for the AWS tools;"
    " `snapdir defaults --store STORE` shows which"
)
READ = "`snapdir cat STORE@ID PATH` prints files of a snapshot"
LINEAGE = "`snapdir ancestors --id ID` and `snapdir descendants --id ID` show where data came from and went"
NO_LOCKS = "there is nothing to unlock: any number of commands may use a store at once, and none leaves a lock in it"
NO_KEYS = "snapshots are not encrypted, so there are no keys; --sse lets a bucket encrypt them"
NO_MOUNT = "a snapshot cannot be mounted: `snapdir cat STORE@ID PATH` and Python's `open_snapshot` read single files"
COMMIT = f"every push is a commit: {PUSH}; --note TEXT records a message"

WORDS = {
    "add": f"there is nothing to add: {PUSH}",
    "artifact": f"{PUSH}; {PULL}",
    "auth": CREDENTIALS,
    "backup": PUSH,
    "branch": "a name can be moved like a branch: `snapdir tag NAME ID`",
    "cache": "`snapdir verify-cache` checks the local cache, and `snapdir flush-cache` empties it",
    "check": VERIFY,
    "clone": PULL,
    "commit": COMMIT,
    "config": SETTINGS,
    "configure": SETTINGS,
    "copy": f"{PULL}; `snapdir sync --from STORE --to STORE` copies to another store",
    "cp": f"{PULL}; `snapdir sync --from STORE --to STORE` copies to another store",
    "dag": LINEAGE,
    "delete": REMOVE,
    "doctor": SETTINGS,
    "download": PULL,
    "du": SIZE,
    "dump": READ,
    "env": SETTINGS,
    "find": "`snapdir ls STORE` lists snapshots with notes and labels, and `snapdir ls -R STORE@ID` their paths; "
    "`snapdir log STORE --note TEXT` searches the notes",
    "forget": REMOVE,
    "fsck": f"{VERIFY}; `snapdir verify-cache` checks the local cache",
    "gc": REMOVE,
    "get": PULL,
    "history": LOG,
    "import": f"download the files into a directory first; {PUSH}",
    "info": f"{SIZE}; {LOG}",
    "init": "a store needs no set-up: the first `snapdir push --store STORE DIR` creates it",
    "key": NO_KEYS,
    "lineage": LINEAGE,
    "list": LIST,
    "login": CREDENTIALS,
    "logout": CREDENTIALS,
    "mb": STORE,
    "mount": NO_MOUNT,
    "mv": "a snapshot is never changed: move the files in the directory, and push it again with `snapdir push`",
    "presign": READ,
    "prune": REMOVE,
    "publish": PUSH,
    "put": PUSH,
    "rb": REMOVE,
    "remote": STORE,
    "remove": REMOVE,
    "repair": "`snapdir verify --id ID --repair-from DIR` restores missing and damaged objects of a store",
    "repo": STORE,
    "repos": "`snapdir ls s3://BUCKET` lists the stores of a bucket",
    "repro": "snapdir runs no commands; `snapdir push --derived-from ID DIR` records what data was made from",
    "restore": PULL,
    "rm": REMOVE,
    "run": "snapdir runs no commands; `snapdir push --derived-from ID DIR` records what data was made from",
    "s3": f"{PUSH}; {PULL}",
    "serve": "`snapdir report STORE --open-html FILE` writes a page about a store; any web server may show it",
    "show": f"`snapdir ls STORE@ID` lists the paths of a snapshot; {READ}",
    "snapshot": PUSH,
    "snapshots": LIST,
    "stats": SIZE,
    "tags": "`snapdir tag --store STORE` lists the names of a store",
    "tree": "`snapdir ls -R STORE@ID` lists the paths of a snapshot",
    "unlock": NO_LOCKS,
    "upload": PUSH,
    "use": PULL,
    "whoami": CREDENTIALS,
}

NEEDING_ID = ("pull", "fetch", "checkout", "verify")
REMOVALS = ("delete", "remove", "rm")


class _OptionTip(NamedTuple):
    """An option of another tool.

    Attributes:
        here: The options of the same meaning; a command gets the first that it has.
        elsewhere: What to tell other commands.
    """

    here: tuple[str, ...]
    elsewhere: str


_ID = _OptionTip(
    (),
    "`pull --id ID` or STORE@ID chooses a snapshot by its id or name; `snapdir tag NAME ID` sets a name after a push",
)
_NAME = _OptionTip((), "`snapdir tag NAME ID` gives a snapshot a name, which is taken wherever an id is")
_NOTE = _OptionTip(("--note",), "`snapdir push --note TEXT` records a message with a push")
_LABEL = _OptionTip(("--label",), "`snapdir push --label KEY=VALUE` records labels with a push")
_STORE = _OptionTip(("--store",), "--store or SNAPDIR_STORE names the store; ls, log and others take it as an argument")
_JOBS = _OptionTip(("--jobs",), "--jobs is the number of concurrent requests of a transfer")
_RATE = _OptionTip(("--limit-rate",), "--limit-rate limits the bytes per second of a transfer")
_DIRECTORY = _OptionTip((), "the directory is an argument: `snapdir pull --id ID DIR`")
_DRY_RUN = _OptionTip(("--limit", "--dry-run"), "`push`, `pull`, `sync` and others have --dry-run")
_IGNORE_FROM = _OptionTip(("--ignore-from",), "`snapdir push --ignore-from FILE` leaves out what rules in a file match")
_IGNORE = _OptionTip(("--ignore",), "`snapdir push --ignore GLOB` leaves out what matches")
_LIMIT = _OptionTip(("--limit",), "`snapdir log --limit N` lists the newest N pushes")
_RECURSIVE = _OptionTip(("--recursive",), "a directory is always taken with everything in it")
_LINKS = _OptionTip(
    (), "links are followed; `push --dereference` lists what they lead to, and --no-follow leaves them out"
)
_HASHED = _OptionTip((), "files are always compared by their content")
_NO_PASSWORD = _OptionTip((), NO_KEYS)
_TYPE = _OptionTip((), "there are no types: give each dataset and model a store of its own, such as s3://bucket/sets")

OPTIONS = {
    "--alias": _NAME,
    "--bwlimit": _RATE,
    "--checkers": _JOBS,
    "--checksum": _HASHED,
    "--commit-message": _NOTE,
    "--compression": _OptionTip((), "files are stored as they are, neither compressed nor encrypted"),
    "--concurrency": _JOBS,
    "--copy-links": _LINKS,
    "--description": _NOTE,
    "--endpoint-url": _OptionTip((), "the endpoint comes from SNAPDIR_S3_STORE_ENDPOINT_URL or AWS_ENDPOINT_URL"),
    "--exclude-caches": _IGNORE,
    "--exclude-file": _IGNORE_FROM,
    "--exclude-from": _IGNORE_FROM,
    "--files-from": _OptionTip((), "a push takes a whole directory, without what --ignore GLOB leaves out"),
    "--follow-symlinks": _LINKS,
    "--force-download": _OptionTip((), "`snapdir pull` compares what is there by content, and replaces what differs"),
    "--host": _LABEL,
    "--iexclude": _IGNORE,
    "--include": _OptionTip(
        (), "`snapdir pull --include GLOB` takes a part; a push leaves out what --ignore GLOB matches"
    ),
    "--latest": _LIMIT,
    "--limit-download": _RATE,
    "--limit-upload": _RATE,
    "--list": _OptionTip((), "`snapdir tag` without a name lists the names of a store"),
    "--local-dir": _DIRECTORY,
    "--max-workers": _JOBS,
    "--message": _NOTE,
    "--metadata": _LABEL,
    "--name": _NAME,
    "--no-follow-symlinks": _OptionTip(("--no-follow",), _LINKS.elsewhere),
    "--num-workers": _JOBS,
    "--only-show-errors": _OptionTip(("--quiet",), ""),
    "--overwrite": _OptionTip((), "`snapdir pull` replaces files that differ; with --no-overwrite it refuses"),
    "--password-file": _NO_PASSWORD,
    "--profile": _OptionTip((), "AWS_PROFILE chooses the profile"),
    "--read-data": _OptionTip((), "`snapdir verify` always reads every byte"),
    "--recursive": _RECURSIVE,
    "--region": _OptionTip((), "AWS_REGION or the profile sets the region; `snapdir defaults --store STORE` shows it"),
    "--remote": _STORE,
    "--repo": _STORE,
    "--repo-type": _TYPE,
    "--rev": _ID,
    "--revision": _ID,
    "--root": _DIRECTORY,
    "--size-only": _HASHED,
    "--skip-if-unchanged": _OptionTip((), "a push sends nothing that the store has"),
    "--snapshot": _ID,
    "--tag": _OptionTip((), f"{_NAME.elsewhere}; --label KEY=VALUE of `push` describes a push"),
    "--target": _DIRECTORY,
    "--token": _OptionTip((), CREDENTIALS),
    "--transfers": _JOBS,
    "--type": _TYPE,
    "--verify": _OptionTip((), "every byte is verified on its way into a directory"),
    "--workers": _OptionTip((), "`--workers` belongs to `id` and `manifest`; for transfers use `--jobs`"),
    "-L": _LINKS,
    "-b": _OptionTip((), "there are no branches: `snapdir tag NAME ID` names a snapshot"),
    "-d": _OptionTip((), "`snapdir tag --delete NAME` deletes a name"),
    "-l": _OptionTip((), "`snapdir ls` and `snapdir tag` list everything that they know; --json prints all fields"),
    "-m": _NOTE,
    "-n": _DRY_RUN,
    "-r": _OptionTip(("--recursive",), _STORE.elsewhere),
    "-t": _DIRECTORY,
    "-v": _OptionTip(("--verbose",), ""),
}

_ARTIFACT_AND_NAME = re.compile(r"(?:[\w.-]+/)*[\w.-]+:([A-Za-z][\w.-]*)").fullmatch
_URL = re.compile(r"[a-z][a-z0-9+.-]*://").match
_STORE_AND_NAME = re.compile(r"(.+)@([0-9A-Za-z][0-9A-Za-z._/-]*)").fullmatch


def of_other_tools(word: str, args: Sequence[str] = ()) -> str:
    """What a command of another tool is called here; empty for an unknown word.

    Args:
        args: What was typed after it.
    """
    word = word.lower()
    named = next((arg for arg in args if is_name(arg) and not os.path.exists(arg)), "")
    if word in REMOVALS and named:
        return f"`snapdir tag --delete {shlex.quote(named)}` deletes the name {named}; its snapshot stays in the store"
    return WORDS.get(word, "")


def of_other_options(name: str, options: Mapping[str, str]) -> str:
    """What an option of another tool is here; empty for an unknown one.

    Args:
        options: Those of the command, each with its spelling in the help.
    """
    found = OPTIONS.get(name)
    if found is None:
        return ""
    here = next((options[each] for each in found.here if each in options), "")
    return f"the option is '{here}'" if here else found.elsewhere


class _Meant(NamedTuple):
    """The store and the snapshot that an argument names."""

    store: str = ""
    snapshot_id: str = ""


def line_with_options(
    command: str, args: Sequence[str], words: Sequence[str], options: Sequence[str], *, places: int = 1
) -> str:
    """The command line with options for the stores and snapshots that were given as arguments; empty without any.

    Args:
        args: The command line as it was typed, after the command.
        words: Its arguments.
        options: Those that the command has.
        places: How many directories it takes as arguments.
    """
    typed = {arg.partition("=")[0] for arg in args}
    sides = [name for name in ("--from", "--to") if name in options and name not in typed]
    meant = {word: found for word in words if (found := _meaning(word))}
    others = [word for word in words if word not in meant]
    free = max(len(sides) - sum(bool(found.store) for found in meant.values()), 0)
    meant |= {word: _Meant(word) for word in others[:free]}
    takes_name = command != "push" and "--id" in options and "--id" not in typed  # that of push replaces its directory
    is_surplus = len(words) - len(meant) > places
    if takes_name and is_surplus and not any(found.snapshot_id for found in meant.values()):
        meant |= _first_name(others[free:])
    if len(words) - len(meant) > places:
        return ""
    stores = iter(sides or ["--store"])
    line = ["snapdir", command]
    for arg in args:
        found = meant.pop(arg, None)
        line += [arg] if found is None else _as_options(found, stores)
    if line[2:] == list(args):
        return ""
    missing = _still_missing(command, {option.partition("=")[0] for option in line}, options)
    return shlex.join([*line, *missing])


def line_of_other_verb(command: str, words: Sequence[str]) -> str:
    """The push or pull for a ``sync`` whose source or target is a directory of files; empty if it may be a store."""
    if command != "sync" or len(words) != 2:
        return ""
    source, target = words
    if os.path.isdir(source) and not _holds_store(source):
        return shlex.join(["snapdir", "push", "--store", target, source])
    is_directory = os.path.isdir(target) or not target.startswith(("/", ".", "~"))  # as a store never starts
    if _URL(source) and not _URL(target) and is_directory and not _holds_store(target):
        return shlex.join(["snapdir", "pull", "--store", source, "--id", "latest", target])
    return ""


def line_for_one_file(command: str, words: Sequence[str]) -> str:
    """The cat for a ``pull`` of a snapshot and what looks like a file of it; else empty."""
    if command != "pull" or len(words) != 2:
        return ""
    name, path = words
    meant = _meaning(name) or _Meant(snapshot_id=name if is_name(name) and not os.path.exists(name) else "")
    is_file = bool(os.path.splitext(path)[1]) and not os.path.exists(path) and _meaning(path) is None
    if not meant.snapshot_id or not is_file or path.startswith(("/", ".", "~")):
        return ""
    ref = f"{meant.store or 'STORE'}@{meant.snapshot_id}"
    return shlex.join(["snapdir", "cat", ref, path, "--output", os.path.basename(path)])


def _holds_store(directory: str) -> bool:
    from snapdir.model.keys import MANIFESTS

    return os.path.isdir(os.path.join(directory, MANIFESTS))


def line_with_id(command: str, args: Sequence[str], path: str, *, has_store: bool) -> str:
    """What to type instead of a command line without an id, and with one argument, where a directory goes.

    Args:
        args: The command line as it was typed, after the command.
        path: Its argument.
        has_store: A store is named, or none is needed.
    """
    given = _meaning(path) or _Meant()
    store = [] if has_store and not given.store else ["--store", given.store or "STORE"]

    def line(*words: str) -> str:
        position = args.index(path) if path in args else len(args)
        return f"`{shlex.join(['snapdir', command, *args[:position], *words, *args[position + 1 :], *store])}`"

    if given.snapshot_id:
        return f"write {line('--id', given.snapshot_id, 'DIR')}"
    if os.path.exists(path) or not is_name(path):
        return f"write {line('--id', 'ID', path)} (ID: an id, a name, or latest)"
    return f"write {line('--id', path, 'DIR')}, or if {path} is the directory, {line('--id', 'ID', path)}"


def _first_name(words: Iterable[str]) -> dict[str, _Meant]:
    """The first word that can only be the name of a snapshot, because there is no such file or directory."""
    names = (word for word in words if is_name(word) and not os.path.exists(word))
    return {name: _Meant(snapshot_id=name) for name in islice(names, 1)}


def _as_options(found: _Meant, stores: Iterator[str]) -> list[str]:
    store = [next(stores, "--store"), found.store] if found.store else []
    return store + (["--id", found.snapshot_id] if found.snapshot_id else [])


def _still_missing(command: str, named: set[str], options: Sequence[str]) -> list[str]:
    """The options without which the line would not run, with a word to be replaced."""
    if "--from" in options:
        sides = [word for name in ("--from", "--to") if name not in named for word in (name, "STORE")]
        return sides + ([] if {"--id", "--all"} & named else ["--all"])
    needs_id = command in NEEDING_ID and not {"--id", "--label"} & named
    needs_store = "--store" in options and "--store" not in named and not os.environ.get("SNAPDIR_STORE")
    return (["--id", "ID"] if needs_id else []) + (["--store", "STORE"] if needs_store else [])


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
    if artifact := _ARTIFACT_AND_NAME(word):
        return _Meant(snapshot_id=artifact[1])
    return _Meant(snapshot_id=word) if _is_id(word) else None


def _is_id(word: str) -> bool:
    return len(word) >= MIN_DIGITS and is_hexadecimal(word)
