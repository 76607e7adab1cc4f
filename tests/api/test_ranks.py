"""Eight ranks of one job that pull at the same time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import snapdir.blocking
from snapdir.config import Config

RANKS = 8


def test_ranks_pull_into_directories_below_one_another(tmp_path: Path) -> None:
    """Neither their directories nor their shared cache exist when they start."""
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "sub" / "file").write_text("data")
    store = str(tmp_path / "store")
    snapshot = snapdir.blocking.push(tmp_path / "tree", store, config=Config(cache_dir=tmp_path / "cache"))
    start = threading.Barrier(RANKS, timeout=30)

    def pull(rank: int) -> None:
        for round_number in range(10):
            place = tmp_path / "ranks" / f"{round_number}"
            config = Config(cache_dir=place / "new" / "cache")
            dest = place / "missing" / "run" / (f"rank-{rank}/data" if rank % 2 else "")
            start.wait()
            try:
                snapdir.blocking.pull(snapshot, store, dest, use_cache=rank > RANKS // 2, config=config)
            except BaseException:
                start.abort()
                raise
            assert (dest / "sub" / "file").read_text() == "data"

    with ThreadPoolExecutor(RANKS) as pool:
        list(pool.map(pull, range(RANKS)))
    assert not list((tmp_path / "ranks").rglob(".snapdir-partial"))
