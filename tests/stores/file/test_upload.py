"""Large objects in parts into a store in a directory, beyond the contract."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from snapdir.disk.descriptors import Handle
from snapdir.errors import NoSpace, StoreRefused
from snapdir.stores.file.store import FileStore
from snapdir.stores.file.upload import FileUpload
from snapdir.stores.file.writing import FileWriter
from snapdir.stores.settings import StoreSettings


async def test_an_upload_takes_no_memory_for_parts_that_have_not_come(tmp_path: Path) -> None:
    vast = 2**53
    writer = FileWriter(str(tmp_path), StoreSettings())
    tracemalloc.start()
    try:
        upload = FileUpload(
            writer, str(tmp_path), str(tmp_path / "none"), Handle(-1), key="k", size=vast, part_bytes=1 << 20
        )
        with pytest.raises(StoreRefused, match="part 1 is missing"):
            await upload.commit()
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


async def test_an_upload_that_the_filesystem_could_never_hold_is_no_space(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    with pytest.raises(NoSpace):
        await store.begin_upload("k", size=2**55, part_bytes=1 << 20)
    assert not await anyio.to_thread.run_sync(lambda: [path for path in tmp_path.rglob("*") if path.is_file()])
