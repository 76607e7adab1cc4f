"""Every block of docs/python.md runs, in order, in one program, on a file store and on a real S3 server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path

import pytest

from tests.rclone_server import RcloneServer

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "python.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    dataset = tmp_path / "dataset"
    dataset.mkdir()
    (dataset / "README.md").write_text("About it.\n")
    (dataset / "weights.bin").write_bytes(os.urandom(40 << 20))
    with tarfile.open(dataset / "archive.tar", "w") as archive:
        archive.add(dataset / "README.md", "member")
    return tmp_path


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_every_block_runs(kind: str, folder: Path, s3_server: RcloneServer) -> None:
    code = "".join(re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    if kind == "s3":
        code = code.replace('"./', f'"s3://{s3_server.bucket}/python/')
        code = code.replace(f"s3://{s3_server.bucket}/python/cache", "./cache")
    program = f"import asyncio\n\nasync def main():\n{textwrap.indent(code, '    ')}\nasyncio.run(main())\n"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SNAPDIR_", "AWS_", "XDG_"))}
    run = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", program],
        cwd=folder,
        env={**kept, **s3_server.environment, "HOME": str(folder), "PYTHONPATH": str(PROJECT / "src")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert "About it." in run.stdout
    assert "member" in run.stdout
