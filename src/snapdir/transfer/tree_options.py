"""How a directory becomes a manifest."""

from __future__ import annotations

from typing import NamedTuple

from blake3 import blake3

from snapdir.disk.own_locations import OwnLocation
from snapdir.hashing.hasher import HasherFactory
from snapdir.index.files import IndexPlace
from snapdir.model.ignoring import IgnoreRules
from snapdir.model.patterns import Exclusion


class TreeOptions(NamedTuple):
    """How a directory becomes a manifest.

    Attributes:
        follow: Follow links, to files and directories; otherwise leave every link out.
        dereference: List a followed link with the mode and size of what it leads to.
        absolute: List absolute paths.
        excluded: Which entries to leave out, with a warning.
        ignored: Which other entries to leave out.
        new_hasher: The hash of file and directory checksums.
        object_roots: Stores of this host. A link to an object there has the object's name as its checksum, if
            ``new_hasher`` is the hash of object names.
        trust_links: Use that name without reading the object; otherwise the object is hashed and compared.
        own_locations: Files and directories that snapdir writes to; a warning names those in the tree.
        tree_index: Where to remember what was read, and to look it up; None reads every file.
    """

    follow: bool = True
    dereference: bool = False
    absolute: bool = False
    excluded: Exclusion | None = None
    ignored: IgnoreRules | None = None
    new_hasher: HasherFactory = blake3
    object_roots: tuple[str, ...] = ()
    trust_links: bool = False
    own_locations: tuple[OwnLocation, ...] = ()
    tree_index: IndexPlace | None = None

    @property
    def listing(self) -> tuple[object, ...]:
        """The options that change which entries are listed, and how."""
        excluded = self.excluded.patterns if self.excluded is not None else ()
        ignored = self.ignored.rules if self.ignored is not None else ()
        return self.follow, self.dereference, self.absolute, excluded, ignored
