"""Snapshots opened for reading: a manifest, a mapping of files, and files that read like files."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import crc32c  # noqa: F401  # it reads its own version from a file when first imported, here before any loop runs
import pytest

import snapdir
from snapdir.api import snapshots
from snapdir.config import Config

BIG = os.urandom(300_000)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Everything above 64 KiB is large."""
    from dataclasses import replace

    small = Config(cache_dir=tmp_path / "cache")
    return replace(small, limits=replace(small.limits, large_bytes=1 << 16, part_bytes=1 << 16))


@pytest.fixture
async def snapshot(tmp_path: Path, config: Config) -> AsyncIterator[snapdir.Snapshot]:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "big").write_bytes(BIG)
    (tree / "sub" / "small").write_bytes(b"first\nsecond\n")
    (tree / "empty").touch()
    (tree / "link").symlink_to("big")
    pushed = await snapdir.push(tree, str(tmp_path / "store"), config=config)
    async with await snapdir.open_snapshot(pushed[:8], str(tmp_path / "store"), config=config) as opened:
        assert opened.id == pushed
        yield opened


async def test_files_are_a_mapping_by_path(snapshot: snapdir.Snapshot) -> None:
    assert list(snapshot.files) == ["./big", "./empty", "./link", "./sub/small"]
    assert snapshot.files["sub/small"] is snapshot.files["./sub/small"]
    assert snapshot.files["big"].size == len(BIG)
    assert "sub" not in snapshot.files
    assert snapdir.id_from_manifest(snapshot.manifest) == snapshot.id


@pytest.mark.parametrize("indexed", [0, 100])
async def test_files_of_many_are_the_same_mapping(
    snapshot: snapdir.Snapshot, indexed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "MAX_INDEXED", indexed)
    files = snapshot.files
    assert list(files.items()) == [(path, files[path]) for path in files] == list(dict(files).items())
    assert list(files.values()) == list(snapshot.manifest.files)
    assert (len(files), files.get("sub/none"), "big" in files, "sub" in files) == (4, None, True, False)
    with pytest.raises(KeyError, match="nothing"):
        files["nothing"]


async def test_a_file_is_read_whole(snapshot: snapdir.Snapshot) -> None:
    assert await snapshot.read("big") == BIG
    assert await snapshot.read("./sub/small") == b"first\nsecond\n"
    assert await snapshot.read("empty") == b""
    assert await snapshot.read("link") == BIG  # its manifest size is that of the link's text


@pytest.mark.parametrize("verify", ["before", "never"])
async def test_a_file_reads_seeks_and_ends_like_one(snapshot: snapdir.Snapshot, verify: str) -> None:
    async with await snapshot.open("big", verify=verify) as file:  # type: ignore[arg-type]
        assert file.entry.path == "./big"
        assert await file.read(10) == BIG[:10]
        assert file.seek(-5, 2) == len(BIG) - 5
        assert await file.read(100) == BIG[-5:]
        assert await file.read(1) == b""
        assert file.seek(1000) == 1000
        assert file.seek(10, 1) == 1010
        assert await file.read(7) == BIG[1010:1017]
        assert file.tell() == 1017
        assert await file.read() == BIG[1017:]
        file.seek(10, 2)
        assert await file.read() == b""
        with pytest.raises(ValueError, match="cannot seek"):
            file.seek(-1)


async def test_a_file_comes_in_blocks(snapshot: snapdir.Snapshot) -> None:
    async with await snapshot.open("big", verify="after") as file:
        assert b"".join([block async for block in file]) == BIG


async def test_what_is_not_there_is_told_by_name(snapshot: snapdir.Snapshot) -> None:
    for path in ("nothing", "sub", "./", "/etc/passwd", ""):
        with pytest.raises(snapdir.PathNotFound, match="has no file") as failed:
            await snapshot.open(path)
        assert failed.value.path == path
    with pytest.raises(KeyError):
        snapshot.files["nothing"]


async def test_the_cache_is_where_no_store_is_named(tmp_path: Path, config: Config) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"staged")
    staged = await snapdir.stage(tmp_path / "tree", config=config)
    async with await snapdir.open_snapshot(staged, config=config) as snapshot:
        assert await snapshot.read("file") == b"staged"


async def test_an_unknown_snapshot_is_told_and_the_store_closed(tmp_path: Path, config: Config) -> None:
    (tmp_path / "store").mkdir()
    with pytest.raises(snapdir.ManifestNotFound):
        await snapdir.open_snapshot("ab" * 32, str(tmp_path / "store"), config=config)


async def test_a_pool_has_the_objects(tmp_path: Path, config: Config) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"pooled")
    manifests, pool = str(tmp_path / "manifests"), str(tmp_path / "pool")
    pushed = await snapdir.push(tmp_path / "tree", manifests, objects_store=pool, config=config)
    async with await snapdir.open_snapshot(pushed, manifests, objects_store=pool, config=config) as snapshot:
        assert await snapshot.read("file") == b"pooled"


async def test_a_store_outside_is_refused(config: Config) -> None:
    with pytest.raises(snapdir.InvalidStore, match="reading single files requires in-process stores"):
        await snapdir.open_snapshot("ab" * 32, "mock://somewhere", config=config)


@pytest.mark.parametrize("name", ["big", "sub/small"])
async def test_a_damaged_object_of_the_cache_names_the_cache(
    name: str, snapshot: snapdir.Snapshot, tmp_path: Path, config: Config
) -> None:
    await snapdir.fetch(snapshot.id, str(tmp_path / "store"), config=config)
    digest = snapshot.files[name].checksum
    damaged = tmp_path / "cache/.objects" / digest[:3] / digest[3:6] / digest[6:9] / digest[9:]
    damaged.chmod(0o644)
    damaged.write_bytes(b"?" * damaged.stat().st_size)
    async with await snapdir.open_snapshot(snapshot.id, config=config) as cached:
        with pytest.raises(snapdir.HashMismatchError, match="verify-cache --purge") as caught:
            await cached.read(name)
    assert str(damaged) in str(caught.value)
    assert "the store" not in str(caught.value)


@pytest.mark.parametrize("verify", ["before", "after", "never"])
async def test_lines_and_bytes_may_be_mixed(snapshot: snapdir.Snapshot, verify: str) -> None:
    async with await snapshot.open("sub/small", verify=verify) as file:  # type: ignore[arg-type]
        assert await file.read(2) == b"fi"
        assert await file.readline() == b"rst\n"
        assert file.tell() == 6
        buffer = bytearray(3)
        assert (await file.readinto(buffer), buffer) == (3, b"sec")
        assert await file.readline() == b"ond\n"
        assert await file.readline() == b""
        file.seek(0)
        assert await file.readlines() == [b"first\n", b"second\n"]
        await file.close()
    async with await snapshot.open("big", verify=verify) as file:  # type: ignore[arg-type]
        lines = await file.readlines()
        assert b"".join(lines) == BIG
        assert all(line.find(b"\n") in (-1, len(line) - 1) for line in lines)
