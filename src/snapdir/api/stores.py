"""Opening stores and the cache, from the arguments of the public functions."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import anyio
import anyio.to_thread

from snapdir.config import Config
from snapdir.errors import (
    AccessDenied,
    InvalidOption,
    InvalidStore,
    LocalError,
    ObjectNotFound,
    SnapdirError,
    StoreError,
    StoreMissing,
    TransferFailed,
)
from snapdir.errors.base import NO_STORE
from snapdir.errors.local import DENIED
from snapdir.model.digest import ID_DIGITS
from snapdir.model.keys import manifest_prefix
from snapdir.repository.repository import Repository
from snapdir.stores.base import first_page
from snapdir.stores.urls import BUILT_IN, PLANNED, StoreURL
from snapdir.transfer.engine.shortages import machine_warnings

if TYPE_CHECKING:
    from snapdir.stores.external import ExternalStore
    from snapdir.stores.settings import StoreSettings
    from snapdir.transfer.engine.events import Counters
    from snapdir.transfer.upload.journal import UploadJournal

PathLike = str | os.PathLike[str]

CACHE_HINT = "choose another cache with --cache-dir or SNAPDIR_CACHE_DIR"
NO_CACHE_HINT = "or pull without --cache"

POOL_HINT = (
    "if the objects are in a pool of their own, name it with --objects-store (sync: --from-objects; "
    "in Python: objects_store=)"
)


class StorePair(NamedTuple):
    """The parsed URLs of a store and, if its objects are not in it, of their pool. Without a URL there is no store."""

    url: StoreURL | None = None
    pool: StoreURL | None = None

    @property
    def program(self) -> ExternalStore | None:
        """The program that serves the store, if it is not served in process."""
        if self.url is None or self.url.scheme in (*BUILT_IN, *PLANNED):
            return None
        from snapdir.stores.external import ExternalStore

        return ExternalStore(self.url)

    @property
    def directories(self) -> dict[str, str]:
        """The stores that are directories of this host, each with its name in messages."""
        named = ((self.url, "the store"), (self.pool, "the pool of objects"))
        return {str(url.path): name for url, name in named if url is not None and url.scheme == "file"}

    @property
    def required(self) -> StoreURL:
        """
        Raises:
            SnapdirError: no store is given.
        """
        if self.url is None:
            raise SnapdirError(NO_STORE)
        return self.url


async def parse_stores(
    store: PathLike | None,
    objects_store: PathLike | None = None,
    *,
    options: tuple[str, str] = ("", "--objects-store"),
    verb: str = "a pool of objects",
) -> StorePair:
    """The arguments of a public function, parsed in a thread: a relative path depends on the current directory.

    Args:
        options: The options that name the two on the command line, for messages.
        verb: What a program cannot serve, for messages.

    Raises:
        InvalidStore: not a URL; or a pool together with a program, which cannot use it.
    """
    return await anyio.to_thread.run_sync(_parse_stores, store, objects_store, options, verb)


def _parse_stores(
    store: PathLike | None, objects_store: PathLike | None, options: tuple[str, str], verb: str
) -> StorePair:
    url = None if store is None else _parse(store, options[0])
    pair = StorePair(url, None if objects_store is None else _parse(objects_store, options[1]))
    if pair.pool is not None:
        require_in_process(StorePair(pair.pool), pair, verb=verb)
    return pair


def _parse(store: PathLike, option: str) -> StoreURL:
    try:
        return StoreURL.parse(store)
    except InvalidStore as error:
        if option:
            error.prefix = f"resolving {option}: {error.prefix}"
        raise


def require_in_process(*stores: StorePair, verb: str = "sync") -> None:
    """
    Args:
        verb: For the message; most verbs use the reference's word for all of them.

    Raises:
        InvalidStore: a store is a program, which cannot take part.
    """
    for url in (url for pair in stores for url in pair if url is not None):
        if url.scheme not in (*BUILT_IN, *PLANNED):
            raise InvalidStore(
                f"{verb} requires in-process stores (file/s3/b2/gcs); external `snapdir-*-store` URLs are not "
                f"supported: {url}"
            )


def local_path(path: PathLike) -> str:
    text = os.fspath(path)
    if not isinstance(text, str):
        raise TypeError(f"a path is str or os.PathLike[str], not {type(text).__name__}")
    return os.path.expanduser(text) if text.startswith("~") else text


def exclude_patterns(exclude: Sequence[str] | None) -> Sequence[str]:
    return exclude or ()


def refuse_keyed(config: Config) -> None:
    if config.keyed_context:
        raise InvalidOption(
            "SNAPDIR_MANIFEST_CONTEXT is set: a keyed manifest has an id, but stores address objects by plain BLAKE3;"
            " unset it to push or stage"
        )


@asynccontextmanager
async def opened(stores: StorePair, config: Config, counters: Counters | None = None) -> AsyncIterator[Repository]:
    """A store, with the pool of its objects if it has one.

    Args:
        counters: Get a warning if a limit of this machine makes transfers slower.

    Raises:
        SnapdirError: no store is given.
    """
    async with AsyncExitStack() as resources:
        repository = await open_repository(stores, config, resources)
        if counters is not None:
            warnings = await anyio.to_thread.run_sync(machine_warnings, repository.objects, config.limits)
            counters.warnings += [warning for warning in warnings if warning not in counters.warnings]
        yield repository


async def open_repository(stores: StorePair, config: Config, resources: AsyncExitStack) -> Repository:
    """``opened``, closed with ``resources``."""
    from snapdir.stores.open import open_store

    settings = _settings(config)
    max_manifest_bytes = config.limits.max_manifest_bytes or None
    store = await resources.enter_async_context(open_store(stores.required, settings))
    if stores.pool is None:
        return Repository(store, max_manifest_bytes=max_manifest_bytes)
    objects = await resources.enter_async_context(open_store(stores.pool, settings))
    return Repository(store, objects, max_manifest_bytes=max_manifest_bytes)


def _settings(config: Config) -> StoreSettings:
    return replace(config.stores, notes_dir=config.cache_dir, max_open_files=config.limits.max_open_files)


@asynccontextmanager
async def opened_or_none(
    stores: StorePair, config: Config, counters: Counters | None = None
) -> AsyncIterator[Repository | None]:
    if stores.url is None:
        yield None
    else:
        async with opened(stores, config, counters) as repository:
            yield repository


async def require_answer(to: Repository) -> None:
    """Send a store one request, as a dry run does, so that a useless store is reported before any work.

    A directory that does not exist yet is fine, since a push creates it.

    Raises:
        StoreError: it cannot be reached or read, or does not exist.
    """
    for side in {to.store, to.objects}:
        root = side.local_path("")
        if root is None or await anyio.Path(root).exists():
            await first_page(side, manifest_prefix("0" * ID_DIGITS))


async def require_existing(stores: StorePair, config: Config) -> None:
    """Before the answer "nothing": make sure that it is not for want of the store.

    Raises:
        StoreMissing: the store does not exist. One that cannot be reached is no concern here.
    """
    try:
        async with opened(stores, config) as repository:
            await first_page(repository.store, manifest_prefix("0" * ID_DIGITS))
    except StoreMissing:
        raise
    except (LocalError, StoreError):
        return


@contextmanager
def pool_hint(stores: StorePair) -> Iterator[None]:
    """If an object is absent and no pool was named, note that there may be one."""
    try:
        yield
    except (ObjectNotFound, TransferFailed) as error:
        if stores.pool is None and _is_absence(error):
            error.add_note(POOL_HINT)
        raise


def _is_absence(error: SnapdirError) -> bool:
    leaves = error.exceptions if isinstance(error, TransferFailed) else (error,)
    return any(isinstance(leaf, ObjectNotFound) for leaf in leaves)


def journal_of(to: Repository, config: Config) -> UploadJournal | None:
    """The notes about uploads to a repository; None for a store on this host, which needs none."""
    from snapdir.transfer.upload.journal import UploadJournal

    remote = to.objects.capabilities.remote
    return UploadJournal(config.cache_dir, to.objects.url) if remote else None


@contextmanager
def cache_hint(config: Config, hint: str = CACHE_HINT) -> Iterator[None]:
    """If the cache may not be read or written, add ``hint``."""
    try:
        yield
    except SnapdirError as error:
        root = str(config.cache_dir)
        leaves = error.exceptions if isinstance(error, TransferFailed) else (error,)
        if any(_is_denied_below(root, leaf) for leaf in leaves) and hint not in getattr(error, "__notes__", ()):
            error.add_note(hint)
        raise


def _is_denied_below(root: str, error: BaseException) -> bool:
    """Whether ``error`` is about the rights to the directory ``root``, or to make it."""
    if isinstance(error, AccessDenied) and error.path is not None:
        return f"{error.path}/".startswith(f"{root}/") or root.startswith(f"{error.path}/")
    return isinstance(error, LocalError) and error.errno in DENIED and f"{error.path}/".startswith(f"{root}/")


@asynccontextmanager
async def opened_cache(config: Config) -> AsyncIterator[Repository]:
    """The local cache; its errors about damage name `snapdir verify-cache --purge`, those about rights --cache-dir."""
    with cache_hint(config):
        async with AsyncExitStack() as resources:
            yield await open_cache(config, resources)


async def open_cache(config: Config, resources: AsyncExitStack) -> Repository:
    """``opened_cache``, closed with ``resources``."""
    from snapdir.stores.open import open_store

    store = await resources.enter_async_context(open_store(StoreURL("file", str(config.cache_dir)), _settings(config)))
    return Repository(store, max_manifest_bytes=config.limits.max_manifest_bytes or None, is_cache=True)
