"""Processes share a catalog and a store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from snapdir.catalog.catalog import Catalog

SOURCE = Path(__file__).parents[2] / "src"
SNAPSHOTS = 200
PUSH_MANY = """
import json, sys
from pathlib import Path
from snapdir import Config, blocking
from snapdir.transfer.engine.events import Counters

tree, store, catalog, count = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
counters = Counters()
config = Config(cache_dir=tree.parent / "cache", catalog=catalog)
tree.mkdir()
print("ready", flush=True)
sys.stdin.readline()
pushed = []
for number in range(count):
    (tree / "file").write_text(f"{tree.name} {number}")
    pushed.append(blocking.push(tree, store, config=config, counters=counters))
print(json.dumps([pushed, counters.warnings]))
"""
OPEN_AT_ONCE = """
import multiprocessing, sys
from pathlib import Path
from snapdir.catalog.catalog import Catalog

def note(file, together, number):
    together.wait()
    with Catalog(file) as catalog:
        catalog.record("push", f"{number:064x}", "/x")

context = multiprocessing.get_context("fork")
for round in range(20):
    file = Path(sys.argv[1]) / f"{round}" / "c.sqlite3"
    together = context.Barrier(6)
    children = [context.Process(target=note, args=(file, together, number)) for number in range(6)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    with Catalog(file) as catalog:
        assert len(catalog.records()) == 6, round
"""


def test_the_first_ones_to_open_a_catalog_make_it_together(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", OPEN_AT_ONCE, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")


def test_two_that_push_at_once_lose_no_record(tmp_path: Path) -> None:
    store, file = f"file://{tmp_path}/store", tmp_path / "shared-catalog.sqlite3"
    started = [pusher(tmp_path / f"tree{number}", store, file) for number in range(2)]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    ended = [process.communicate("go\n", timeout=120) for process in [*map(released, started)]]
    answers = [json.loads(output) for output, _ in ended]
    assert [(process.returncode, errors) for process, (_, errors) in zip(started, ended, strict=True)] == [(0, "")] * 2
    assert [warnings for _, warnings in answers] == [[], []]

    pushed = [snapshot_id for ids, _ in answers for snapshot_id in ids]
    assert len(set(pushed)) == 2 * SNAPSHOTS
    with Catalog(file) as catalog:
        records = catalog.records()[::-1]
    assert sorted(record.id for record in records) == sorted(pushed)
    # One chain, whoever wrote its links: each follows the one that was the latest then.
    assert [record.previous_id for record in records] == [None, *(record.id for record in records[:-1])]
    assert {record.location for record in records} == {store}


def pusher(tree: Path, store: str, file: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PUSH_MANY, str(tree), store, str(file), str(SNAPSHOTS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "SNAPDIR_FSYNC": "off"},
    )


def released(process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    """Let it start; start all of them before waiting for the first."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    return process
