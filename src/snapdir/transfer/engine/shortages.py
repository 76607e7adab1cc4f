"""Warnings about limits of the machine that make a transfer slower than it need be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snapdir.disk.descriptors import open_files_limit, share_of_descriptors
from snapdir.model.sizes import format_size
from snapdir.stores.concurrency import START_REQUESTS
from snapdir.stores.settings import LOCAL_REQUESTS, UNLIMITED
from snapdir.transfer.engine.limits import DEFAULT_MEMORY_BYTES, Bound, Limits, memory_limit_here, memory_share

if TYPE_CHECKING:
    from snapdir.stores.base import Store

ENOUGH_OPEN_FILES = 1024
LIMIT_OF = {"cgroup": "its cgroup", "rlimit": "ulimit -v"}


def machine_warnings(store: Store, limits: Limits) -> list[str]:
    """One line for each limit that makes transfers with ``store`` slower, with the way out. Blocking: about 0.2 ms.

    Nothing is said about what the user has chosen, unless it cannot be kept.
    """
    lines = (_memory_warning(limits.memory_bytes, memory_limit_here()), _open_files_warning(store, limits))
    return [line for line in lines if line]


def _memory_warning(memory_bytes: int, limit: Bound | None) -> str:
    if limit is None:
        return ""
    allowed = f"{format_size(limit.value)} of memory ({LIMIT_OF[limit.source]})"
    if memory_bytes > limit.value:
        return (
            f"{format_size(memory_bytes)} of content do not fit into the {allowed}: lower --memory, or the process may "
            "be ended"
        )
    share = memory_share(limit)
    if share.source == "default" or memory_bytes != share.value:
        return ""
    return (
        f"this process has {allowed}: {format_size(memory_bytes)} of it hold content instead of "
        f"{format_size(DEFAULT_MEMORY_BYTES)}, which may be slower; raise the limit, or choose with --memory"
    )


def _open_files_warning(store: Store, limits: Limits) -> str:
    limit = open_files_limit()
    requests = share_of_descriptors(UNLIMITED)
    wanted = limits.jobs or (START_REQUESTS if store.capabilities.remote else LOCAL_REQUESTS)
    chosen = share_of_descriptors(UNLIMITED, limits.max_open_files)
    if limit is None or requests >= min(wanted, START_REQUESTS) or chosen < requests:
        return ""
    return (
        f"this process may have {limit} open files (ulimit -n), enough for {requests} requests at once; "
        f"raise the limit to {ENOUGH_OPEN_FILES} for a faster transfer"
    )
