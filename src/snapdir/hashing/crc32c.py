"""CRC32C as S3 verifies it: ``crc32c(data, value=0)`` goes on from ``value``; hardware speed, without the lock."""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec

__all__ = ["crc32c"]

Checksum = Callable[..., int]


def _load() -> Checksum:
    """The function out of the package's extension alone.

    The package itself reads its own metadata and brings a command line: 12 of the 120 ms that a small push takes.
    """
    package = find_spec("crc32c")
    spec = PathFinder.find_spec("_crc32c", package.submodule_search_locations) if package else None
    if spec is None or spec.loader is None:
        import crc32c as whole_package

        found: Checksum = whole_package.crc32c
        return found
    extension = module_from_spec(spec)
    spec.loader.exec_module(extension)
    function: Checksum = extension.crc32c
    return function


crc32c = _load()
