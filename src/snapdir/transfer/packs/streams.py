"""Reading and writing the bytes of a pack, plain or compressed. Blocking; memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from snapdir.errors import InvalidPack, SnapdirError
from snapdir.model.pack import MAGIC, MAGIC_ZSTD
from snapdir.model.sizes import MIB
from snapdir.stores.base import Buffer

Read = Callable[[], bytes]
"""Gives the next bytes of a stream, up to some MiB; none at its end. Called in a thread."""

Write = Callable[[Buffer], None]
"""Takes the next bytes of a stream. Called in a thread."""

BLOCK_BYTES = MIB
ZSTD_MODULES = ("compression.zstd", "backports.zstd")
LEVEL = 3
WINDOW_LOG_MAX = 25
"""A frame may look back 32 MiB; the highest level that writers of packs use needs 8."""


def has_zstd() -> bool:
    """Whether this Python can read and write compressed packs."""
    return any(map(_found, ZSTD_MODULES))


def _found(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package it would be in
        return False


class PackOutput:
    """Writes a pack: its first line, then the rest, which may be compressed."""

    def __init__(self, write: Write, *, compressed: bool) -> None:
        self._write = write
        self._compressor = _compressor() if compressed else None
        self._first_line = MAGIC_ZSTD if compressed else MAGIC

    def write(self, data: Buffer) -> None:
        out = data if self._compressor is None else self._compressor.compress(data)
        self._start()
        if len(out):
            self._write(out)

    def finish(self) -> None:
        """Write what the compressor still holds."""
        self._start()
        if self._compressor is not None:
            self._write(self._compressor.flush())

    def _start(self) -> None:
        if self._first_line:
            self._write(self._first_line)
            self._first_line = b""


def pack_blocks(read: Read) -> Iterator[bytes]:
    """The bytes of a pack after its first line, decompressed, in blocks of a MiB or less.

    Raises:
        InvalidPack: not a pack, or its zstd frame is damaged, cut off, or followed by data.
    """
    head = b""
    while b"\n" not in head and len(head) < len(MAGIC_ZSTD):
        block = read()
        if not block:
            raise InvalidPack("it ends within its first line")
        head += block
    if head.startswith(MAGIC):
        return _plain(head[len(MAGIC) :], read)
    if head.startswith(MAGIC_ZSTD):
        return _decompressed(head[len(MAGIC_ZSTD) :], read)
    raise InvalidPack(f"it begins with {head[: len(MAGIC_ZSTD)]!r} instead of 'SNAPPACK 1' or 'SNAPPACK 1Z'")


def _plain(block: bytes, read: Read) -> Iterator[bytes]:
    if block:
        yield block
    while block := read():
        yield block


def _decompressed(block: bytes, read: Read) -> Iterator[bytes]:
    decompressor = _decompressor()
    error = _zstd().ZstdError
    for data in _plain(block, read):
        if decompressor.eof:
            raise InvalidPack("data follows its zstd frame")
        try:
            yield decompressor.decompress(data, BLOCK_BYTES)
            while not (decompressor.needs_input or decompressor.eof):
                yield decompressor.decompress(b"", BLOCK_BYTES)
        except error as damage:
            raise InvalidPack(f"its zstd frame is damaged: {damage}") from damage
    if not decompressor.eof or decompressor.unused_data:
        raise InvalidPack("its zstd frame is cut off, or data follows it")


def _compressor() -> Any:
    options = _zstd().CompressionParameter
    # The checksum lets a receiver tell damage on the way before it looks at a single record.
    return _zstd().ZstdCompressor(options={options.compression_level: LEVEL, options.checksum_flag: 1})


def _decompressor() -> Any:
    return _zstd().ZstdDecompressor(options={_zstd().DecompressionParameter.window_log_max: WINDOW_LOG_MAX})


def _zstd() -> Any:
    """The module of the standard library, or its backport.

    Raises:
        SnapdirError: neither is installed.
    """
    for name in ZSTD_MODULES:
        if _found(name):
            return import_module(name)
    raise SnapdirError(
        "compressed packs need Python 3.14 or the package backports.zstd (pip install '.[zstd]' in the checkout);"
        " plain ones do without: send-pack --pack-format v1"
    )
