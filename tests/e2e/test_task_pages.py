"""Every code block of the pages in docs/tasks runs, in order, on a real S3 server.

A page may expect what the reader has: a tree ``dataset``, a bucket ``my-bucket``, and the id of the tree, pushed to
``s3://my-bucket/datasets``, in the file ``dataset.id``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.blocks import as_script, blocks, readers_environment, run_blocks
from tests.rclone_server import RcloneServer

TASKS = sorted((Path(__file__).parents[2] / "docs/tasks").glob("*.md"))


@pytest.mark.parametrize("page", TASKS, ids=lambda page: page.stem)
def test_every_block_runs(page: Path, tmp_path: Path, s3_server: RcloneServer) -> None:
    bucket = f"tasks-of-{page.stem}"
    s3_server.folder.joinpath(bucket).mkdir()
    folder = tmp_path / "folder"
    folder.joinpath("dataset/train").mkdir(parents=True)
    folder.joinpath("dataset/README.md").write_text("Four shards of noise.\n")
    for shard in ("aa", "ab", "ac", "ad"):
        folder.joinpath(f"dataset/train/shard-{shard}").write_bytes(os.urandom(1_000_000))
    pushed = "snapdir push --store s3://my-bucket/datasets dataset > dataset.id\n"
    script = pushed + as_script([block for block in blocks(page) if block.language != "text"])
    run_blocks(script.replace("my-bucket", bucket), folder, readers_environment(tmp_path, s3_server))


@pytest.mark.parametrize("page", TASKS, ids=lambda page: page.stem)
def test_every_block_has_a_language(page: Path) -> None:
    assert {block.language for block in blocks(page)} <= {"bash", "python", "text"}
