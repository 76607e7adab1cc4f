"""The objects that a transfer needs: one by one, or a million of them in little memory. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, overload

from snapdir.model.digest import Digest
from snapdir.model.keys import OBJECT_MODE, object_key
from snapdir.model.paths import Names

DIGEST_BYTES = 32
UNCERTAIN = 2**64 - 1
"""In place of a size; no file is as large."""
NO_TARGET = -1


class Target(NamedTuple):
    """A path for an object: components below a destination, and the permission bits to get."""

    names: Names
    mode: int


@dataclass(slots=True)
class PlannedObject:
    """One distinct object.

    Attributes:
        size: Its length in bytes; None if the manifest's may be wrong (see ``Entry.certain_size``).
        path: A path of the manifest with this content, for messages.
        targets: Every path that needs it.
    """

    digest: Digest
    size: int | None
    path: str
    targets: list[Target] = field(default_factory=list)


def target_in_store(digest: Digest) -> Target:
    """The place of an object in a store's layout."""
    return Target(tuple(object_key(digest).split("/")), OBJECT_MODE)


Predicate = Callable[[PlannedObject], bool]


class PlannedObjects(Sequence[PlannedObject]):
    """Objects in an order, about 50 bytes each and the path. A PlannedObject takes 700, and is made when asked for.

    Each is a value of its own: changes to it do not come back here. An object with a target that does not follow from
    its path, or with several, takes 250 bytes more for each.
    """

    __slots__ = ("_positions", "_table")

    def __init__(self, objects: Iterable[PlannedObject] = ()) -> None:
        table = ObjectTable()
        for planned in objects:
            table.add(planned)
        self._table = table
        self._positions: Sequence[int] = range(len(table))

    @classmethod
    def of(cls, table: ObjectTable) -> PlannedObjects:
        """All objects of a table, to which no more are added."""
        return cls._some(table, range(len(table)))

    @classmethod
    def _some(cls, table: ObjectTable, positions: Sequence[int]) -> PlannedObjects:
        some = cls.__new__(cls)
        some._table, some._positions = table, positions
        return some

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, index: int) -> PlannedObject: ...
    @overload
    def __getitem__(self, index: slice) -> PlannedObjects: ...
    def __getitem__(self, index: int | slice) -> PlannedObject | PlannedObjects:
        if isinstance(index, slice):
            return self._some(self._table, self._positions[index])
        return self._table[self._positions[index]]

    def __iter__(self) -> Iterator[PlannedObject]:
        return map(self._table.__getitem__, self._positions)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"

    def count_targets(self) -> int:
        """Of all objects together."""
        return sum(map(self._table.count_targets, self._positions))

    def count_target_bytes(self) -> int:
        """The bytes of all targets; uncertain sizes count as 0."""
        size, targets = self._table.known_size, self._table.count_targets
        return sum(size(position) * targets(position) for position in self._positions)

    def where(self, fits: Predicate) -> PlannedObjects:
        """The objects that fit, which share this memory."""
        return self.parted(fits)[0]

    def parted(self, fits: Predicate) -> tuple[PlannedObjects, PlannedObjects]:
        """The objects that fit, and the others."""
        kept = array("Q"), array("Q")
        for position, planned in zip(self._positions, self, strict=True):
            kept[not fits(planned)].append(position)
        return self._some(self._table, kept[0]), self._some(self._table, kept[1])

    def in_store(self) -> PlannedObjects:
        """The same objects with their places in a store's layout as their only targets."""
        table = self._table.copy(in_store=True)
        return self._some(table, self._positions)


def planned_objects(objects: Sequence[PlannedObject]) -> PlannedObjects:
    """``objects`` themselves if they are PlannedObjects already."""
    return objects if isinstance(objects, PlannedObjects) else PlannedObjects(objects)


class ObjectTable:
    """Columns of objects, one row each, that grow. See PlannedObjects.

    Args:
        in_store: The only target of an object is its place in a store's layout, unless it was added with others.
    """

    def __init__(self, *, in_store: bool = False) -> None:
        self._in_store = in_store
        self._digests = bytearray()
        self._sizes = array("Q")
        self._paths = bytearray()
        self._path_ends = array("Q", [0])
        self._modes = array("h")
        self._targets: dict[int, list[Target]] = {}

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, position: int) -> PlannedObject:
        start = position * DIGEST_BYTES
        # The digits are of a digest: no need to check them again.
        digest = str.__new__(Digest, self._digests[start : start + DIGEST_BYTES].hex())
        size = self._sizes[position]
        path = self._path(position)
        targets = self._targets.get(position)
        if targets is None:
            targets = self._plain_targets(digest, path, self._modes[position])
        return PlannedObject(digest, None if size == UNCERTAIN else size, path, list(targets))

    def add(self, planned: PlannedObject) -> int:
        """Add an object, and return its position."""
        targets = planned.targets
        follows_from_path = len(targets) == 1 and "/".join((".", *targets[0].names)) == planned.path
        position = self.add_row(
            bytes.fromhex(planned.digest),
            planned.size,
            planned.path,
            targets[0].mode if follows_from_path else NO_TARGET,
        )
        if self._in_store or (targets and not follows_from_path):
            self._targets[position] = list(targets)
        return position

    def add_row(self, digest: bytes, size: int | None, path: str, mode: int = NO_TARGET) -> int:
        """Add an object whose only target is its path (without a mode it has none), and return its position."""
        self._digests += digest
        self._sizes.append(UNCERTAIN if size is None else size)
        self._paths += path.encode(errors="surrogateescape")
        self._path_ends.append(len(self._paths))
        self._modes.append(mode)
        return len(self._sizes) - 1

    def add_target(self, position: int, target: Target) -> None:
        """Add one more target of an object."""
        if position not in self._targets:
            self._targets[position] = self[position].targets
        self._targets[position].append(target)

    def learn_size(self, position: int, size: int | None) -> None:
        """Note the size of an object, if it was uncertain."""
        if self._sizes[position] == UNCERTAIN and size is not None:
            self._sizes[position] = size

    def known_size(self, position: int) -> int:
        """The size of an object; 0 if it is uncertain."""
        size = self._sizes[position]
        return 0 if size == UNCERTAIN else size

    def count_targets(self, position: int) -> int:
        targets = self._targets.get(position)
        if targets is not None:
            return len(targets)
        return int(self._in_store or self._modes[position] != NO_TARGET)

    def copy(self, *, in_store: bool) -> ObjectTable:
        """The same rows without targets of their own; the columns are shared, so neither table may grow."""
        table = ObjectTable(in_store=in_store)
        table._digests, table._sizes, table._modes = self._digests, self._sizes, self._modes
        table._paths, table._path_ends = self._paths, self._path_ends
        return table

    def _path(self, position: int) -> str:
        start, end = self._path_ends[position], self._path_ends[position + 1]
        return self._paths[start:end].decode(errors="surrogateescape")

    def _plain_targets(self, digest: Digest, path: str, mode: int) -> list[Target]:
        """The targets that need no memory."""
        if self._in_store:
            return [target_in_store(digest)]
        return [] if mode == NO_TARGET else [Target(tuple(path[len("./") :].split("/")), mode)]
