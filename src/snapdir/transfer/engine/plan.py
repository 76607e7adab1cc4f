"""The objects that a manifest needs, and the targets of their bytes. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from snapdir.model.digest import Digest
from snapdir.model.entry import Entry
from snapdir.model.keys import OBJECT_MODE, object_key
from snapdir.model.manifest import Manifest
from snapdir.model.paths import Names, check_materialisable, path_components

PERMISSION_BITS = 0o777


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


@dataclass(slots=True)
class TreePlan:
    """The files and directories of a checkout.

    Attributes:
        directories: In the manifest's order: listed parents come before their children.
        special_modes: Files and directories whose set-user-id, set-group-id or sticky bit is left off.
    """

    objects: list[PlannedObject]
    directories: list[Target]
    special_modes: int

    def count_files(self) -> int:
        return sum(len(planned.targets) for planned in self.objects)

    def count_bytes(self) -> int:
        return sum((planned.size or 0) * len(planned.targets) for planned in self.objects)

    def directory_names(self) -> set[Names]:
        """Every directory: those of the manifest, and their parents."""
        directories = {directory.names for directory in self.directories}
        files = [target.names for planned in self.objects for target in planned.targets]
        for names in (*files, *directories):
            above = names[:-1]
            while above and above not in directories:
                directories.add(above)
                above = above[:-1]
        return directories


def plan_objects(manifest: Manifest) -> list[PlannedObject]:
    """Every distinct object, with its path in a store's layout as the target.

    Raises:
        InvalidId: a file's checksum is not an object address (the manifest was made with another hash).
    """
    objects = _distinct(manifest.files)
    for planned in objects.values():
        planned.targets.append(_target_in_store(planned.digest))
    return list(objects.values())


def planned_for_store(objects: Iterable[PlannedObject]) -> list[PlannedObject]:
    """The same objects with their paths in a store's layout as the targets."""
    return [replace(planned, targets=[_target_in_store(planned.digest)]) for planned in objects]


def _target_in_store(digest: Digest) -> Target:
    return Target(tuple(object_key(digest).split("/")), OBJECT_MODE)


def plan_tree(manifest: Manifest, *, preserve_special_modes: bool) -> TreePlan:
    """The directories and files of a checkout.

    Raises:
        UnsafePath: the manifest does not describe one tree that stays inside its destination.
        InvalidId: a file's checksum is not an object address.
        LocalError: a mode is not octal.
    """
    check_materialisable(manifest.entries)
    objects = _distinct(manifest.files)
    directories: list[Target] = []
    special = 0
    allowed = 0o7777 if preserve_special_modes else PERMISSION_BITS
    for entry in dict.fromkeys(manifest.entries):
        mode = entry.permissions
        special += bool(mode & ~allowed)
        target = Target(path_components(entry.path), mode & allowed)
        (objects[entry.checksum].targets if entry.is_file else directories).append(target)
    return TreePlan(list(objects.values()), directories, special)


def _distinct(files: Iterable[Entry]) -> dict[str, PlannedObject]:
    objects: dict[str, PlannedObject] = {}
    for entry in files:
        known = objects.get(entry.checksum)
        if known is None:
            objects[entry.checksum] = PlannedObject(entry.digest, entry.certain_size, entry.path)
        elif known.size is None:
            known.size = entry.certain_size
    return objects
