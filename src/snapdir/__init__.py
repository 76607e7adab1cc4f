"""Content-addressed directory snapshots: push, pull and verify exactly those bytes.

::

    import snapdir

    snapshot_id = await snapdir.push("dataset", "s3://bucket/datasets")
    await snapdir.pull(snapshot_id, "s3://bucket/datasets", "elsewhere")
    assert await snapdir.id("elsewhere") == snapshot_id

``snapdir.blocking`` has the same functions for programs without an event loop.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snapdir.api import (
        BenchReport,
        CacheReport,
        Counters,
        Damage,
        DiffEntry,
        DiffOptions,
        Files,
        Manifest,
        ManifestEntry,
        PathType,
        Progress,
        Running,
        SizeStats,
        Snapshot,
        SnapshotFile,
        SnapshotId,
        SnapshotReport,
        StoreUri,
        SyncReport,
        bench,
        checkout,
        diff,
        examine,
        fetch,
        flush_cache,
        id,
        id_from_manifest,
        manifest,
        manifest_size,
        open_snapshot,
        pull,
        push,
        push_cached,
        resolve_id,
        running,
        size,
        stage,
        sync,
        sync_all,
        verify,
        verify_cache,
        version,
    )
    from snapdir.config import Config
    from snapdir.errors import (
        AccessDenied,
        AmbiguousId,
        CatalogError,
        Conflict,
        ConnectionFailed,
        CorruptManifest,
        CorruptObject,
        DestinationConflict,
        HashMismatchError,
        InFluxError,
        InvalidId,
        InvalidManifest,
        InvalidOption,
        InvalidPack,
        InvalidResponse,
        InvalidStore,
        LocalError,
        ManifestNotFound,
        NoSpace,
        NothingSelected,
        ObjectNotFound,
        PathNotFound,
        SnapdirError,
        StoreError,
        StoreMissing,
        StoreProgramFailed,
        StoreRefused,
        Throttled,
        TransferFailed,
        TransientStoreError,
        UnknownId,
        UnsafeName,
        UnsafePath,
        WalkFailed,
    )

__all__ = [
    "AccessDenied",
    "AmbiguousId",
    "BenchReport",
    "CacheReport",
    "CatalogError",
    "Config",
    "Conflict",
    "ConnectionFailed",
    "CorruptManifest",
    "CorruptObject",
    "Counters",
    "Damage",
    "DestinationConflict",
    "DiffEntry",
    "DiffOptions",
    "Files",
    "HashMismatchError",
    "InFluxError",
    "InvalidId",
    "InvalidManifest",
    "InvalidOption",
    "InvalidPack",
    "InvalidResponse",
    "InvalidStore",
    "LocalError",
    "Manifest",
    "ManifestEntry",
    "ManifestNotFound",
    "NoSpace",
    "NothingSelected",
    "ObjectNotFound",
    "PathNotFound",
    "PathType",
    "Progress",
    "Running",
    "SizeStats",
    "SnapdirError",
    "Snapshot",
    "SnapshotFile",
    "SnapshotId",
    "SnapshotReport",
    "StoreError",
    "StoreMissing",
    "StoreProgramFailed",
    "StoreRefused",
    "StoreUri",
    "SyncReport",
    "Throttled",
    "TransferFailed",
    "TransientStoreError",
    "UnknownId",
    "UnsafeName",
    "UnsafePath",
    "WalkFailed",
    "bench",
    "checkout",
    "diff",
    "examine",
    "fetch",
    "flush_cache",
    "id",
    "id_from_manifest",
    "manifest",
    "manifest_size",
    "open_snapshot",
    "pull",
    "push",
    "push_cached",
    "resolve_id",
    "running",
    "size",
    "stage",
    "sync",
    "sync_all",
    "verify",
    "verify_cache",
    "version",
]

_HOMES = ("snapdir.errors", "snapdir.config", "snapdir.api")


def __getattr__(name: str) -> object:
    """Load a public name when it is first used: all of them take 80 ms, which the command line need not pay."""
    if name in __all__:
        for home in map(import_module, _HOMES):
            if name in home.__all__:
                globals()[name] = value = getattr(home, name)
                return value
    raise AttributeError(f"module 'snapdir' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
