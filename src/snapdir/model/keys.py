"""The layout of a store: its keys.

``.objects/aaa/bbb/ccc/rest`` holds a file's bytes and ``.manifests/aaa/bbb/ccc/rest`` a manifest's text, where
aaabbbcccrest is the digest's 64 hex digits. ``.catalog/YYYY/MM/DDTHHMMSS.mmm-record`` holds one record of the history
that travels with the store: the order of keys is the order of time. ``.refs/NAME`` holds what a name means, and
``.refs/.log/NAME/SEQUENCE`` what it meant before.
"""

from __future__ import annotations

import re

from snapdir.model.digest import Digest

OBJECTS = ".objects/"
MANIFESTS = ".manifests/"
RECORDS = ".catalog/"
REFS = ".refs/"
REFS_PROBE = ".refs/.probe"
"""Written to find out whether a service heeds conditions. No name has a part that begins with a dot."""
OBJECT_MODE = 0o444
"""Mode of an object's file, before the umask; objects never change."""

INCOMPLETE = ".incomplete/"
"""In a cache only: manifests of snapshots that were fetched in part."""

PARTIAL = ".partial"
"""Files that are being written, in a store of files or a cache."""

KNOWN, UPLOADS, ENDPOINTS, CHECKOUTS = ".known", ".uploads", ".endpoints", ".checkouts"
"""In a cache only: notes about the objects of stores, unfinished uploads, services, and checkouts."""

INDEX = ".index"
"""In a cache only: what directories were when they were last read."""

_SHARDED = re.compile(r"([0-9a-f]{3})/([0-9a-f]{3})/([0-9a-f]{3})/([0-9a-f]{55})").fullmatch
_RECORD = re.compile(
    r"\.catalog/([0-9]{4})/([0-9]{2})/([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2}\.[0-9]{3})-([0-9a-f]{8,64})\.json"
).fullmatch


def object_key(digest: str) -> str:
    return f"{OBJECTS}{digest[:3]}/{digest[3:6]}/{digest[6:9]}/{digest[9:]}"


def manifest_key(snapshot_id: str) -> str:
    return f"{MANIFESTS}{snapshot_id[:3]}/{snapshot_id[3:6]}/{snapshot_id[6:9]}/{snapshot_id[9:]}"


def manifest_prefix(digits: str) -> str:
    """The common prefix of the keys of manifests whose ids start with ``digits``."""
    return MANIFESTS + "/".join(filter(None, (digits[:3], digits[3:6], digits[6:9], digits[9:])))


def incomplete_key(snapshot_id: str) -> str:
    return f"{INCOMPLETE}{snapshot_id}"


def digest_of_key(key: str, prefix: str) -> Digest | None:
    """The digest of a key below ``prefix`` (OBJECTS or MANIFESTS); None for other keys."""
    sharded = _SHARDED(key.removeprefix(prefix)) if key.startswith(prefix) else None
    return Digest("".join(sharded.groups())) if sharded else None


def record_key(created_at: str, record_id: str) -> str:
    """The key of a history record.

    Args:
        created_at: ``YYYY-MM-DD HH:MM:SS.mmm``, UTC.
    """
    return f"{records_since(created_at)}-{record_id}.json"


def records_since(created_at: str) -> str:
    """The prefix that sorts right before the keys of all records from ``created_at`` on."""
    date, _, time = created_at.partition(" ")
    return f"{RECORDS}{date[:7].replace('-', '/')}/{date[8:]}T{time.replace(':', '')}"


def record_of_key(key: str) -> tuple[str, str] | None:
    """The time and the record id of a record's key; None for other keys."""
    matched = _RECORD(key)
    if matched is None:
        return None
    year, month, day, hours, minutes, seconds, record_id = matched.groups()
    return f"{year}-{month}-{day} {hours}:{minutes}:{seconds}", record_id


def tag_key(name: str) -> str:
    return f"{REFS}{name}"


def tag_log_prefix(name: str) -> str:
    return f"{REFS}.log/{name}/"


def tag_log_key(name: str, sequence: int) -> str:
    return f"{tag_log_prefix(name)}{sequence:010}"
