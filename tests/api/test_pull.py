"""What fetch, checkout and pull report."""

from __future__ import annotations

from pathlib import Path

import snapdir
from snapdir import Config


async def test_objects_that_come_from_a_directory_are_received_those_of_the_cache_are_not(tmp_path: Path) -> None:
    tree, store = tmp_path / "tree", f"file://{tmp_path}/store"
    tree.mkdir()
    for name, content in {"a": "1", "twice": "1", "b": "22"}.items():
        (tree / name).write_text(content)
    snapshot_id = await snapdir.push(tree, store, config=Config(tmp_path / "pusher"))

    config = Config(tmp_path / "cache")
    direct = await snapdir.pull(snapshot_id, store, tmp_path / "direct", use_cache=False, config=config)
    cached = await snapdir.pull(snapshot_id, store, tmp_path / "cached", use_cache=True, config=config)
    assert {(report.objects_received, report.bytes_received) for report in (direct, cached)} == {(2, 3)}

    again = await snapdir.fetch(snapshot_id, store, config=config)
    local = await snapdir.checkout(snapshot_id, tmp_path / "local", config=config)
    assert {(report.objects_received, report.bytes_received) for report in (again, local)} == {(0, 0)}
