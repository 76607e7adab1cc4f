"""Eight digits of an id do wherever an id is taken; sixty-four are never looked up."""

from __future__ import annotations

from pathlib import Path

import crc32c  # noqa: F401  # it reads its own version from a file when first imported, here before any loop runs
import pytest

import snapdir
from snapdir.config import Config
from snapdir.model.keys import manifest_key

UNKNOWN = "ab" * 32


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(cache_dir=tmp_path / "cache")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "file").write_text("content")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "store")


async def test_every_function_takes_the_first_digits(tree: Path, store: str, config: Config, tmp_path: Path) -> None:
    pushed = await snapdir.push(tree, store, config=config)
    for digits in (pushed[:8], pushed[:12].upper()):
        assert await snapdir.resolve_id(digits, store, config=config) == pushed
        assert await snapdir.verify(digits, store, config=config)
        assert (await snapdir.size(store, digits, config=config)).files == 1
        await snapdir.sync(digits, store, str(tmp_path / "copy"), config=config)
        await snapdir.pull(digits, store, tmp_path / "pulled", config=config)
        await snapdir.pull(digits, store, tmp_path / "cached", use_cache=True, config=config)
        await snapdir.fetch(digits, store, config=config)
        await snapdir.checkout(digits, tmp_path / "out", config=config)
        assert await snapdir.push_cached(digits, str(tmp_path / "again"), config=config) == pushed
        await snapdir.verify_cache(digits, config=config)
    for name in ("pulled", "cached", "out"):
        assert await snapdir.id(tmp_path / name) == pushed


async def test_a_cached_snapshot_is_found_without_a_store(tree: Path, config: Config, tmp_path: Path) -> None:
    staged = await snapdir.stage(tree, config=config)
    await snapdir.checkout(staged[:8], tmp_path / "out", config=config)
    assert await snapdir.id(tmp_path / "out") == staged


async def test_two_matches_are_an_error_that_lists_them(tree: Path, store: str, config: Config) -> None:
    pushed = await snapdir.push(tree, store, config=config)
    twin = pushed[:10] + ("0" if pushed[10] != "0" else "1") + "f" * 53
    planted = config.cache_dir / manifest_key(twin)
    planted.parent.mkdir(parents=True)
    planted.touch()
    with pytest.raises(snapdir.AmbiguousId) as failed:
        await snapdir.verify(pushed[:9], store, config=config)
    assert set(failed.value.matches) == {pushed, twin}
    assert await snapdir.verify(pushed[:11], store, config=config)


async def test_unknown_digits_name_where_was_looked(tree: Path, store: str, config: Config) -> None:
    await snapdir.push(tree, store, config=config)
    with pytest.raises(snapdir.UnknownId) as failed:
        await snapdir.pull(UNKNOWN[:8], store, "unused", config=config)
    assert f"the cache at {config.cache_dir} or file://{store}" in str(failed.value)


@pytest.mark.parametrize("text", ["abcdef1", "abcdefgh", "", "ab" * 33, "ab/cd/ef/gh", "xyz" * 20])
async def test_what_cannot_be_an_id_is_told(text: str, store: str, config: Config) -> None:
    Path(store).mkdir()
    with pytest.raises(snapdir.InvalidId, match="nor the first 8 or more") as failed:
        await snapdir.verify(text, store, config=config)
    assert failed.value.code == "INVALID_ID"


async def test_a_whole_id_is_not_looked_up(config: Config) -> None:
    assert await snapdir.resolve_id(UNKNOWN.upper(), "s3://nobody-asks", config=config) == UNKNOWN


async def test_the_catalog_knows_ids_and_a_damaged_one_stops_nothing(tree: Path, store: str, config: Config) -> None:
    from dataclasses import replace

    catalog = config.cache_dir.parent / "history.sqlite3"
    recording = replace(config, catalog=catalog)
    pushed = await snapdir.push(tree, store, config=recording)
    assert await snapdir.resolve_id(pushed[:8], config=recording) == pushed
    catalog.write_bytes(b"no database")
    assert await snapdir.resolve_id(pushed[:8], store, config=recording) == pushed
    with pytest.raises(snapdir.UnknownId, match=str(catalog)):
        await snapdir.resolve_id(pushed[:8], config=recording)
