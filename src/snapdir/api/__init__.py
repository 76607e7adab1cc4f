"""The verbs as functions: each opens what it needs, runs one verb, and closes it again.

Paths are ``str`` or ``os.PathLike``, with ``~`` expanded; a store is a URL, a bare path or a StoreUri; an id is a str
or a SnapshotId, and 8 or more of its first digits will do (see ``resolve_id``). ``config`` says how to run (see
Config); ``counters`` are running totals that a display may read meanwhile. All raise SnapdirError subclasses, and
nothing else that a user can cause.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snapdir.api.changelog import Revision, log
    from snapdir.api.checkouts import StatusReport, status
    from snapdir.api.comparing import DiffOptions, diff, manifest_size, size
    from snapdir.api.copying import sync, sync_all
    from snapdir.api.history import Lineage, ancestors, descendants, lineage, locations, revisions
    from snapdir.api.inspection import examine, flush_cache, verify, verify_cache
    from snapdir.api.listing import list_snapshots
    from snapdir.api.measuring import bench
    from snapdir.api.naming import resolve_id
    from snapdir.api.progress import Progress, Running, running
    from snapdir.api.refs import manifest_of
    from snapdir.api.retrieval import checkout, fetch, pull
    from snapdir.api.snapshots import Files, Snapshot, SnapshotFile, open_snapshot
    from snapdir.api.trees import id, id_from_manifest, manifest, push, push_cached, stage
    from snapdir.bench.report import BenchReport
    from snapdir.catalog.lineage import Relation
    from snapdir.catalog.record import Record
    from snapdir.model.digest import SnapshotId
    from snapdir.model.entry import Entry as ManifestEntry
    from snapdir.model.entry import PathType
    from snapdir.model.manifest import Manifest
    from snapdir.stores.urls import StoreUri
    from snapdir.transfer.comparing.compare import DiffEntry, SizeStats, SnapshotSummary
    from snapdir.transfer.engine.events import Counters
    from snapdir.transfer.engine.reports import CacheReport, Damage, SnapshotReport, SyncReport

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

_HOMES = {
    "snapdir.api.changelog": ("Revision", "log"),
    "snapdir.api.checkouts": ("StatusReport", "status"),
    "snapdir.api.comparing": ("DiffOptions", "diff", "manifest_size", "size"),
    "snapdir.api.copying": ("sync", "sync_all"),
    "snapdir.api.history": ("Lineage", "ancestors", "descendants", "lineage", "locations", "revisions"),
    "snapdir.api.inspection": ("examine", "flush_cache", "verify", "verify_cache"),
    "snapdir.api.listing": ("list_snapshots",),
    "snapdir.api.measuring": ("bench",),
    "snapdir.api.naming": ("resolve_id",),
    "snapdir.api.progress": ("Progress", "Running", "running"),
    "snapdir.api.refs": ("manifest_of",),
    "snapdir.api.retrieval": ("checkout", "fetch", "pull"),
    "snapdir.api.snapshots": ("Files", "Snapshot", "SnapshotFile", "open_snapshot"),
    "snapdir.api.trees": ("id", "id_from_manifest", "manifest", "push", "push_cached", "stage"),
    "snapdir.catalog.lineage": ("Relation",),
    "snapdir.catalog.record": ("Record",),
    "snapdir.model.digest": ("SnapshotId",),
    "snapdir.model.entry": ("Entry", "PathType"),
    "snapdir.model.manifest": ("Manifest",),
    "snapdir.stores.urls": ("StoreUri",),
    "snapdir.bench.report": ("BenchReport",),
    "snapdir.transfer.comparing.compare": ("DiffEntry", "SizeStats", "SnapshotSummary"),
    "snapdir.transfer.engine.events": ("Counters",),
    "snapdir.transfer.engine.reports": ("CacheReport", "Damage", "SnapshotReport", "SyncReport"),
}
"""Where each name lives. A verb loads the modules of its own room only, which the command line waits for."""


def __getattr__(name: str) -> object:
    if name in __all__:
        own = "Entry" if name == "ManifestEntry" else name
        home = next(home for home, names in _HOMES.items() if own in names)
        globals()[name] = value = getattr(import_module(home), own)
        return value
    raise AttributeError(f"module 'snapdir.api' has no attribute {name!r}")


def version() -> str:
    """The version of this package."""
    from importlib.metadata import version as installed_version

    return installed_version("snapdir")
