"""The isolated environment of every case, and common fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conformance.harness import Shell, plant
from tests.conformance.trees import T1

SOURCE = Path(__file__).parents[2] / "src"
FOLDERS = {
    "HOME": "home",
    "XDG_CACHE_HOME": "xdg/cache",
    "XDG_CONFIG_HOME": "xdg/config",
    "XDG_DATA_HOME": "xdg/data",
    "XDG_STATE_HOME": "xdg/state",
    "SNAPDIR_CACHE_DIR": "cache",
}


@pytest.fixture(autouse=True)
def place(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for the case, with its home, its cache and its empty current directory; no variable of outside.

    Its path says nothing of the test's name: excludes look at absolute paths.
    """
    place = tmp_path_factory.mktemp("case")
    for name in list(os.environ):
        if name.startswith(("SNAPDIR", "AWS_", "XDG_")) or name in {"NO_COLOR", "COLUMNS"}:
            monkeypatch.delenv(name)
    for name, folder in FOLDERS.items():
        monkeypatch.setenv(name, str(place / folder))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    (place / "home").mkdir()
    (place / "current").mkdir()
    monkeypatch.chdir(place / "current")
    return place


@pytest.fixture
def sh(place: Path) -> Shell:
    return Shell(place)


@pytest.fixture
def src(place: Path) -> Path:
    """The tree T1."""
    return plant(place / "src", T1)


@pytest.fixture
def cache(place: Path) -> Path:
    return place / "cache"


@pytest.fixture
def folder(place: Path) -> Path:
    """Where ``store`` is."""
    return place / "store"


@pytest.fixture
def store(folder: Path) -> str:
    return f"file://{folder}"


@pytest.fixture
def dest(place: Path) -> Path:
    """Where to pull to; not there yet."""
    return place / "dest"


@pytest.fixture
def pushed(sh: Shell, src: Path, store: str) -> str:
    """The id of T1, which ``store`` has."""
    return sh.push(src, store)
