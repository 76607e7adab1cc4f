"""How the public functions read a directory: what they leave out, and how they list links."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import anyio.to_thread

from snapdir.api.destination import own_directories, own_locations
from snapdir.api.stores import PathLike, StorePair, exclude_patterns, local_path
from snapdir.config import Config
from snapdir.errors import InvalidOption, LocalError, local_errors
from snapdir.hashing.hasher import hasher_factory
from snapdir.index.files import IndexPlace
from snapdir.model.ignoring import IgnoreRules, rules_in
from snapdir.model.patterns import exclusion
from snapdir.transfer.tree_options import TreeOptions

MAX_FILE_BYTES = 64 << 20


class TreeArguments(NamedTuple):
    """The arguments of a verb that reads a directory.

    Attributes:
        exclude: RE2 patterns, searched in absolute paths; patterns that start with ``./``, in relative paths.
        ignore: Rules of a .gitignore, for paths in the directory.
        ignore_from: Files of such rules, which come before those of ``ignore``.
        no_follow: Leave symbolic links out instead of following them.
        dereference: List a followed link with the mode and size of what it leads to.
        rehash: Read every file, also those that the index of the cache remembers.
    """

    exclude: Sequence[str] | None = None
    ignore: Sequence[str] | None = None
    ignore_from: Sequence[PathLike] | None = None
    no_follow: bool = False
    dereference: bool = False
    rehash: bool = False


PLAIN = TreeArguments()


async def tree_options(
    given: TreeArguments,
    config: Config,
    stores: StorePair | None = None,
    *,
    absolute: bool = False,
    trust_links: bool = False,
    checksum_bin: str = "b3sum",
) -> TreeOptions:
    """
    Args:
        stores: Where the tree is pushed to. A link to an object there is taken for the object, as with ``trust_links``.
        absolute, trust_links, checksum_bin: As for ``manifest``.

    Raises:
        InvalidOption: a rule is invalid, or options contradict each other.
        SnapdirError: a pattern is invalid.
        LocalError: a file of rules cannot be read.
    """
    if given.dereference and given.no_follow:
        raise InvalidOption("--dereference cannot be used with --no-follow or %system%, which leave links out")
    reads_links = trust_links or stores is not None
    stores = stores or StorePair()
    return TreeOptions(
        follow=not given.no_follow,
        dereference=given.dereference,
        absolute=absolute,
        excluded=exclusion(exclude_patterns(given.exclude)),
        ignored=await ignore_rules(given.ignore, given.ignore_from),
        new_hasher=hasher_factory(checksum_bin, config.keyed_context),
        object_roots=own_directories(config, stores) if reads_links else (),
        trust_links=trust_links and not config.stores.verify_copies,
        own_locations=own_locations(config, stores),
        tree_index=IndexPlace(config.cache_dir, config.index_bytes, given.rehash),
    )


async def ignore_rules(ignore: Sequence[str] | None, ignore_from: Sequence[PathLike] | None) -> IgnoreRules | None:
    """The rules of files, then the others; None without any.

    Raises:
        InvalidOption, LocalError: as for ``tree_options``.
    """
    if not ignore and not ignore_from:
        return None
    return await anyio.to_thread.run_sync(_read_rules, ignore or (), ignore_from or ())


def _read_rules(ignore: Sequence[str], ignore_from: Sequence[PathLike]) -> IgnoreRules:
    from_files = [rule for file in ignore_from for rule in _rules_of(Path(local_path(file)))]
    return IgnoreRules([*from_files, *ignore])


def _rules_of(file: Path) -> list[str]:
    with local_errors(file), file.open("rb") as opened:
        content = opened.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise LocalError(file, "a file of rules to ignore has at most 64 MiB")
    return list(rules_in(content.decode(errors="replace"), str(file)))
