"""A destination, and something beside it that must not change."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from snapdir.disk.destination import Destination


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def destination(root: Path) -> Iterator[Destination]:
    with Destination.open(root) as opened:
        yield opened


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A directory outside every destination. A test that leaves it changed in any way fails."""
    folder = tmp_path / "outside"
    folder.mkdir(mode=0o751)
    (folder / "precious").write_bytes(b"precious")
    (folder / "precious").chmod(0o640)
    yield folder
    assert os.listdir(folder) == ["precious"]
    assert (folder / "precious").read_bytes() == b"precious"
    assert stat.S_IMODE((folder / "precious").stat().st_mode) == 0o640
    assert stat.S_IMODE(folder.stat().st_mode) == 0o751
