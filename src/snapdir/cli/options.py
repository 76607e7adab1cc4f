"""Options and arguments that several commands share: inputs, destinations and output."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from snapdir.cli.parameters import (
    Choice,
    Flag,
    Positional,
    Setting,
    SettingSwitch,
    Single,
    seconds,
    section,
    typed_of,
    whole_number,
)
from snapdir.cli.usage import UsageMistake
from snapdir.errors import InvalidOption, SnapdirError
from snapdir.model.tags import LATEST

if TYPE_CHECKING:
    import click

    from snapdir.cli.invocation import Invocation
    from snapdir.config import Config

COMMON_NAMES = (
    ".cache, .git, .DS_Store, .vscode-server, .dbus, .gvfs, .local/share/gvfs-metadata, .local/share/Trash, .Trash,"
    " node_modules and Trash-1000"
)
SYSTEM_PATHS = (
    "/vscode/, /dev/, /proc/, /sys/, /tmp/, /var/run/, /run/, /mnt/, /media/, /lost+found/,"
    " /var/snap/lxd/common/ns/shmounts/, /var/snap/lxd/common/ns/mntns/, /var/lib/lxcfs/"
)
NO_ID = "missing --id option"
# A comma inside a repetition such as a{1,2} separates nothing.
_SEPARATOR = re.compile(r",(?![0-9]*\})")


def path(metavar: str = "PATH", use: str = "The directory; default: the current directory.") -> Positional:
    """The optional directory a command works on."""
    return Positional("path", required=False, metavar=f"[{metavar}]", use=use, is_path=True)


def walk() -> list[Flag]:
    """How a directory is read; ``tree_arguments`` gives the meaning of ``--exclude``."""
    return section(
        "Walk",
        *ignoring(),
        Flag(
            "--exclude",
            metavar="<PATTERN>",
            multiple=True,
            help="Leave out entries whose absolute path matches an RE2 regular expression, such as \\.tmp$; repeat the "
            "option or separate patterns by commas. A pattern that starts with ./ matches paths inside the directory; "
            f"a pattern of the other kind that matches the directory itself is an error. %common% stands for "
            f"{COMMON_NAMES}; %system% for {SYSTEM_PATHS}, ~/.cache and the cache, and for --no-follow.",
        ),
        *dereferencing(),
        Flag("--no-follow", help="Leave out symbolic links instead of following them."),
        Setting(
            "--walk-jobs",
            metavar="<N>",
            parse=whole_number,
            help="Threads that read and hash; 0 (default) is one per CPU, at most 16. The id is always the same.",
        ),
    )


def workers() -> list[Flag]:
    return section(
        "Walk",
        Setting(
            "--workers",
            metavar="<N>",
            parse=whole_number,
            help="Most processes beside this one that read and hash small files; each starts when it pays. 0 is none; "
            "default: one for each further CPU, at most 7.",
        ),
    )


def remembering() -> list[Flag]:
    """For a verb that reads a directory and keeps in the cache what its files were."""
    return section(
        "Walk",
        Flag(
            "--rehash",
            help="Read every file again. By default, only files whose name, size, mode, inode or times have changed "
            "since an earlier run are read.",
        ),
    )


def ignoring() -> list[Flag]:
    return section(
        "Walk",
        Flag(
            "--ignore",
            metavar="<GLOB>",
            multiple=True,
            help="Leave out what a rule of a .gitignore matches, for paths in the directory: *.tmp at every level, "
            "/build/ only directly in it, !keep.tmp to keep what an earlier rule ignores; repeatable.",
        ),
        Flag(
            "--ignore-from",
            metavar="<FILE>",
            multiple=True,
            help="Read such rules from a file like .gitignore; repeatable. Those of --ignore come after them.",
        ),
    )


def dereferencing() -> list[Flag]:
    return section(
        "Walk",
        Flag(
            "--dereference",
            help="List a followed link with the mode and size of what it leads to, so that a pulled copy has the same "
            "id; by default with its own, as the reference does.",
        ),
    )


def tree_arguments(given: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """``given`` with the patterns of ``--exclude`` one by one, and their macros expanded."""
    expanded = []
    no_follow = given["no_follow"]
    for pattern in patterns(given["exclude"]):
        if "%" in pattern:
            from snapdir.model.patterns import expand_macros

            home, cache_dir = os.path.expanduser("~"), os.path.abspath(config.cache_dir)
            macro, leaves_links = expand_macros(pattern, home=home, cache_dir=cache_dir)
            expanded.append(macro)
            no_follow = no_follow or leaves_links
        else:
            expanded.append(pattern)
    return {**given, "exclude": expanded, "no_follow": no_follow}


def patterns(given: Sequence[str]) -> list[str]:
    """The patterns of an option that may be repeated and split by commas."""
    return [pattern for text in given for pattern in _SEPARATOR.split(text) if pattern]


def store(purpose: str = "Where snapshots are stored: file:///path, ./path or s3://bucket/prefix.") -> list[Flag]:
    return section("Store", Single("--store", metavar="<URI>", variable="SNAPDIR_STORE", help=purpose))


def required_store(store: str | None) -> str:
    """
    Raises:
        SnapdirError: no store was named.
    """
    if store is None:
        from snapdir.errors.base import NO_STORE

        raise SnapdirError(NO_STORE)
    return store


def required_store_ref(store: str | None) -> str:
    """The URL of ``--store``, for commands that also take a directory or an id: the option takes neither.

    Raises:
        SnapdirError: no store was named, or not by a URL or path.
    """
    from snapdir.stores.urls import StoreURL

    return str(StoreURL.parse(required_store(store)))


def pool() -> list[Flag]:
    return section(
        "Store",
        Single(
            "--objects-store",
            metavar="<URI>",
            variable="SNAPDIR_OBJECTS_STORE",
            help="A pool that holds the objects of several stores; --store then holds manifests only.",
        ),
    )


def snapshot(purpose: str) -> list[Flag]:
    return section(
        "Snapshot",
        Single(
            "--id",
            "snapshot_id",
            metavar="<ID>",
            help=f"{purpose}: 64 hexadecimal digits, the first 8 or more, a name (see `snapdir tag`), or latest.",
        ),
    )


def chosen_by_label() -> list[Flag]:
    """``--label`` beside ``--id``; see ``chosen``."""
    return section(
        "Snapshot",
        Flag(
            "--label",
            "labels",
            metavar="<KEY=VALUE>",
            multiple=True,
            callback=pairs,
            help="The newest push with this label, instead of --id; repeatable: all must match.",
        ),
    )


def chosen(invocation: Invocation, snapshot_id: str | None, labels: Mapping[str, str], store: str | None) -> str | None:
    """The snapshot of ``--id``, or the newest push with the labels of ``--label``.

    Raises:
        UsageMistake: both options are given, and ``--id`` is not ``latest``.
    """
    if not labels:
        return snapshot_id
    if snapshot_id not in (None, LATEST):
        raise UsageMistake("the argument '--label <KEY=VALUE>' chooses among pushes: it goes with '--id latest' only")
    import snapdir

    url = required_store(store)
    newest: str = invocation.run(snapdir.resolve_id, LATEST, url, labels=labels, preparing=True)
    return newest


def pairs(_ctx: click.Context, _: click.Parameter, given: Sequence[str]) -> dict[str, str]:
    """The values of ``--label``.

    Raises:
        InvalidOption: one is not KEY=VALUE, or a key is given twice.
    """
    labels: dict[str, str] = {}
    for pair in given:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise InvalidOption(f"invalid --label '{pair}': expected KEY=VALUE")
        if key in labels:
            raise InvalidOption(f"invalid --label '{pair}': {key} is given twice, first as '{labels[key]}'")
        labels[key] = value
    return labels


def required_id(snapshot_id: str | None, *, alternative: str = "") -> str:
    """
    Args:
        alternative: What to write instead.

    Raises:
        SnapdirError: no id was given.
    """
    if snapshot_id is None:
        raise SnapdirError(f"{NO_ID}{alternative}")
    return snapshot_id


def id_beside_directory(snapshot_id: str | None, path: str | None, *, has_store: bool = True) -> str:
    """``required_id`` for a command with one argument, a directory, which may be a snapshot without its option.

    Args:
        has_store: A store is named, or none is needed.
    """
    if snapshot_id is not None or path is None:
        return required_id(snapshot_id)
    from click import get_current_context

    from snapdir.cli.tips import line_with_id

    ctx = get_current_context()
    line = line_with_id(ctx.info_name or "", typed_of(ctx), path, has_store=has_store)
    return required_id(None, alternative=f": {line}")


def hidden(*groups: list[Flag]) -> list[Flag]:
    """Options that are checked but change nothing for a command that uses no network."""
    options = [option for group in groups for option in group]
    for option in options:
        option.hidden = True
    return options


def accepted(*names: str) -> list[Flag]:
    """Options of other commands that change nothing here: accepted, so that scripts can pass one set of options."""
    metavars = {
        "--store": "<URI>",
        "--objects-store": "<URI>",
        "--id": "<ID>",
        "--catalog": "<NAME>",
        "--cache-dir": "<DIR>",
    }
    return [
        Single(name, metavar=metavars[name], hidden=True, expose_value=False)
        if name in metavars
        else Flag(name, hidden=True, expose_value=False)
        for name in names
    ]


def dry_run() -> list[Flag]:
    return [
        Flag(
            "--dry-run",
            "--dryrun",
            "dry_run",
            help="Count and list what the command would do, without writing anything; also --dry-run.",
        )
    ]


def output(purpose: str = "Print JSON for programs.") -> list[Flag]:
    """How a command prints: see ``cli.tables``."""
    return section("Output", Flag("--json", "as_json", help=purpose))


def outcome() -> list[Flag]:
    """How a command that transfers prints: see ``cli.outcome``."""
    return output("At the end, print one JSON object: the id, what was transferred, and the warnings.")


def universal(*, progress: bool = True) -> list[Flag]:
    """Options that every command takes, and that may also stand before the command.

    Args:
        progress: The help shows how progress is shown.
    """
    about_progress = _progress()
    for option in about_progress:
        option.hidden = not progress
    return section(
        "Universal options",
        SettingSwitch("-q", "--quiet", variable="", help="Print only data and errors."),
        SettingSwitch("--verbose", variable="", help="Print more details on stderr."),
        SettingSwitch("--no-progress", help="Do not show progress."),
        *about_progress,
        Setting(
            "--log-level",
            metavar="<LEVEL>",
            parse=Choice("debug", "info", "warning", "error"),
            help="Log to stderr: debug shows every request, info (as --verbose) each store.",
        ),
        Setting(
            "--color",
            metavar="<WHEN>",
            parse=Choice("auto", "always", "never"),
            variable="",
            help="Color messages on stderr: auto (default), always or never. auto respects NO_COLOR and TERM.",
        ),
    )


def _progress() -> list[Flag]:
    return [
        Setting(
            "--progress",
            metavar="<HOW>",
            parse=Choice("auto", "json", "none"),
            help="auto (default): a line on a terminal, log lines elsewhere; json: everything on stderr as JSON, one "
            "event a line; none.",
        ),
        Setting(
            "--progress-interval",
            metavar="<SECONDS>",
            parse=seconds,
            help="Time between log lines where stderr is no terminal; 0 writes none; default: 30, and 1 with "
            "--progress json.",
        ),
    ]
