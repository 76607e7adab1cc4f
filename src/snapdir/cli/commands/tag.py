"""snapdir tag: names of snapshots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import snapdir
from snapdir.cli import options, settings
from snapdir.cli.invocation import Invocation
from snapdir.cli.parameters import Flag, Positional, Single, section, whole_number
from snapdir.cli.settings import FSYNC
from snapdir.cli.tables import Cell, Moment, Prose, ShortId, write_json, write_json_lines, write_rows
from snapdir.cli.usage import UsageMistake
from snapdir.cli.verb import command
from snapdir.model.digest import MIN_DIGITS, is_hexadecimal

COLUMNS = ("name", "id", "created_at", "sequence", "by")
LOG_COLUMNS = ("sequence", "created_at", "id", "previous", "by")
DEFAULT_LIMIT = 20
OTHER_VERBS = {
    "add": "snapdir tag {} ID",
    "create": "snapdir tag {} ID",
    "delete": "snapdir tag --delete {}",
    "list": "snapdir tag",
    "ls": "snapdir tag",
    "remove": "snapdir tag --delete {}",
    "rm": "snapdir tag --delete {}",
}
"""Subcommands of other tools: the command line sets no such names."""


@command(
    Positional("name", required=False, metavar="[NAME]", use="The name; without it, all names of --store are listed."),
    Positional(
        "snapshot_id", required=False, metavar="[ID]", use="The snapshot: an id, its first digits, a name, or latest."
    ),
    *options.store(),
    Flag("--delete", help="Delete the name. Its history and all snapshots stay."),
    Flag("--log", help="List every value that the name has had, the current one first."),
    Single(
        "--expect",
        metavar="<OLD>",
        help="Change the name only if it means this snapshot; --expect none: only if there is no such name.",
    ),
    Flag(
        "--unsafe",
        help="Change the name in a store without conditional writes too, where one of two concurrent changes may be "
        "lost.",
    ),
    *section(
        "Output",
        Single(
            "--limit",
            metavar="<N>",
            parse=whole_number,
            help=f"With --log, show the newest N values; 0 shows all; default: {DEFAULT_LIMIT}.",
        ),
    ),
    *options.output(),
    *settings.cache(),
    *settings.retries(),
    *settings.bucket(writing=True),
    variables=[FSYNC],
    examples=[
        "snapdir tag --store s3://bucket/sets v1 $ID",
        "snapdir tag --store s3://bucket/sets best latest --expect $OLD",
        "snapdir tag --store s3://bucket/sets",
        "snapdir tag --store s3://bucket/sets --log best",
        "snapdir pull --store s3://bucket/sets --id best ./data",
    ],
)
def tag(
    invocation: Invocation, /, *, name: str | None, snapshot_id: str | None, store: str | None, **given: Any
) -> None:
    """Give a snapshot a name, list the names of a store, or delete one.

    A name has up to 255 letters, digits and the characters . _ - /, and does not consist only of hexadecimal digits. It
    stands for an id wherever one is taken: --id NAME, STORE@NAME. A name that means another snapshot is moved. No
    concurrent change is lost: --log lists each. The name latest always means the newest push.
    """
    _check(name, snapshot_id, given)
    url = options.required_store(store)
    if name is None:
        _list(invocation, url, as_json=given["as_json"])
    elif given["log"]:
        _log(invocation, name, url, limit=given["limit"], as_json=given["as_json"])
    elif given["delete"]:
        how = {"expect": given["expect"], "unsafe": given["unsafe"]}
        _tell(invocation, invocation.run(snapdir.delete_tag, name, url, **how), given["as_json"])
    else:
        how = {"expect": given["expect"], "unsafe": given["unsafe"]}
        _tell(invocation, invocation.run(snapdir.tag, name, snapshot_id, url, **how), given["as_json"])


def _check(name: str | None, snapshot_id: str | None, given: Mapping[str, Any]) -> None:
    """
    Raises:
        UsageMistake: The arguments do not go together.
    """
    if name in OTHER_VERBS and not (given["delete"] or given["log"]):
        raise UsageMistake(
            f"'{name}' would be the name", tip=f"write: {OTHER_VERBS[name].format(snapshot_id or 'NAME')}"
        )
    asked = [
        f"--{option}" for option in ("delete", "log", "expect", "unsafe", "limit") if given[option] not in (None, False)
    ]
    if name is None and asked:
        raise UsageMistake(f"the argument '{asked[0]}' needs a NAME")
    if name is not None and snapshot_id is not None and _is_id(name) and not _is_id(snapshot_id):
        raise UsageMistake(f"the name comes first: snapdir tag {snapshot_id} {name}")
    if given["delete"] and given["log"]:
        raise UsageMistake("the argument '--delete' cannot be used with '--log'")
    if given["log"] and (given["expect"] is not None or given["unsafe"]):
        raise UsageMistake("the argument '--log' changes nothing: leave out --expect and --unsafe")
    if given["limit"] is not None and not given["log"]:
        raise UsageMistake("the argument '--limit <N>' goes with '--log'")
    reads = given["delete"] or given["log"]
    if name is not None and (snapshot_id is None) is not reads:
        raise UsageMistake(
            f"unexpected argument '{snapshot_id}' found"
            if reads
            else f"an ID is missing: write `snapdir tag {name} ID`, --log {name} or --delete {name}"
        )


def _is_id(text: str) -> bool:
    return is_hexadecimal(text) and len(text) >= MIN_DIGITS


def _list(invocation: Invocation, store: str, *, as_json: bool) -> None:
    found = invocation.run(snapdir.tags, store)
    if as_json:
        write_json_lines(map(_fields, found))
    else:
        rows = [(tag.name, ShortId(tag.id), Moment(tag.created_at), tag.sequence, tag.by) for tag in found]
        write_rows(COLUMNS, rows, terminal=invocation.terminal, shown=_shown)
    if not found:
        invocation.terminal.note(f"no names in {store}: `snapdir tag NAME ID` sets one")


def _shown(row: Mapping[str, Any]) -> Mapping[str, Cell]:
    return {"name": row["name"], "id": row["id"], "set (UTC)": row["created_at"], "by": Prose(row["by"] or "")}


def _log(invocation: Invocation, name: str, store: str, *, limit: int | None, as_json: bool) -> None:
    limit = DEFAULT_LIMIT if limit is None else limit
    found = invocation.run(snapdir.tag_log, name, store, limit=limit or None, counted=False)
    if as_json:
        write_json_lines(map(_fields, found))
    else:
        write_rows(LOG_COLUMNS, map(_log_row, found), terminal=invocation.terminal, shown=_shown_log)
    if limit and found[-1].sequence > 1 and len(found) >= limit:
        invocation.terminal.note(f"the newest {limit} values are shown; --limit 0 shows all")


def _log_row(tag: snapdir.Tag) -> Sequence[Cell]:
    ids = [None if id_ is None else ShortId(id_) for id_ in (tag.id, tag.previous)]
    return tag.sequence, Moment(tag.created_at), *ids, tag.by


def _shown_log(row: Mapping[str, Any]) -> Mapping[str, Cell]:
    return {
        "number": row["sequence"],
        "set (UTC)": row["created_at"],
        "id": row["id"] or "deleted",
        "before": row["previous"],
        "by": Prose(row["by"] or ""),
    }


def _tell(invocation: Invocation, tag: snapdir.Tag, as_json: bool) -> None:
    if as_json:
        write_json(_fields(tag))
    elif tag.id is None:
        invocation.terminal.note(f"deleted {tag.name}, which was {tag.previous}")
    else:
        before = f", and was {tag.previous}" if tag.previous else ""
        invocation.terminal.note(f"{tag.name} is {tag.id}{before}")


def _fields(tag: snapdir.Tag) -> dict[str, Any]:
    return {
        "name": tag.name,
        "id": tag.id,
        "sequence": tag.sequence,
        "previous": tag.previous,
        "created_at": tag.created_at,
        "by": tag.by,
    }
