"""A snapshot goes from one bucket to another through a pipe."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from snapdir.model.sizes import MIB
from tests.rclone_server import RcloneServer

from .conftest import Program


@pytest.mark.parametrize("pack_format", ["v1", "zstd"])
def test_a_pack_goes_from_bucket_to_bucket(
    pack_format: str, program: Program, s3_server: RcloneServer, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "large").write_bytes(os.urandom(20 * MIB))  # in parts, down and up
    for number in range(40):
        (tree / f"small-{number}").write_bytes(os.urandom(1000))
    program.environment.update(s3_server.environment)
    source, target = (f"s3://{s3_server.bucket}/pack-{pack_format}-{side}" for side in ("from", "to"))
    identifier = program.id("push", "--store", source, str(tree))
    sums = [line.split()[2] for line in program("manifest", str(tree)).stdout.splitlines() if line.startswith("F")]
    (program.folder / "ids").write_text("\n".join(sums))
    send = ["send-pack", "--store", source, "--ids", "ids", "--manifest-id", identifier, "--pack-format", pack_format]
    receive = program.command("receive-pack", "--store", target, "--require-manifest", identifier)
    with subprocess.Popen(program.command(*send), stdout=subprocess.PIPE, **program.options({})) as sender:
        options = {**program.options({}), "stdin": sender.stdout}
        received = subprocess.run(receive, capture_output=True, text=True, check=False, timeout=60, **options)
    assert sender.returncode == 0
    assert received.stdout == ""
    assert received.stderr == f"received pack: 41 object(s) written, 0 skipped, manifest {identifier}\n"
    assert program("verify", "--store", target, "--id", identifier).code == 0
    assert program("pull", "--store", target, "--id", identifier, "--no-cache", "copy").code == 0
    assert program.id("id", "copy") == identifier
