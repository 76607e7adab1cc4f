"""A manifest that does not fit into memory is written, read and compared like any other, in every kind of store."""

from __future__ import annotations

from pathlib import Path

import crc32c  # noqa: F401  # it reads its own version from a file when first imported, here before any loop runs
import pytest

import snapdir
from snapdir.config import Config
from snapdir.model import pieces
from snapdir.repository import presence, repository
from tests.rclone_server import RcloneServer, s3_server

__all__ = ["s3_server"]

PATHS = [f"{folder}/{number}" for folder in "abc" for number in range(40)]


@pytest.fixture(params=["file", "s3"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3_server: RcloneServer
) -> str:
    """Texts of more than 1,000 bytes lie in files, and are read in two requests."""
    monkeypatch.setattr(pieces, "MEMORY_BYTES", 1000)
    monkeypatch.setattr(pieces, "BLOCK_BYTES", 500)
    monkeypatch.setattr(repository, "MANIFEST_BLOCK_BYTES", 1000)
    for module in (repository, presence):
        monkeypatch.setattr(module, "READ_MANIFEST_BYTES", 1000)
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    (s3_server.folder / "long").mkdir(exist_ok=True)
    return f"file://{tmp_path}/store" if request.param == "file" else f"s3://long/{tmp_path.name}"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for path in PATHS:
        (tmp_path / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / path).write_text(path)
    return tmp_path / "tree"


async def test_every_verb_takes_a_long_manifest(store: str, tree: Path, tmp_path: Path) -> None:
    config = Config(cache_dir=tmp_path / "cache")
    first = await snapdir.push(tree, store, config=config)
    assert await snapdir.push(tree, store, config=config) == first == await snapdir.id(tree, config=config)
    (tree / "b/new").write_text("new")
    (tree / "c/7").unlink()
    second = await snapdir.push(tree, store, config=config)
    found = await snapdir.diff(f"{store}@{first}", f"{store}@{second}", config=config)
    assert [(entry.status, entry.path) for entry in found] == [("A", "./b/new"), ("D", "./c/7")]
    for identifier in (first, second):
        assert await snapdir.verify(identifier, store, config=config)
        copy = tmp_path / identifier
        await snapdir.pull(identifier, store, copy, config=config)
        assert await snapdir.id(copy, config=config) == identifier
        assert (await snapdir.status(copy, config=config)).clean
    assert await snapdir.cat(f"{store}@{first}", "c/7", config=config) == b"c/7"
    (size,) = {each.size.files for each in await snapdir.ls(store, config=config)}
    assert size == len(PATHS)
    await snapdir.sync(second, store, f"file://{tmp_path}/mirror", config=config)
    assert await snapdir.verify(second, f"file://{tmp_path}/mirror", config=config)
    await snapdir.pull(second, store, tmp_path / "part", include=["a/1*"], config=config)
    assert sorted(path.name for path in (tmp_path / "part").rglob("*") if path.is_file()) == sorted(
        Path(path).name for path in PATHS if path.startswith("a/1")
    )
