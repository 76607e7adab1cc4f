"""The functions of ``snapdir`` for programs without an event loop: same names, same arguments, plain results.

::

    from snapdir import blocking

    snapshot_id = blocking.push("dataset", "s3://bucket/datasets")

The event loop behind them runs in one thread of its own, started by the first call and ended with the process, so they
also work where a loop runs already (a notebook), from several threads at once, and again in a forked child. An
exception that reaches the caller while it waits (Ctrl-C) cancels the call and waits until it has cleaned up.

Nothing here is written twice: each function is the one of ``snapdir.api``, wrapped, and keeps its signature. What is
open (a snapshot, its files, a running verb) is wrapped likewise; an open file is one that Python's libraries take.
"""

from __future__ import annotations

from snapdir import api
from snapdir.api import (
    BenchReport,
    CacheReport,
    Counters,
    Damage,
    DiffEntry,
    DiffOptions,
    Files,
    Lineage,
    Manifest,
    ManifestEntry,
    PathType,
    Progress,
    Record,
    Relation,
    Revision,
    SizeStats,
    SnapshotId,
    SnapshotReport,
    SnapshotSummary,
    StatusReport,
    StoreUri,
    SyncReport,
    id_from_manifest,
    manifest_size,
    version,
)
from snapdir.blocking.portal import as_blocking
from snapdir.blocking.progress import Running, running
from snapdir.blocking.snapshots import Snapshot, SnapshotFile, open_snapshot

__all__ = [
    "BenchReport",
    "CacheReport",
    "Counters",
    "Damage",
    "DiffEntry",
    "DiffOptions",
    "Files",
    "Lineage",
    "Manifest",
    "ManifestEntry",
    "PathType",
    "Progress",
    "Record",
    "Relation",
    "Revision",
    "Running",
    "SizeStats",
    "Snapshot",
    "SnapshotFile",
    "SnapshotId",
    "SnapshotReport",
    "SnapshotSummary",
    "StatusReport",
    "StoreUri",
    "SyncReport",
    "ancestors",
    "bench",
    "checkout",
    "descendants",
    "diff",
    "examine",
    "fetch",
    "flush_cache",
    "id",
    "id_from_manifest",
    "lineage",
    "list_snapshots",
    "locations",
    "log",
    "manifest",
    "manifest_of",
    "manifest_size",
    "open_snapshot",
    "pull",
    "push",
    "push_cached",
    "resolve_id",
    "revisions",
    "running",
    "size",
    "stage",
    "status",
    "sync",
    "sync_all",
    "verify",
    "verify_cache",
    "version",
]

ancestors = as_blocking(api.ancestors)
bench = as_blocking(api.bench)
checkout = as_blocking(api.checkout)
descendants = as_blocking(api.descendants)
diff = as_blocking(api.diff)
examine = as_blocking(api.examine)
fetch = as_blocking(api.fetch)
flush_cache = as_blocking(api.flush_cache)
id = as_blocking(api.id)
lineage = as_blocking(api.lineage)
locations = as_blocking(api.locations)
log = as_blocking(api.log)
list_snapshots = as_blocking(api.list_snapshots)
manifest = as_blocking(api.manifest)
manifest_of = as_blocking(api.manifest_of)
pull = as_blocking(api.pull)
push = as_blocking(api.push)
push_cached = as_blocking(api.push_cached)
resolve_id = as_blocking(api.resolve_id)
revisions = as_blocking(api.revisions)
size = as_blocking(api.size)
stage = as_blocking(api.stage)
status = as_blocking(api.status)
sync = as_blocking(api.sync)
sync_all = as_blocking(api.sync_all)
verify = as_blocking(api.verify)
verify_cache = as_blocking(api.verify_cache)
