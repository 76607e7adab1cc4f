"""Snapdir's own places: a mirror or linked checkout must not reach them, and a tree should not hold them."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from snapdir.api.stores import PathLike, local_path
from snapdir.config import Config, default_cache_dir
from snapdir.errors import DestinationConflict, InvalidOption, InvalidStore, SnapdirError
from snapdir.stores.urls import StoreURL
from snapdir.transfer.engine.events import Counters

if TYPE_CHECKING:
    from snapdir.disk.own_locations import OwnLocation
    from snapdir.disk.protected import ProtectedDirectory
    from snapdir.transfer.checkout import CheckoutOptions
    from snapdir.transfer.engine.selection import Selection

__all__ = ["own_directories", "own_locations", "refuse_reach", "report_leftovers"]


async def refuse_reach(
    dest: PathLike,
    options: CheckoutOptions,
    selection: Selection,
    config: Config,
    *,
    store: str | None,
    objects_store: str | None,
    use_cache: bool = True,
) -> None:
    """
    Raises:
        DestinationConflict: ``options.delete``, and the destination is a place that must not be emptied.
        SnapdirError: ``options.linked``, and there is no cache on this host to lead to.
        InvalidOption: either of them, for a part of a snapshot.
    """
    for wanted, name in ((options.delete, "--delete"), (options.linked, "--linked")):
        if wanted and selection.is_partial:
            raise InvalidOption(f"{name} needs the whole snapshot: it cannot be used with {selection}")
    if options.linked:
        _refuse_links(store, objects_store, use_cache=use_cache)
    if options.delete:
        from snapdir.disk.protected import refuse_protected

        places = list(_places(config, store, objects_store))
        await anyio.to_thread.run_sync(refuse_protected, local_path(dest) or ".", places)


def _refuse_links(store: str | None, objects_store: str | None, *, use_cache: bool) -> None:
    if not use_cache:
        raise InvalidOption("--linked makes links into the cache: it cannot be used without one")
    for url in filter(None, (store, objects_store)):
        if StoreURL.parse(url).scheme != "file":
            raise SnapdirError(
                f"--linked cannot be used with the remote store {url}: fetch the snapshot into the local cache, then "
                "check it out with --linked and without a store"
            )


def _places(config: Config, store: str | None, objects_store: str | None) -> Iterator[ProtectedDirectory]:
    from snapdir.disk.protected import ProtectedDirectory

    yield ProtectedDirectory("/", "the root of the filesystem", closed=False)
    for home in _homes():
        yield ProtectedDirectory(home, "a home directory", closed=False)
    yield ProtectedDirectory(str(config.cache_dir.expanduser()), "the local cache", closed=True)
    usual = _usual_cache()
    if usual is not None:
        yield ProtectedDirectory(usual, "the default cache", closed=True)
    for path, what in _file_stores(store, objects_store):
        yield ProtectedDirectory(path, what, closed=True)


def own_locations(
    config: Config, store: str | None = None, objects_store: str | None = None
) -> tuple[OwnLocation, ...]:
    """Where this run writes, and the cache of other runs. Inside a tree they become part of its snapshot."""
    from snapdir.disk.own_locations import OwnLocation

    places = [OwnLocation(str(config.cache_dir.expanduser()), "the cache")]
    if config.catalog is not None:
        places.append(OwnLocation(str(config.catalog), "the catalog", beside="(-journal|-shm|-wal)?"))
    places += [OwnLocation(path, what) for path, what in _file_stores(store, objects_store)]
    usual = _usual_cache()
    if usual is not None:
        places.append(OwnLocation(usual, "the default cache", foreign=True))
    return tuple(places)


def _usual_cache() -> str | None:
    """The cache without SNAPDIR_CACHE_DIR; None without a home."""
    try:
        return str(default_cache_dir({name: os.environ[name] for name in os.environ if name != "SNAPDIR_CACHE_DIR"}))
    except RuntimeError:
        return None


def _file_stores(store: str | None, objects_store: str | None) -> Iterator[tuple[str, str]]:
    for url, what in ((store, "the store"), (objects_store, "the pool of objects")):
        if url is not None and (parsed := StoreURL.parse(url)).scheme == "file":
            yield str(parsed.path), what


def _homes() -> Iterator[str]:
    """Where HOME says it is, and where the system says."""
    home = os.environ.get("HOME")
    if home:
        yield home
    try:
        yield pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return


MAX_NAMED = 3
"""Paths that a warning names."""


def own_directories(config: Config, *stores: str | None) -> tuple[str, ...]:
    """The directories of the cache and of the stores on this host: a checkout leaves none of them over."""
    return (str(config.cache_dir.expanduser()), *_directories(stores))


def _directories(stores: tuple[str | None, ...]) -> Iterator[str]:
    for store in filter(None, stores):
        try:
            url = StoreURL.parse(store)
        except InvalidStore:
            continue  # a checkout does not open it
        if url.scheme == "file":
            yield str(url.path)


def report_leftovers(dest: Path, counters: Counters, *, whole: bool, strict: bool) -> None:
    """Warn of the paths in ``counters.extra``, if there are any.

    Args:
        whole: The snapshot was checked out as a whole, so that a mirror of it is possible.

    Raises:
        DestinationConflict: there are some, and ``strict``.
    """
    extra = counters.extra
    if not extra:
        return
    count, are, them = (f"{len(extra):,} paths", "are", "them") if len(extra) > 1 else ("1 path", "is", "it")
    remedy = f"{'' if whole else 'a checkout of the whole snapshot with '}--delete removes {them}"
    if strict:
        raise DestinationConflict(dest, f"{count} {are} not in the snapshot; {remedy}", paths=extra)
    more = ", …" if len(extra) > MAX_NAMED else ""
    named = ", ".join(extra[:MAX_NAMED]) + more
    counters.warnings.append(f"{count} in {dest} {are} not in the snapshot ({named}): {remedy}")
