"""Where objects land in a store of this host."""

from __future__ import annotations

import os
from pathlib import Path

from snapdir.hashing.tree import digest_of
from snapdir.stores.file.writing import FileWriter
from snapdir.stores.settings import StoreSettings
from snapdir.transfer.download.object_sink import CacheSink
from snapdir.transfer.engine.planned_objects import PlannedObject

WANTED = PlannedObject(digest_of(b"content"), 7, "./x", [])


def test_a_large_object_that_came_wrong_is_dropped_with_its_bytes(tmp_path: Path) -> None:
    """Else the next run would go on with them."""
    sink = CacheSink(str(tmp_path), FileWriter(str(tmp_path), StoreSettings(fsync=False)))
    descriptor = sink.open_temporary(WANTED)
    os.write(descriptor, b"wrong")
    sink.drop(WANTED)
    sink.drop(WANTED)
    os.close(descriptor)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size] == []
    sink.close()
