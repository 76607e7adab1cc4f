"""From a snapshot to a directory: fetch, checkout, pull."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from snapdir.api.naming import full_id, resolve_id
from snapdir.api.opening import (
    PathLike,
    cached,
    local_path,
    opened,
    opened_cache,
    opened_or_none,
    pool_hint,
    required,
)
from snapdir.config import Config
from snapdir.model.digest import SnapshotId
from snapdir.transfer.events import Counters

if TYPE_CHECKING:
    from snapdir.transfer.checkout import CheckoutOptions

__all__ = ["checkout", "fetch", "pull"]


async def fetch(
    snapshot_id: str,
    store: str | None,
    *,
    objects_store: str | None = None,
    dry_run: bool = False,
    config: Config | None = None,
    counters: Counters | None = None,
) -> None:
    """Bring a snapshot into the cache; objects the cache lost are brought again.

    Args:
        store: Where from; None is enough when the cache is complete.
        objects_store: The pool that holds the objects, where it is not ``store`` itself.
        dry_run: Only look whether the snapshot exists.
    """
    from snapdir.transfer.fetch import fetch as fetch_snapshot

    config = config or Config()
    counters = counters or Counters()
    async with opened_cache(config) as cache, opened_or_none(store, config, objects_store) as source:
        with pool_hint(objects_store):
            await fetch_snapshot(
                await full_id(snapshot_id, config, source),
                source,
                cache,
                limits=config.limits,
                counters=counters,
                settings=config.stores,
                dry_run=dry_run,
            )


async def checkout(
    snapshot_id: str,
    dest: PathLike,
    *,
    overwrite: bool = True,
    keep: bool = False,
    preserve_special_modes: bool = False,
    dry_run: bool = False,
    config: Config | None = None,
    counters: Counters | None = None,
) -> None:
    """Make a directory hold a cached snapshot's files. Works offline. See ``transfer.checkout`` for every promise."""
    config = config or Config()
    options = _options(config, overwrite=overwrite, keep=keep, preserve_special_modes=preserve_special_modes)
    identifier = await full_id(snapshot_id, config)
    if not dry_run:
        await _check_out_cached(identifier, dest, options, config, counters or Counters())


async def pull(
    snapshot_id: str,
    store: str | None,
    dest: PathLike,
    *,
    objects_store: str | None = None,
    use_cache: bool = False,
    overwrite: bool = True,
    keep: bool = False,
    preserve_special_modes: bool = False,
    dry_run: bool = False,
    config: Config | None = None,
    counters: Counters | None = None,
) -> None:
    """Make a directory hold a snapshot's files.

    Args:
        objects_store: The pool that holds the objects, where it is not ``store`` itself.
        use_cache: ``fetch`` and ``checkout``: the cache is filled too, and a complete one needs no store. Otherwise
            the bytes go straight to ``dest``, and the cache is not touched.
    """
    from snapdir.transfer.checkout import checkout as check_out

    config = config or Config()
    counters = counters or Counters()
    options = _options(config, overwrite=overwrite, keep=keep, preserve_special_modes=preserve_special_modes)
    if use_cache:
        identifier = SnapshotId(await resolve_id(snapshot_id, store, config=config))
        await fetch(identifier, store, objects_store=objects_store, dry_run=dry_run, config=config, counters=counters)
        if not dry_run:
            await _check_out_cached(identifier, dest, options, config, counters)
        return
    async with opened(required(store), config, objects_store) as source:
        m = await source.read_manifest(await full_id(snapshot_id, config, source))
        if dry_run:
            return
        with pool_hint(objects_store):
            await check_out(m, source, Path(local_path(dest)), options=options, limits=config.limits, counters=counters)


async def _check_out_cached(
    identifier: SnapshotId, dest: PathLike, options: CheckoutOptions, config: Config, counters: Counters
) -> None:
    from snapdir.transfer.checkout import checkout as check_out
    from snapdir.transfer.fetch import require_cached

    async with opened_cache(config) as cache:
        m = await cached(identifier, cache)
        await anyio.to_thread.run_sync(require_cached, identifier, m, cache)
        await check_out(m, cache, Path(local_path(dest)), options=options, limits=config.limits, counters=counters)


def _options(config: Config, *, overwrite: bool, keep: bool, preserve_special_modes: bool) -> CheckoutOptions:
    from snapdir.transfer.checkout import CheckoutOptions

    return CheckoutOptions(
        overwrite=overwrite,
        keep=keep,
        preserve_special_modes=preserve_special_modes,
        fsync=config.stores.fsync,
        clone=config.stores.clone,
    )
