"""Notes and labels of a snapshot are recorded, or are an error before anything is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import snapdir
from snapdir import blocking
from snapdir.config import Config
from snapdir.transfer.engine.events import Counters

SAID: dict[str, Any] = {"derived_from": ["ab" * 32], "note": "filtered", "labels": {"split": "train"}}
PARTS = [{name: value} for name, value in SAID.items()]
UNCHECKED = {"unchecked": True}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """No catalog: the default of a Python program."""
    return Config(cache_dir=tmp_path / "cache")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("content")
    return tree


def records(store: Path) -> list[dict[str, Any]]:
    """The store's history, oldest first."""
    return [json.loads(file.read_text()) for file in sorted(store.glob(".catalog/*/*/*.json"))]


async def test_a_push_without_a_catalog_records_what_is_said_in_its_store(
    tree: Path, tmp_path: Path, config: Config
) -> None:
    counters = Counters()
    first = await snapdir.push(tree, str(tmp_path / "store"), **SAID, **UNCHECKED, config=config, counters=counters)
    (record,) = records(tmp_path / "store")
    assert {name: record[name] for name in SAID} == SAID
    assert (record["id"], record["previous_id"], counters.warnings) == (first, None, [])
    assert not list(tmp_path.rglob("*.sqlite3"))
    (tree / "file").write_text("more")
    await snapdir.push(tree, str(tmp_path / "store"), note="later", config=config)
    assert [record["previous_id"] for record in records(tmp_path / "store")] == [None, first]
    assert await snapdir.ancestors(first, config=config, store=str(tmp_path / "store"))


@pytest.mark.parametrize("part", PARTS, ids=lambda part: next(iter(part)))
def test_a_push_from_the_cache_and_one_without_a_loop_record_it_too(
    tree: Path, tmp_path: Path, config: Config, part: dict[str, Any]
) -> None:
    staged = blocking.stage(tree, config=config)
    blocking.push_cached(staged, str(tmp_path / "store"), **part, **UNCHECKED, config=config)
    blocking.push(tree, str(tmp_path / "other"), **part, **UNCHECKED, config=config)
    for store in ("store", "other"):
        (record,) = records(tmp_path / store)
        assert {name: record[name] for name in part} == part


async def test_a_push_that_says_nothing_is_recorded_in_its_store_once(
    tree: Path, tmp_path: Path, config: Config
) -> None:
    pushed = [await snapdir.push(tree, str(tmp_path / "store"), config=config) for _ in range(2)]
    (record,) = records(tmp_path / "store")
    assert ([record["id"]] * 2, record["previous_id"]) == (pushed, None)
    assert not list(tmp_path.rglob("*.sqlite3"))


async def test_without_a_shared_catalog_nothing_is_recorded(tree: Path, tmp_path: Path, config: Config) -> None:
    await snapdir.push(tree, str(tmp_path / "store"), config=replace(config, shared_catalog=False))
    assert records(tmp_path / "store") == []


async def test_a_store_that_takes_no_record_is_a_warning(tree: Path, tmp_path: Path, config: Config) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store/.catalog").write_text("in the way")
    counters = Counters()
    pushed = await snapdir.push(tree, str(tmp_path / "store"), config=config, counters=counters)
    assert await snapdir.verify(pushed, str(tmp_path / "store"), config=config)
    (warning,) = counters.warnings
    assert "not recorded in the store's history" in warning


def _push_alone(tree: Path, store: Path, config: Config, **said: Any) -> None:
    blocking.push(tree, str(store), **said, config=replace(config, shared_catalog=False))


def _push_cached_alone(tree: Path, store: Path, config: Config, **said: Any) -> None:
    staged = blocking.stage(tree, config=config)
    blocking.push_cached(staged, str(store), **said, config=replace(config, shared_catalog=False))


def _stage(tree: Path, _: Path, config: Config, **said: Any) -> None:
    blocking.stage(tree, **said, config=config)


def _push_outside(tree: Path, store: Path, config: Config, **said: Any) -> None:
    program = store.parent / "bin/snapdir-mock-store"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
        blocking.push(tree, f"mock://{store}", **said, config=config)


@pytest.mark.parametrize("call", [_push_alone, _push_cached_alone, _stage, _push_outside])
@pytest.mark.parametrize("part", PARTS, ids=lambda part: next(iter(part)))
def test_where_no_history_can_keep_it_it_is_an_error(
    call: Callable[..., None], part: dict[str, Any], tree: Path, tmp_path: Path, config: Config
) -> None:
    with pytest.raises(snapdir.InvalidOption, match="without a catalog"):
        call(tree, tmp_path / "store", config, **part)
    assert not (tmp_path / "store").exists()


async def test_a_catalog_keeps_what_a_store_does_not(tree: Path, tmp_path: Path, config: Config) -> None:
    recorded = replace(config.with_options(catalog="default"), shared_catalog=False)
    pushed = await snapdir.push(tree, str(tmp_path / "store"), note="here", config=recorded)
    assert [revision.id for revision in await snapdir.revisions(str(tmp_path / "store"), config=recorded)] == [pushed]
    assert records(tmp_path / "store") == []


async def test_a_short_id_is_found_here_if_the_store_cannot_be_read(tree: Path, tmp_path: Path, config: Config) -> None:
    recorded = config.with_options(catalog="default")
    first = await snapdir.push(tree, str(tmp_path / "store"), config=recorded)
    (tree / "file").write_text("more")
    second = await snapdir.push(tree, str(tmp_path / "store"), config=recorded)
    (tmp_path / "store").rename(tmp_path / "moved")
    counters = Counters()
    found = await snapdir.ancestors(second[:16], store=str(tmp_path / "store"), config=recorded, counters=counters)
    assert [relation.id for relation in found] == [first]
    assert len(counters.warnings) == 1
    assert "left out" in counters.warnings[0]
