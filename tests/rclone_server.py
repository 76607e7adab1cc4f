"""A real S3 server for tests: `rclone serve s3`, as scripts/serve_s3.py starts it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.serve_s3 import RcloneServer

__all__ = ["RcloneServer", "s3_server"]


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RcloneServer]:
    """One server for all tests; each takes a prefix or a bucket (a folder of ``server.folder``) of its own."""
    with RcloneServer(tmp_path_factory.mktemp("served")) as server:
        yield server
