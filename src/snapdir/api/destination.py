"""Directories of snapdir and of its user: a mirror must not reach them, a tree should not hold them. And leftovers."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from snapdir.api.stores import StorePair
from snapdir.config import Config, default_cache_dir
from snapdir.errors import DestinationConflict, InvalidOption
from snapdir.transfer.engine.events import Counters

if TYPE_CHECKING:
    from snapdir.disk.own_locations import OwnLocation
    from snapdir.disk.protected import ProtectedDirectory
    from snapdir.transfer.destination.options import CheckoutOptions

MAX_NAMED = 3
"""Paths that a warning names."""


async def guard_destination(dest: Path, options: CheckoutOptions, config: Config, stores: StorePair) -> None:
    """
    Raises:
        DestinationConflict: ``options.delete``, and the destination must not be emptied.
        InvalidOption: ``options.delete`` or ``options.linked`` for a part of a snapshot.
    """
    for is_given, name in ((options.delete, "--delete"), (options.linked, "--linked")):
        if is_given and options.selection.is_partial:
            raise InvalidOption(f"{name} cannot be used with {options.selection}: it needs the whole snapshot")
    if options.delete:
        from snapdir.disk.protected import refuse_protected

        await anyio.to_thread.run_sync(refuse_protected, dest, list(_protected(config, stores)))


def _protected(config: Config, stores: StorePair) -> Iterator[ProtectedDirectory]:
    from snapdir.disk.protected import ProtectedDirectory

    yield ProtectedDirectory("/", "the root of the filesystem", closed=False)
    for home in _homes():
        yield ProtectedDirectory(home, "a home directory", closed=False)
    yield ProtectedDirectory(str(config.cache_dir), "the local cache", closed=True)
    usual = _usual_cache()
    if usual is not None:
        yield ProtectedDirectory(usual, "the default cache", closed=True)
    for path, name in stores.directories.items():
        yield ProtectedDirectory(path, name, closed=True)


def own_locations(config: Config, stores: StorePair) -> tuple[OwnLocation, ...]:
    """The locations that this run writes to, and the default cache. Inside a tree they become part of its snapshot."""
    from snapdir.disk.own_locations import OwnLocation

    locations = [OwnLocation(str(config.cache_dir), "the cache")]
    if config.catalog is not None:
        locations.append(OwnLocation(str(config.catalog), "the catalog", beside="(-journal|-shm|-wal)?"))
    locations += [OwnLocation(path, name) for path, name in stores.directories.items()]
    usual = _usual_cache()
    if usual is not None:
        locations.append(OwnLocation(usual, "the default cache", foreign=True))
    return tuple(locations)


def own_directories(config: Config, stores: StorePair) -> tuple[str, ...]:
    """The directories of the cache and of the stores on this host."""
    return (str(config.cache_dir), *stores.directories)


def _usual_cache() -> str | None:
    """The cache without SNAPDIR_CACHE_DIR; None without a home."""
    try:
        return str(default_cache_dir({name: os.environ[name] for name in os.environ if name != "SNAPDIR_CACHE_DIR"}))
    except RuntimeError:
        return None


def _homes() -> Iterator[str]:
    """As given by HOME, and as given by the system."""
    home = os.environ.get("HOME")
    if home:
        yield home
    try:
        yield pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return


def report_leftovers(dest: Path, counters: Counters, *, whole: bool, strict: bool) -> None:
    """Warn of the paths in ``counters.extra``, if there are any.

    Args:
        whole: The whole snapshot was checked out, so that --delete would remove them.

    Raises:
        DestinationConflict: there are some, and ``strict``.
    """
    extra = counters.extra
    if not extra:
        return
    count, are, them = (f"{len(extra):,} paths", "are", "them") if len(extra) > 1 else ("1 path", "is", "it")
    remedy = f"{'use' if whole else 'check out the whole snapshot with'} --delete to remove {them}"
    if strict:
        raise DestinationConflict(dest, f"{count} {are} not in the snapshot ({remedy})", paths=extra)
    more = ", …" if len(extra) > MAX_NAMED else ""
    named = ", ".join(extra[:MAX_NAMED]) + more
    counters.warnings.append(f"{count} in {dest} {are} not in the snapshot ({named}); {remedy}")
