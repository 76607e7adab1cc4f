"""Snapdir's own places: a mirror or linked checkout must not reach them, and a tree should not hold them."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from typing import TYPE_CHECKING

import anyio.to_thread

from snapdir.api.opening import PathLike, local_path
from snapdir.config import Config, default_cache_dir
from snapdir.errors import InvalidOption, SnapdirError
from snapdir.stores.urls import StoreURL

if TYPE_CHECKING:
    from snapdir.disk.own_locations import OwnLocation
    from snapdir.disk.protected import ProtectedDirectory
    from snapdir.transfer.checkout import CheckoutOptions
    from snapdir.transfer.engine.selection import Selection

__all__ = ["own_locations", "refuse_reach"]


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
