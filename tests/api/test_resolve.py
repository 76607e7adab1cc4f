"""Eight digits are accepted wherever an id is; sixty-four are never looked up."""

from __future__ import annotations

from pathlib import Path

import crc32c  # noqa: F401  # it reads its own version from a file when first imported, here before any loop runs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import snapdir
from snapdir.api.resolve import only_match
from snapdir.config import Config
from snapdir.errors import AmbiguousId, UnknownId
from snapdir.model.keys import manifest_key

UNKNOWN = "ab" * 32
ids = st.text("0123456789abcdef", min_size=64, max_size=64)


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


@given(st.lists(ids, min_size=1, unique=True), st.integers(8, 64))
def test_the_only_id_with_these_digits_is_found_wherever_it_is_known(known: list[str], count: int) -> None:
    digits = known[0][:count]
    matching = [snapshot_id for snapshot_id in known if snapshot_id.startswith(digits)]
    found = {"a": matching[::2], "b": matching[1::2], "c": [known[0]]}
    if len(matching) > 1:
        with pytest.raises(AmbiguousId) as failed:
            only_match(digits, found)
        assert failed.value.matches == tuple(sorted(matching))
    else:
        assert only_match(digits, found) == known[0]


def test_different_ids_of_two_places_are_ambiguous() -> None:
    first, second = "ab" * 8 + "0" * 48, "ab" * 8 + "1" * 48
    with pytest.raises(AmbiguousId, match=f"{first}, {second}; give more") as failed:
        only_match("ab" * 8, {"a": [first], "b": [second]})
    assert failed.value.code == "INVALID_ID"


def test_an_unknown_id_names_the_places_that_were_searched() -> None:
    with pytest.raises(UnknownId, match="no id in the cache or s3://b starts with 'abababab'") as failed:
        only_match("ab" * 4, {"the cache": [], "s3://b": []})
    assert (failed.value.code, failed.value.places) == ("STORE_ERROR", ("the cache", "s3://b"))
