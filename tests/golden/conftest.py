"""Golden tests see no store, cache or credentials of the person who runs them."""

from __future__ import annotations

import os
from pathlib import Path

import crc32c  # noqa: F401  # it reads its own version from a file when first imported, here before any loop runs
import pytest

from tests.rclone_server import s3_server

__all__ = ["s3_server"]


@pytest.fixture(autouse=True)
def isolated_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("SNAPDIR_", "AWS_")) and name != "SNAPDIR_ORACLE":
            monkeypatch.delenv(name)
    monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(tmp_path / "default-cache"))
