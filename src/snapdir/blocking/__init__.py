"""The functions of ``snapdir`` for programs without an event loop: same names, same arguments, plain results.

::

    from snapdir import blocking

    snapshot_id = blocking.push("dataset", "s3://bucket/datasets")

The event loop behind them runs in one thread of its own, started by the first call and ended with the process, so they
also work where a loop runs already (a notebook), from several threads at once, and again in a forked child. An
exception that reaches the caller while it waits (Ctrl-C) cancels the call and waits until it has cleaned up.

Nothing here is written twice: each function is the one of ``snapdir``, wrapped, and keeps its signature. Snapshots,
their files and running verbs are wrapped too; an open file is an ordinary binary file.
"""

from __future__ import annotations

import snapdir
from snapdir import BenchReport as BenchReport
from snapdir import CacheReport as CacheReport
from snapdir import Counters as Counters
from snapdir import Damage as Damage
from snapdir import DiffEntry as DiffEntry
from snapdir import DiffOptions as DiffOptions
from snapdir import Files as Files
from snapdir import Lineage as Lineage
from snapdir import Manifest as Manifest
from snapdir import ManifestEntry as ManifestEntry
from snapdir import PathType as PathType
from snapdir import Progress as Progress
from snapdir import PullReport as PullReport
from snapdir import Record as Record
from snapdir import Relation as Relation
from snapdir import ReportedSnapshot as ReportedSnapshot
from snapdir import Revision as Revision
from snapdir import SizeStats as SizeStats
from snapdir import SnapshotChanges as SnapshotChanges
from snapdir import SnapshotId as SnapshotId
from snapdir import SnapshotReport as SnapshotReport
from snapdir import SnapshotSummary as SnapshotSummary
from snapdir import StatusReport as StatusReport
from snapdir import StoreReport as StoreReport
from snapdir import StoreUri as StoreUri
from snapdir import SyncReport as SyncReport
from snapdir import Tag as Tag
from snapdir import id_from_manifest as id_from_manifest
from snapdir import manifest_size as manifest_size
from snapdir import version as version
from snapdir.blocking.portal import as_blocking
from snapdir.blocking.progress import Running as Running
from snapdir.blocking.progress import running as running
from snapdir.blocking.progress import with_progress_bar as with_progress_bar
from snapdir.blocking.snapshots import Snapshot as Snapshot
from snapdir.blocking.snapshots import SnapshotFile as SnapshotFile
from snapdir.blocking.snapshots import open_snapshot as open_snapshot

ancestors = as_blocking(snapdir.ancestors)
bench = as_blocking(snapdir.bench)
cat = as_blocking(snapdir.cat)
checkout = as_blocking(snapdir.checkout)
delete_tag = as_blocking(snapdir.delete_tag)
descendants = as_blocking(snapdir.descendants)
diff = as_blocking(snapdir.diff)
examine = as_blocking(snapdir.examine)
fetch = as_blocking(snapdir.fetch)
find_stores = as_blocking(snapdir.find_stores)
flush_cache = as_blocking(snapdir.flush_cache)
id = as_blocking(snapdir.id)
lineage = as_blocking(snapdir.lineage)
list_snapshots = as_blocking(snapdir.list_snapshots)
locations = as_blocking(snapdir.locations)
log = as_blocking(snapdir.log)
ls = as_blocking(snapdir.ls)
manifest = as_blocking(snapdir.manifest)
manifest_of = as_blocking(snapdir.manifest_of)
pull = as_blocking(snapdir.pull)
push = as_blocking(snapdir.push)
push_cached = as_blocking(snapdir.push_cached)
report = as_blocking(snapdir.report)
resolve_id = as_blocking(snapdir.resolve_id)
revisions = as_blocking(snapdir.revisions)
size = as_blocking(snapdir.size)
stage = as_blocking(snapdir.stage)
status = as_blocking(snapdir.status)
sync = as_blocking(snapdir.sync)
sync_all = as_blocking(snapdir.sync_all)
tag = as_blocking(snapdir.tag)
tag_log = as_blocking(snapdir.tag_log)
tags = as_blocking(snapdir.tags)
verify = as_blocking(snapdir.verify)
verify_cache = as_blocking(snapdir.verify_cache)

__all__ = [name for name in dir(snapdir) if name in globals()]
