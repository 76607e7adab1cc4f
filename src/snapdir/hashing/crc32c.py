"""CRC32C as S3 verifies it: ``crc32c(data, value=0)`` continues ``value``; hardware speed, without the lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec

BLOCK_BYTES = 1 << 20

Checksum = Callable[..., int]


def _load() -> Checksum:
    """The function of the package's extension.

    The package itself reads its metadata and loads a command line: 12 of the 120 ms of a small push.
    """
    package = find_spec("crc32c")
    spec = PathFinder.find_spec("_crc32c", package.submodule_search_locations) if package else None
    if spec is None or spec.loader is None:
        import crc32c as whole_package

        python_function: Checksum = whole_package.crc32c
        return python_function
    extension = module_from_spec(spec)
    spec.loader.exec_module(extension)
    function: Checksum = extension.crc32c
    return function


crc32c = _load()


def crc32c_of_blocks(blocks: Iterable[bytes]) -> int:
    """CRC32C of a text in blocks."""
    checksum = 0
    for block in blocks:
        checksum = crc32c(block, checksum)
    return checksum


def crc32c_of_range(
    descriptor: int, offset: int, length: int, *, between: Callable[[], None] = lambda: None
) -> tuple[int, int]:
    """CRC32C of a range of an open file, and its bytes: fewer if the file ends early. Blocking.

    ``between`` is called after every block of 1 MiB; an exception from it ends the work.
    """
    checksum, position, end = 0, offset, offset + length
    while position < end and (block := os.pread(descriptor, min(BLOCK_BYTES, end - position), position)):
        checksum = crc32c(block, checksum)
        position += len(block)
        between()
    return checksum, position - offset
