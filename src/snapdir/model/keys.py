"""Where things live in a store: the only place that knows the layout.

``.objects/aaa/bbb/ccc/rest`` holds a file's bytes and ``.manifests/aaa/bbb/ccc/rest`` a manifest's text, where
aaabbbcccrest is the digest's 64 hex digits.
"""

from __future__ import annotations

import re

from snapdir.model.digest import Digest

__all__ = ["MANIFESTS", "OBJECTS", "digest_of_key", "manifest_key", "object_key"]

OBJECTS = ".objects/"
MANIFESTS = ".manifests/"

_SHARDED = re.compile(r"([0-9a-f]{3})/([0-9a-f]{3})/([0-9a-f]{3})/([0-9a-f]{55})").fullmatch


def object_key(digest: str) -> str:
    return f"{OBJECTS}{digest[:3]}/{digest[3:6]}/{digest[6:9]}/{digest[9:]}"


def manifest_key(snapshot_id: str) -> str:
    return f"{MANIFESTS}{snapshot_id[:3]}/{snapshot_id[3:6]}/{snapshot_id[6:9]}/{snapshot_id[9:]}"


def digest_of_key(key: str, prefix: str) -> Digest | None:
    """The digest of a key below ``prefix`` (OBJECTS or MANIFESTS); None for anything that is not in the layout."""
    sharded = _SHARDED(key.removeprefix(prefix)) if key.startswith(prefix) else None
    return Digest("".join(sharded.groups())) if sharded else None
