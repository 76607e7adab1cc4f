"""The objects that a manifest needs, and the targets of their bytes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from snapdir.model.entry import Entry
from snapdir.model.manifest import Manifest
from snapdir.model.paths import Names, check_materialisable, path_components
from snapdir.transfer.engine.planned_objects import NO_TARGET, ObjectTable, PlannedObjects, Target

PERMISSION_BITS = 0o777


@dataclass(slots=True)
class TreePlan:
    """The files and directories of a checkout.

    Attributes:
        directories: In the manifest's order: listed parents come before their children.
        special_modes: Files and directories whose set-user-id, set-group-id or sticky bit is left off.
    """

    objects: PlannedObjects
    directories: list[Target]
    special_modes: int

    def count_files(self) -> int:
        return self.objects.count_targets()

    def count_bytes(self) -> int:
        """Of all files; uncertain sizes count as 0."""
        return self.objects.count_target_bytes()

    def directory_names(self) -> set[Names]:
        """Every directory: those of the manifest, and their parents."""
        directories = {directory.names for directory in self.directories}
        for names in (*self._parents_of_files(), *directories):
            above = names
            while above and above not in directories:
                directories.add(above)
                above = above[:-1]
        return directories

    def _parents_of_files(self) -> Iterator[Names]:
        return (target.names[:-1] for planned in self.objects for target in planned.targets)


def plan_objects(manifest: Manifest) -> PlannedObjects:
    """Every distinct object, with its path in a store's layout as the target.

    Raises:
        InvalidId: a file's checksum is not an object address (the manifest was made with another hash).
    Cost: 5 µs a file; 130 bytes for each distinct one meanwhile, then what PlannedObjects take.
    """
    distinct = _DistinctObjects(in_store=True)
    for entry in manifest.files:
        distinct.add(entry)
    return PlannedObjects.of(distinct.table)


def plan_tree(manifest: Manifest, *, preserve_special_modes: bool) -> TreePlan:
    """The directories and files of a checkout.

    Raises:
        UnsafePath: the manifest does not describe one tree that stays inside its destination.
        InvalidId: a file's checksum is not an object address.
        LocalError: a mode is not octal.
    Cost: as ``plan_objects``.
    """
    check_materialisable(manifest)
    distinct = _DistinctObjects(in_store=False)
    directories: list[Target] = []
    special = 0
    allowed = 0o7777 if preserve_special_modes else PERMISSION_BITS
    modes: dict[str, int] = {}
    for entry in _without_repeats(manifest):
        mode = modes.get(entry.mode)
        if mode is None:
            mode = modes[entry.mode] = entry.permissions
        special += bool(mode & ~allowed)
        if entry.is_file:
            distinct.add_file(entry, mode & allowed)
        else:
            directories.append(Target(path_components(entry.path), mode & allowed))
    return TreePlan(PlannedObjects.of(distinct.table), directories, special)


def _without_repeats(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Entries in their order, each once: equal lines follow each other."""
    return (entry for entry, _ in groupby(entries))


class _DistinctObjects:
    """Objects of files by their digests."""

    def __init__(self, *, in_store: bool) -> None:
        self.table = ObjectTable(in_store=in_store)
        self._positions: dict[bytes, int] = {}

    def add(self, entry: Entry, mode: int = NO_TARGET) -> int:
        """The position of the object of a file; a new one has the file as its target if a mode is given."""
        digest = bytes.fromhex(entry.digest)
        position = self._positions.setdefault(digest, len(self.table))
        if position == len(self.table):
            self.table.add_row(digest, entry.certain_size, entry.path, mode)
        else:
            self.table.learn_size(position, entry.certain_size)
        return position

    def add_file(self, entry: Entry, mode: int) -> None:
        """Add a file with its mode as a target."""
        known = len(self.table)
        position = self.add(entry, mode)
        if position < known:
            self.table.add_target(position, Target(path_components(entry.path), mode))
