"""A snapshot that a program leaves open when it ends makes no noise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from snapdir import blocking
from snapdir.config import Config
from tests.cli.demanding_s3 import Bucket

ON_A_LOOP = """
import asyncio, sys, snapdir

async def main():
    snapshot = await snapdir.open_snapshot(*sys.argv[1:])
    large, small = await snapshot.open("large"), await snapshot.open("small", verify="never")
    assert len(await large.read(10)) == len(await small.read(10)) == 10
    if {kept}:
        globals()["kept"] = snapshot, large, small

asyncio.run(main())
print("end")
"""
WITHOUT_A_LOOP = """
import sys
from snapdir import blocking

snapshot = blocking.open_snapshot(*sys.argv[1:])
large, small = snapshot.open("large"), snapshot.open("small", verify="never")
assert len(large.read(10)) == len(small.read(10)) == 10
print("end")
"""
PROGRAMS = {
    "dropped": ON_A_LOOP.format(kept=False),
    "kept": ON_A_LOOP.format(kept=True),
    "blocking": WITHOUT_A_LOOP,
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "large").write_bytes(bytes(17 << 20))
    (tree / "small").write_bytes(bytes(100))
    return tree


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("kind", ["store", "cache", "bucket"])
def test_a_program_that_leaves_a_snapshot_open_ends_silently(
    kind: str, program: str, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(tmp_path / "cache"))
    config = Config(cache_dir=tmp_path / "cache")
    with Bucket() as server:
        variables = {
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_ENDPOINT_URL_S3": server.endpoint,
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        store = {"store": str(tmp_path / "store"), "bucket": "s3://bucket/sets"}.get(kind)
        if store is None:
            args = [blocking.stage(tree, config=config)]
        else:
            args = [blocking.push(tree, store, config=config), store]
        done = subprocess.run(
            [sys.executable, "-c", PROGRAMS[program], *args],
            check=False,
            capture_output=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": "src"},
        )
    assert (done.returncode, done.stdout.decode(), done.stderr.decode()) == (0, "end\n", "")
