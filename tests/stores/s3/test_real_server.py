"""Against `rclone serve s3`: what only a real server shows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from snapdir.errors import ObjectNotFound, StoreError, StoreMissing
from snapdir.stores.base import FileRange
from tests.rclone_server import RcloneServer
from tests.stores.s3.conftest import opened

SCRIPT = Path(__file__).parents[3] / "scripts" / "serve_s3.py"
PART = 5 << 20


async def test_a_bucket_that_does_not_exist_is_missing_for_all_but_head(server: RcloneServer) -> None:
    async with opened("s3://no-such-bucket/p") as store:
        for call in (
            lambda: store.read("key"),
            lambda: store.read_into("key", memoryview(bytearray(1)), start=0),
            lambda: store.write("key", b"data"),
            lambda: store.write("key", bytes(1 << 20)),
            lambda: store.begin_upload("key", size=1, part_bytes=PART),
            lambda: anext(aiter(store.list(""))),
        ):
            with pytest.raises(StoreMissing, match="no-such-bucket"):
                await call()
        with pytest.raises(ObjectNotFound):  # a HEAD has no body to say so
            await store.stat("key")


async def test_a_key_that_a_server_never_answers_is_no_dead_end(server: RcloneServer) -> None:
    # With Expect: 100-continue rclone waits for the body, we for its leave, and neither ever ends it.
    async with opened(f"s3://{server.bucket}") as store:
        with pytest.raises(StoreError, match="unsupported characters"):
            await store.write("two//slashes", b"data")


async def test_parts_sent_from_a_file_become_one_object(server: RcloneServer, tmp_path: Path) -> None:
    data = os.urandom(1 << 20) * 11
    file = tmp_path / "large"
    file.write_bytes(data)
    fd = os.open(file, os.O_RDONLY)
    async with opened(f"s3://{server.bucket}/parts") as store:
        upload = await store.begin_upload("key", size=len(data), part_bytes=PART)
        for number, offset in enumerate(range(0, len(data), PART), start=1):
            await upload.write_part(number, FileRange(fd, offset, min(PART, len(data) - offset)))
        await upload.commit()
        buffer = bytearray(len(data))
        assert await store.read_into("key", memoryview(buffer), start=0) == len(data)
    os.close(fd)
    assert buffer == data
    assert (server.bucket_folder / "parts" / "key").read_bytes() == data


@pytest.mark.parametrize("end", ["stdin", "signal"])
def test_the_script_serves_until_it_is_told_to_end(tmp_path: Path, end: str) -> None:
    command = [sys.executable, str(SCRIPT), str(tmp_path), "--bucket", "trial"]
    stdin = subprocess.PIPE if end == "stdin" else subprocess.DEVNULL  # as for a job in the background
    with subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, text=True) as script:
        assert script.stdout is not None
        lines = [script.stdout.readline() for _ in range(5)]
        assert lines[0].startswith("export SNAPDIR_S3_STORE_ENDPOINT_URL=http://127.0.0.1:")
        assert lines[-1] == "export BUCKET=trial\n"
        if script.stdin is not None:
            script.stdin.close()
        else:
            script.send_signal(signal.SIGTERM)
        assert script.wait(20) == 0
    assert (tmp_path / "trial").is_dir()
