"""How the verbs run: one frozen value. Callers fill it from options; the command line, also from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from snapdir.disk.descriptors import MIN_OPEN_FILES
from snapdir.errors import InvalidOption
from snapdir.model.arguments import checked
from snapdir.model.sizes import GIB, format_size, parse_rate, parse_size
from snapdir.stores.bucket_options import BucketOptions
from snapdir.stores.settings import MAX_ADAPTIVE_REQUESTS, StoreSettings
from snapdir.transfer.engine.limits import Limits

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["Config", "default_cache_dir"]

Options = TypeVar("Options", bound="DataclassInstance")

FIRST_BYTE_FACTOR = 1.5
"""The first byte of a response may take this much longer than the others: the service may have to find the object."""


def default_cache_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """``$SNAPDIR_CACHE_DIR``, else ``$XDG_CACHE_HOME/snapdir``, else ``~/.cache/snapdir``; an empty one is unset."""
    explicit = environment.get("SNAPDIR_CACHE_DIR")
    if explicit:
        return Path(explicit).expanduser()
    xdg = environment.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path.home() / ".cache") / "snapdir"


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of all functions: the cache, the history, stores, and limits of transfers.

    Attributes:
        cache_dir: The directory of the cache, which has the layout of a store. ``~`` is expanded.
        stores: Settings of stores.
        limits: Limits of one transfer.
        catalog: The file of the local history; None records nothing on this machine.
        shared_catalog: Record pushes in their store, with or without a catalog.
        index_bytes: How much the index of trees in the cache may take; 0 remembers nothing, and reads every file.
        keyed_context: BLAKE3 derive-key context for file and directory checksums (``SNAPDIR_MANIFEST_CONTEXT``).
            Manifests with keyed checksums can be neither staged nor pushed.
    """

    cache_dir: Path = field(default_factory=default_cache_dir)
    stores: StoreSettings = field(default_factory=StoreSettings)
    limits: Limits = field(default_factory=Limits)
    catalog: Path | None = None
    shared_catalog: bool = True
    keyed_context: str = ""
    index_bytes: int = 2 * GIB

    def __post_init__(self) -> None:
        if isinstance(self.catalog, str):
            raise TypeError("catalog is a Path, not str: Config().with_options(catalog=...) takes names and paths")
        # Once: every user of the directory must mean the same one, and the current directory may change.
        object.__setattr__(self, "cache_dir", Path(self.cache_dir).expanduser().absolute())

    @checked
    def with_options(
        self,
        *,
        cache_dir: str | os.PathLike[str] | None = None,
        catalog: str | os.PathLike[str] | None = None,
        shared_catalog: bool | None = None,
        jobs: int | None = None,
        max_jobs: int | None = None,
        adaptive: float | None = None,
        walk_jobs: int | None = None,
        workers: int | None = None,
        memory: int | str | None = None,
        max_open_files: int | None = None,
        part_size: int | str | None = None,
        max_manifest_size: int | str | None = None,
        limit_rate: int | str | None = None,
        max_requests: float | None = None,
        max_retries: int | None = None,
        retry_base_ms: float | None = None,
        retry_max_ms: float | None = None,
        stall_timeout: float | None = None,
        min_rate: int | str | None = None,
        index_size: int | str | None = None,
        fsync: bool | None = None,
        clone: bool | None = None,
        verify_copies: bool | None = None,
        sse: str | None = None,
        sse_kms_key_id: str | None = None,
        acl: str | None = None,
        storage_class: str | None = None,
        request_payer: str | None = None,
        no_sign_request: bool | None = None,
    ) -> Config:
        """A copy with options of the command line, by their names; None keeps a setting.

        ::

            fast = Config().with_options(jobs=128, memory="1GiB", limit_rate="200M")

        Args:
            catalog: The history of this machine: a name in the cache directory (the command line's default is
                ``default``), a path, or ``none``.
            shared_catalog: Record pushes in their store.
            jobs: Concurrent requests; 0 adapts to the store.
            adaptive: Use this fraction, above 0 and at most 1, of the concurrent requests that still add throughput.
            max_jobs: Upper limit of concurrent requests if their number adapts.
            walk_jobs: Threads that hash; 0 is one per CPU, at most 16.
            workers: Most processes beside this one that hash small files; each starts when it pays, and 0 is none. By
                default one for each further CPU, at most 7.
            memory, part_size: Bytes, or text such as ``256MiB``.
            max_open_files: Files and connections open at once, 32 or more; 0 is what the process may open.
            max_manifest_size: Bytes, or text such as ``4GiB``; 0 is unlimited.
            index_size: Bytes of the index of trees, or text such as ``512MiB``; 0 remembers nothing.
            limit_rate: Bytes per second, or text such as ``10M``; 0 is unlimited.
            max_requests: Requests per second; 0 is unlimited.
            max_retries: Attempts per request, the first included; by default 5, and 7 if it is throttled.
            stall_timeout: Seconds after which a connection without traffic is dropped; a response may take half as
                long again to begin.
            min_rate: Bytes per second, or text such as ``1K``. A connection that is slower over a minute is dropped; 0
                turns this off.
            sse, sse_kms_key_id, acl, storage_class, request_payer: See ``BucketOptions``; for S3 only.
            no_sign_request: Send anonymous requests to S3.

        Raises:
            InvalidOption: a fraction outside 0 to 1, text that is not a size, memory for less than one part, fewer than
                32 open files, or a value that S3 does not define.
        """
        retry = _changed(
            self.stores.retry,
            attempts=None if max_retries is None else max(1, max_retries),
            more_if_throttled=None if max_retries is None else 0,
            base_seconds=None if retry_base_ms is None else retry_base_ms / 1000,
            max_seconds=None if retry_max_ms is None else retry_max_ms / 1000,
        )
        stores = _changed(
            self.stores,
            retry=retry,
            stall_timeout_seconds=stall_timeout,
            first_byte_timeout_seconds=None if stall_timeout is None else FIRST_BYTE_FACTOR * stall_timeout,
            min_rate_bytes=None if min_rate is None else parse_rate(str(min_rate), option="min_rate") or 0,
            fsync=fsync,
            clone=clone,
            verify_copies=verify_copies,
            bucket=_with_given(
                self.stores.bucket,
                sse=sse,
                sse_kms_key_id=sse_kms_key_id,
                acl=acl,
                storage_class=storage_class,
                request_payer=request_payer,
                sign=None if no_sign_request is None else not no_sign_request,
            ).checked(),
        )
        if (jobs, max_jobs, adaptive) != (None, None, None):
            share = self.stores.adaptive if adaptive is None else adaptive
            stores = _with_requests(stores, self.limits.jobs if jobs is None else jobs, max_jobs or 0, share)
        if limit_rate is not None:
            stores = replace(stores, limit_rate_bytes=parse_rate(str(limit_rate), option="limit_rate"))
        if max_requests is not None:
            stores = replace(stores, max_requests_per_second=max_requests or None)
        limits = _changed(
            self.limits,
            jobs=0 if adaptive is not None else jobs,
            hash_threads=walk_jobs,
            worker_processes=workers,
            memory_bytes=_size(memory, "memory"),
            max_open_files=_open_files(max_open_files),
            part_bytes=_size(part_size, "part_size"),
            max_manifest_bytes=_size(max_manifest_size, "max_manifest_size"),
        )
        _require_room(limits)
        changed = _changed(self, stores=stores, limits=limits, shared_catalog=shared_catalog)
        if index_size is not None:
            changed = replace(changed, index_bytes=parse_size(str(index_size), option="index_size"))
        if cache_dir is not None:
            changed = replace(changed, cache_dir=Path(cache_dir))
        return changed if catalog is None else changed._recorded_in(os.fspath(catalog))

    def _recorded_in(self, catalog: str) -> Config:
        from snapdir.catalog.locations import catalog_file

        return replace(self, catalog=catalog_file(catalog, self.cache_dir))


def _size(value: int | str | None, option: str) -> int | None:
    return None if value is None else parse_size(str(value), option=option)


def _open_files(count: int | None) -> int | None:
    if count and count < MIN_OPEN_FILES:
        raise InvalidOption(
            f"max_open_files of {count} is too few: allow {MIN_OPEN_FILES} or more, or 0 for as many as the process"
            " may open (--max-open-files, SNAPDIR_MAX_OPEN_FILES)"
        )
    return count


def _require_room(limits: Limits) -> None:
    """
    Raises:
        InvalidOption: the memory is not enough for one part.
    """
    if limits.memory_bytes < limits.part_bytes:
        held, part = format_size(limits.memory_bytes), format_size(limits.part_bytes)
        raise InvalidOption(
            f"memory of {held} cannot hold one part of {part}: raise memory (--memory, SNAPDIR_MEMORY) or lower "
            "part_size (--part-size)"
        )


def _with_requests(stores: StoreSettings, jobs: int, max_jobs: int, share: float | None) -> StoreSettings:
    """``stores`` with the concurrency that ``jobs``, ``max_jobs`` and ``adaptive`` ask for; 0 is not given.

    Raises:
        InvalidOption: a share outside 0 to 1.
    """
    if share is not None:
        if not 0.0 < share <= 1.0:
            raise InvalidOption(f"adaptive is a fraction above 0 and at most 1, such as 0.8, not {share}")
        return replace(stores, max_concurrency=min(max_jobs or jobs, MAX_ADAPTIVE_REQUESTS), adaptive=share)
    if max_jobs and not jobs:
        return replace(stores, max_concurrency=max_jobs, adaptive=1.0)
    return replace(stores, max_concurrency=jobs, adaptive=None)


def _with_given(bucket: BucketOptions, **given: Any) -> BucketOptions:
    return bucket._replace(**{name: value for name, value in given.items() if value is not None})


def _changed(value: Options, **given: object) -> Options:
    """A copy of a dataclass with the fields that are given."""
    return replace(value, **{name: field for name, field in given.items() if field is not None})
