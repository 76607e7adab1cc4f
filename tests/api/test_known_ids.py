"""Sources of another store: looked up there, and the id is recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import crc32c  # noqa: F401  # it reads its own version from a file when first imported, here before any loop runs
import pytest

import snapdir
from snapdir import Counters, blocking
from snapdir.config import Config
from snapdir.model.keys import manifest_key
from tests.api.test_tag import config, plant, store

__all__ = ["config", "store"]

NOWHERE = "ab" * 32


@pytest.fixture
def away(config: Config, tmp_path: Path) -> Config:
    """Of a machine that knows nothing."""
    return Config(cache_dir=tmp_path / "away")


def sources(models: Path) -> list[Any]:
    """What the newest record names."""
    newest = max(models.glob(".catalog/*/*/*.json"))
    return json.loads(newest.read_text()).get("derived_from", [])  # type: ignore[no-any-return]


async def test_a_source_of_another_store_is_looked_up_there(
    store: str, config: Config, away: Config, tmp_path: Path
) -> None:
    data = [await snapdir.push(plant(tmp_path / "tree", text), store, config=config) for text in ("1", "2")]
    await snapdir.tag("team/v1", data[0], store, config=config)
    models, model = tmp_path / "models", plant(tmp_path / "model", "weights")
    given = [f"{store}@team/v1", f"{store}@latest", f"{store}@{data[0]}", f"{store}@{data[1][:8]}"]
    counters = Counters()
    pushed = await snapdir.push(model, str(models), derived_from=given, config=away, counters=counters)
    assert sources(models) == data
    assert counters.names == {f"{store}@team/v1": data[0], f"{store}@latest": data[1]}
    assert (counters.warnings, counters.chosen_by) == ([], {})
    found = await snapdir.ancestors(pushed, store=str(models), derived=True, config=away)
    assert {relation.id for relation in found} == set(data)


async def test_names_of_two_stores_are_told_apart(config: Config, away: Config, tmp_path: Path) -> None:
    ids = {}
    for name in ("data", "models"):
        ids[name] = await snapdir.push(plant(tmp_path / "tree", name), str(tmp_path / name), config=config)
    counters, given = Counters(), ["latest", f"{tmp_path}/data@latest"]
    tree = plant(tmp_path / "tree", "both")
    await snapdir.push(tree, str(tmp_path / "models"), derived_from=given, config=away, counters=counters)
    assert sources(tmp_path / "models") == [ids["models"], ids["data"]]
    assert counters.names == {"latest": ids["models"], f"file://{tmp_path}/data@latest": ids["data"]}


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ("{store}@none-such", snapdir.UnknownName, "nor a name in {store}"),
        ("{store}@" + NOWHERE, snapdir.ManifestNotFound, NOWHERE),
        ("{store}@abababab", snapdir.UnknownId, "abababab"),
        ("{store}", snapdir.InvalidStore, "{store} is a store: name one of its snapshots, {store}@ID"),
        ("prog://x@v1", snapdir.InvalidStore, "requires in-process stores"),
        ("@", snapdir.InvalidStore, "write STORE, STORE@ID"),
        ("a@b@c", snapdir.InvalidStore, "invalid"),
    ],
)
async def test_a_source_that_is_not_there_is_an_error_before_anything_is_sent(
    store: str, config: Config, away: Config, tmp_path: Path, given: str, error: type[Exception], said: str
) -> None:
    await snapdir.push(plant(tmp_path / "tree", "1"), store, config=config)
    for call in (snapdir.push, snapdir.stage):
        where = [str(tmp_path / "models")] if call is snapdir.push else []
        with pytest.raises(error) as failed:
            await call(  # type: ignore[operator]
                tmp_path / "tree",
                *where,
                derived_from=[given.format(store=store)],
                config=away.with_options(catalog=str(tmp_path / "history.sqlite3")),
            )
        assert said.format(store=store) in str(failed.value)
    assert not (tmp_path / "models").exists()


async def test_an_id_that_this_machine_knows_must_be_in_the_store_that_is_named(
    store: str, config: Config, tmp_path: Path
) -> None:
    await snapdir.push(plant(tmp_path / "tree", "1"), store, config=config)
    known = await snapdir.stage(plant(tmp_path / "tree", "2"), config=config)
    models = str(tmp_path / "models")
    with pytest.raises(snapdir.ManifestNotFound) as failed:
        await snapdir.push(tmp_path / "tree", models, derived_from=[f"{store}@{known}"], config=config)
    assert "--unchecked" in failed.value.__notes__[-1]
    await snapdir.push(tmp_path / "tree", models, derived_from=[f"{store}@{known}"], unchecked=True, config=config)
    assert sources(tmp_path / "models") == [known]


async def test_a_store_that_is_missing_and_a_directory_that_is_none(
    away: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plant(tmp_path / "tree@v1", "1")
    for given, error in (("./missing@v1", snapdir.StoreMissing), ("tree@v1", snapdir.InvalidOption)):
        with pytest.raises(error):
            await snapdir.push(tmp_path / "tree@v1", str(tmp_path / "models"), derived_from=[given], config=away)
    assert not (tmp_path / "models").exists()


def test_a_name_whose_snapshot_was_removed_is_an_error(config: Config, tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    first, second = (blocking.push(plant(tmp_path / "tree", text), data, config=config) for text in ("1", "2"))
    blocking.tag("v2", second, data, config=config)
    (tmp_path / "data" / manifest_key(second)).unlink()
    push = {"path": tmp_path / "tree", "store": str(tmp_path / "models"), "config": replace(config, catalog=None)}
    with pytest.raises(snapdir.ManifestNotFound):
        blocking.push(**push, derived_from=[f"{data}@v2"])
    counters = Counters()
    blocking.push(**push, derived_from=[f"{data}@latest"], counters=counters)
    assert sources(tmp_path / "models") == [first]
    assert "not there any more: the newest push that is there was taken" in counters.warnings[0]
