"""What a store in a directory holds, seen on the disk; and keys to write."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from snapdir.model.keys import manifest_key, object_key
from snapdir.stores.file.store import FileStore

OBJECT = object_key("49dc870df1de7fd60794cebce449f5ccdae575affaa67a24b62acb03e039db92")
MANIFEST = manifest_key("5f3a0df5b7f2a2d0f6b0e6c8f4f2f9d2a4a1c0b7e8d9f0a1b2c3d4e5f6071829")


@contextmanager
def opened(file: Path, content: bytes) -> Iterator[int]:
    file.write_bytes(content)
    fd = os.open(file, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


def temporaries(root: Path) -> list[Path]:
    return [path for path in (root / ".partial").rglob("*") if path.is_file()]


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def keys(store: FileStore, prefix: str = "") -> list[str]:
    return [info.key for page in [page async for page in store.list(prefix)] for info in page]
