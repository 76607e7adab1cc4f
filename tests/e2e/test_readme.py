"""Every code block of the README runs, in order, in one shell and one empty directory."""

from __future__ import annotations

import os
from pathlib import Path

from tests.blocks import as_script, blocks, readers_environment, run_blocks
from tests.rclone_server import RcloneServer

PROJECT = Path(__file__).parents[2]
README = PROJECT / "README.md"


def test_every_block_runs(tmp_path: Path, s3_server: RcloneServer) -> None:
    script = as_script([block for block in blocks(README) if not block.is_development])
    folder = tmp_path / "walkthrough"
    folder.mkdir()
    run_blocks(script, folder, {**readers_environment(tmp_path, s3_server), "BUCKET": s3_server.bucket})


def test_every_block_is_one_that_can_run() -> None:
    assert {block.language for block in blocks(README)} <= {"bash", "python"}


def test_ci_runs_every_command_for_a_checkout() -> None:
    run_by_ci = (PROJECT / ".ci" / "run").read_text().split("\n")
    for block in blocks(README):
        for command in block.code.splitlines() if block.is_development else ():
            assert os.access(PROJECT / command.split()[0], os.X_OK)
            assert any(line.removeprefix("exec ").removesuffix(" --no-skips") == command for line in run_by_ci)
