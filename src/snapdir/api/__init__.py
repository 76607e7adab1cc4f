"""The verbs as functions: each opens what it needs, runs one verb, and closes it again.

Paths are ``str`` or ``os.PathLike``, with ``~`` expanded; a store is a URL, a bare path or a StoreUri; an id is a str
or a SnapshotId. ``config`` says how to run (see Config); ``counters`` are running totals that a display may read
meanwhile. All raise SnapdirError subclasses, and nothing else that a user can cause.
"""

from __future__ import annotations

from snapdir.api.inspection import DiffOptions, diff, flush_cache, manifest_size, size, sync, verify, verify_cache
from snapdir.api.measuring import bench
from snapdir.api.retrieval import checkout, fetch, pull
from snapdir.api.trees import id, id_from_manifest, manifest, push, push_cached, stage
from snapdir.model.digest import SnapshotId
from snapdir.model.entry import Entry as ManifestEntry
from snapdir.model.entry import PathType
from snapdir.model.manifest import Manifest
from snapdir.stores.urls import StoreUri
from snapdir.transfer.bench_report import BenchReport
from snapdir.transfer.compare import DiffEntry, SizeStats
from snapdir.transfer.reports import CacheReport

__all__ = [
    "BenchReport",
    "CacheReport",
    "DiffEntry",
    "DiffOptions",
    "Manifest",
    "ManifestEntry",
    "PathType",
    "SizeStats",
    "SnapshotId",
    "StoreUri",
    "bench",
    "checkout",
    "diff",
    "fetch",
    "flush_cache",
    "id",
    "id_from_manifest",
    "manifest",
    "manifest_size",
    "pull",
    "push",
    "push_cached",
    "size",
    "stage",
    "sync",
    "verify",
    "verify_cache",
    "version",
]


def version() -> str:
    """The version of this package."""
    from importlib.metadata import version as installed_version

    return installed_version("snapdir")
