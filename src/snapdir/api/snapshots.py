"""Snapshots opened for reading: their files, and the bytes of each, without a pull."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, ItemsView, Iterator, Mapping, ValuesView
from contextlib import AsyncExitStack, nullcontext
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

from snapdir.api.resolve import full_id
from snapdir.api.stores import PathLike, cache_hint, open_cache, open_repository, parse_stores, require_in_process
from snapdir.config import Config
from snapdir.errors import PathNotFound
from snapdir.model.arguments import checked
from snapdir.model.digest import SnapshotId
from snapdir.model.entry import Entry
from snapdir.model.manifest import Manifest
from snapdir.model.similar_paths import similar_paths
from snapdir.model.sizes import MIB

if TYPE_CHECKING:
    from snapdir.transfer.download.reading import Content, ObjectReader, Verify
    from snapdir.transfer.engine.events import Counters

MAX_INDEXED = 100_000
"""Entries that ``Files`` keeps in a dictionary: 60 MB."""

LINE_BYTES = 8192
"""How much ``readline`` reads ahead."""
BLOCK_BYTES = MIB
"""The size of the blocks of ``async for block in file``."""


@checked
async def open_snapshot(
    snapshot_id: str,
    store: PathLike | None = None,
    *,
    objects_store: PathLike | None = None,
    config: Config | None = None,
    counters: Counters | None = None,
) -> Snapshot:
    """Open a snapshot of a store for reading; close it, or use it in an ``async with``.

    ::

        async with await snapdir.open_snapshot(snapshot_id, "s3://bucket/sets") as snapshot:
            for path, entry in snapshot.files.items():
                print(path, entry.size)
            header = await snapshot.read("train/header.json")

    Args:
        store: The store; None reads from the cache.
        objects_store: The pool that holds the objects, if ``store`` does not.

    Raises:
        InvalidStore: not the URL of a store, or a store program, which transfers whole snapshots only.
        ManifestNotFound, CorruptManifest, InvalidManifest: the store lacks the manifest, or has a damaged copy.
    Cost: one request, for the manifest.
    """
    from snapdir.transfer.download.reading import ObjectReader

    config = config or Config()
    stores = await parse_stores(store, objects_store)
    require_in_process(stores, verb="reading single files")
    resources = AsyncExitStack()
    try:
        with cache_hint(config) if stores.url is None else nullcontext():
            opening = (
                open_cache(config, resources) if stores.url is None else open_repository(stores, config, resources)
            )
            source = await opening
            identifier = await full_id(snapshot_id, config, source, counters=counters)
            manifest = await source.read_manifest(identifier)
    except BaseException:
        await resources.aclose()
        raise
    return Snapshot(identifier, manifest, ObjectReader(source, config.limits, spool=config.cache_dir), resources)


class Snapshot:
    """A snapshot, opened for reading. Any number of tasks may read from it; they share one limit of memory.

    Attributes:
        id: The whole id.
        manifest: The verified manifest.
    """

    def __init__(
        self, identifier: SnapshotId, manifest: Manifest, reader: ObjectReader, resources: AsyncExitStack
    ) -> None:
        self.id = identifier
        self.manifest = manifest
        self._reader = reader
        self._resources = resources

    @cached_property
    def files(self) -> Files:
        """Entries of all files by path."""
        return Files(self.manifest)

    @checked
    def entry(self, path: str) -> Entry:
        """The entry of one file.

        Raises:
            PathNotFound: the snapshot has no such file; the message names similar ones.
        """
        entry = self.manifest.find_file(full_path(path))
        if entry is None:
            raise self._lacks(path)
        return entry

    def _lacks(self, path: str) -> PathNotFound:
        named = f"./{path.removeprefix('./').strip('/')}"
        if any(directory.path.rstrip("/") == named.rstrip("/") for directory in self.manifest.directories):
            return PathNotFound(path, self.id, is_directory=True)
        return PathNotFound(path, self.id, similar=similar_paths(named, self.files))

    async def open(self, path: str, *, verify: Verify = "before") -> SnapshotFile:
        """Open one file for reading.

        Args:
            verify: When the bytes are verified.

                ``before``: Before the first read returns. The first read fetches and hashes the whole file: up to
                ``limits.large_bytes`` (16 MiB) in memory, a larger one in an unnamed file in the cache directory. An
                object of a local store is hashed in place.

                ``after``: At the end. Reads are sequential, without ``seek``, and return bytes as they arrive; the last
                read fails unless the whole file is right, so do not rely on the bytes before that. Holds 32 MiB with
                the default limits, and writes nothing to disk.

                ``never``: Not at all. Each read requests only its range, which cannot be checked against the hash of
                the whole object.

        Raises:
            PathNotFound: the snapshot has no such file.
            ObjectNotFound: the store lacks the object. (If this costs no request, the first read raises it.)
        Cost: one request if the size is not certain or ``verify`` is not ``before``; else none.
        """
        from snapdir.transfer.engine.planned_objects import PlannedObject

        entry = self.entry(path)
        wanted = PlannedObject(entry.digest, entry.certain_size, entry.path)
        return SnapshotFile(entry, await self._reader.open(wanted, verify))

    async def read(self, path: str) -> bytes:
        """Read one whole file, verified.

        Raises:
            PathNotFound: the snapshot has no such file.
            ObjectNotFound, CorruptObject: the store lacks the object, or has other bytes.
        """
        async with await self.open(path) as file:
            return await file.read()

    async def aclose(self) -> None:
        """Close the store. Safe to repeat."""
        await self._resources.aclose()

    async def __aenter__(self) -> Snapshot:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f'Snapshot("{self.id}", files={len(self.files)})'

    def __reduce__(self) -> NoReturn:
        raise refuse_pickling("snapshot")


class Files(Mapping[str, Entry]):
    """The files of a manifest, in its order. Keys are its paths, as ``./a/b``; look-ups take ``a/b`` as well.

    Iterating is a stream. Up to MAX_INDEXED entries are kept in a dictionary; among more, a look-up takes 0.1 ms.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    @cached_property
    def _index(self) -> dict[str, Entry] | None:
        if len(self._manifest) > MAX_INDEXED:
            return None
        return {entry.path: entry for entry in self._manifest.files}

    @cached_property
    def _count(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, path: str) -> Entry:
        wanted = full_path(path)
        entry = self._manifest.find_file(wanted) if self._index is None else self._index.get(wanted)
        if entry is None:
            raise KeyError(path)
        return entry

    def __iter__(self) -> Iterator[str]:
        return (path for path, _ in groupby(self._manifest.files, key=attrgetter("path")))

    def items(self) -> ItemsView[str, Entry]:
        return _Items(self)

    def values(self) -> ValuesView[Entry]:
        return _Values(self)

    def __len__(self) -> int:
        return self._count

    def __reduce__(self) -> tuple[type[Files], tuple[Manifest]]:
        return Files, (self._manifest,)

    def __repr__(self) -> str:
        return f"Files({len(self)})"


class _Items(ItemsView[str, Entry]):
    _mapping: Files

    def __iter__(self) -> Iterator[tuple[str, Entry]]:
        return ((entry.path, entry) for entry in _Values(self._mapping))


class _Values(ValuesView[Entry]):
    _mapping: Files

    def __iter__(self) -> Iterator[Entry]:
        if self._mapping._index is not None:
            return iter(self._mapping._index.values())
        # (A path that is listed twice has its last line.)
        return (deque(alike, maxlen=1)[0] for _, alike in groupby(self._mapping._manifest.files, attrgetter("path")))


def full_path(path: str) -> str:
    """The manifest's name for a path."""
    return path if path.startswith(("./", "/")) else f"./{path}"


class SnapshotFile:
    """One file of a snapshot, open for reading, with the interface of aiofiles. For one task at a time.

    ``async for`` gives its blocks, and ``readline`` its lines; ``seek`` and ``tell`` need no ``await``.

    Attributes:
        entry: Its line of the manifest.
    """

    def __init__(self, entry: Entry, content: Content) -> None:
        self.entry = entry
        self._content = content
        self._position = 0
        self._ahead = b""  # bytes that ``readline`` has read already, and where they begin
        self._ahead_start = 0

    @property
    def size(self) -> int:
        """Bytes of the file. Until the first read, this is the size in the manifest, which may be wrong."""
        return self._content.size

    async def read(self, size: int = -1) -> bytes:
        """Read the next ``size`` bytes, or all that are left; fewer only at the end. See ``Snapshot.open``.
        Raises:
            CorruptObject: the store has other bytes.
            ObjectNotFound, StoreError, LocalError: the bytes cannot be read.
        Cancellation: the position stays where it was.
        """
        ready = self._ready()
        if 0 <= size <= len(ready):
            data = ready[:size]
        else:
            rest = None if size < 0 else size - len(ready)
            data = ready + await self._content.read_at(self._position + len(ready), rest)
        self._position += len(data)
        return data

    async def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill ``buffer`` with the next bytes, and return their number. Errors as for ``read``."""
        data = await self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    async def readline(self) -> bytes:
        """The next line with its newline; empty at the end. Errors as for ``read``."""
        line = self._ready()
        while not (end := line.find(b"\n") + 1):
            block = await self._content.read_at(self._position + len(line), LINE_BYTES)
            if not block:
                end = len(line)
                break
            line += block
        self._ahead, self._ahead_start = line, self._position
        self._position += end
        return line[:end]

    async def readlines(self) -> list[bytes]:
        """All lines that are left. Errors as for ``read``."""
        return [line async for line in self._lines()]

    async def _lines(self) -> AsyncIterator[bytes]:
        while line := await self.readline():
            yield line

    def _ready(self) -> bytes:
        """The bytes from here that have been read ahead."""
        start = self._position - self._ahead_start
        return self._ahead[start:] if start >= 0 else b""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to ``offset`` from the start (0), from here (1) or from the end (2), and return the position."""
        base = (0, self._position, self.size)[whence]
        if base + offset < 0:
            raise ValueError(f"cannot seek to {base + offset}")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    async def aclose(self) -> None:
        """Give back memory and descriptors. Safe to repeat."""
        self.close_nowait()

    async def close(self) -> None:
        """``aclose``, by the name of aiofiles."""
        await self.aclose()

    def close_nowait(self) -> None:
        """``aclose`` for callers that cannot await."""
        self._content.close()

    async def __aenter__(self) -> SnapshotFile:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __reduce__(self) -> NoReturn:
        raise refuse_pickling("file of a snapshot")

    def __aiter__(self) -> SnapshotFile:
        return self

    async def __anext__(self) -> bytes:
        block = await self.read(BLOCK_BYTES)
        if not block:
            raise StopAsyncIteration
        return block


def refuse_pickling(thing: str) -> TypeError:
    """The error for pickling an open ``thing``: its connections and descriptors belong to this process."""
    return TypeError(f"an open {thing} cannot be pickled or copied: call open_snapshot(id, store) in the worker")
