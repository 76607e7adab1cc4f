"""Names and ``latest`` do wherever an id is taken, and what they stood for is known."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import crc32c  # noqa: F401  # it reads its own version from a file when first imported, here before any loop runs
import pytest

import snapdir
from snapdir import Counters
from snapdir.api.resolve import parse_ref
from snapdir.config import Config
from snapdir.model.keys import manifest_key, tag_key
from tests.e2e.scripted_s3 import ScriptedS3
from tests.rclone_server import RcloneServer, s3_server

__all__ = ["s3_server"]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(cache_dir=tmp_path / "cache", catalog=tmp_path / "history.sqlite3")


@pytest.fixture(params=["file", "s3"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    if request.param == "file":
        yield f"file://{tmp_path}/store"
        return
    with ScriptedS3(conditions="heeded") as server:
        leads_to(server.endpoint, monkeypatch)
        yield "s3://bucket/sets"


def leads_to(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("SNAPDIR_S3_STORE_ENDPOINT_URL", endpoint)


def plant(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "file").write_text(text)
    return folder


async def test_every_function_takes_a_name(store: str, config: Config, tmp_path: Path) -> None:
    tree = plant(tmp_path / "tree", "1")
    first = await snapdir.push(tree, store, config=config)
    second = await snapdir.push(plant(tree, "2"), store, config=config)
    await snapdir.tag("v1", first[:10], store, config=config)
    await snapdir.tag("team/v1", "v1", store, config=config)
    for name, meant in (("v1", first), ("team/v1", first), ("latest", second)):
        counters = Counters()
        assert await snapdir.resolve_id(name, store, config=config, counters=counters) == meant
        assert counters.names == {name: meant}
        assert await snapdir.verify(name, store, config=config)
        assert (await snapdir.examine(name, store, config=config)).id == meant
        assert (await snapdir.size(store, name, config=config)).files == 1
        assert (await snapdir.size(f"{store}@{name}", config=config)).files == 1
        assert (await snapdir.sync(name, store, str(tmp_path / "copy"), config=config)).snapshots == (meant,)
        for options in ({}, {"use_cache": True}):
            report = await snapdir.pull(name, store, tmp_path / "pulled", config=config, **options)  # type: ignore[arg-type]
            assert report.id == await snapdir.id(tmp_path / "pulled") == meant
        assert (await snapdir.fetch(name, store, config=config)).id == meant
        assert (await snapdir.checkout(name, tmp_path / "out", store=store, config=config)).id == meant
        assert await snapdir.push_cached(name, store, config=replace(config, shared_catalog=False)) == meant
        async with await snapdir.open_snapshot(name, store, config=config) as snapshot:
            assert snapshot.id == meant
        assert (await snapdir.lineage(name, backward=True, store=store, config=config)).focus == meant
        assert await snapdir.manifest_of(name, store=store, config=config)
        assert (await snapdir.status(tmp_path / "out", id=name, store=store, config=config)).clean
    made = await snapdir.push(plant(tree, "3"), store, derived_from=["v1"], config=config)
    assert first in [relation.id for relation in await snapdir.ancestors(made, store=store, config=config)]


async def test_latest_is_the_newest_push_that_has_the_labels(store: str, config: Config, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    pushed = [
        await snapdir.push(plant(tree, str(number)), store, labels=labels, config=config)
        for number, labels in enumerate(({"a": "1"}, {"a": "1", "b": "2"}, {"a": "2"}, {}))
    ]
    assert await snapdir.resolve_id("latest", store, config=config) == pushed[3]
    for labels, number in (({"a": "1"}, 1), ({"a": "1", "b": "2"}, 1), ({"a": "2"}, 2)):
        counters = Counters()
        found = await snapdir.resolve_id("latest", store, labels=labels, config=config, counters=counters)
        assert (found, counters.names, counters.chosen_by) == (pushed[number], {"latest": found}, labels)
    with pytest.raises(snapdir.NothingPushed, match="no push with a=3 is recorded in"):
        await snapdir.resolve_id("latest", store, labels={"a": "3"}, config=config)
    with pytest.raises(snapdir.InvalidOption, match="go with 'latest'"):
        await snapdir.resolve_id(pushed[0], store, labels={"a": "1"}, config=config)


async def test_latest_passes_over_a_damaged_record(config: Config, tmp_path: Path) -> None:
    store = tmp_path / "store"
    pushed = await snapdir.push(plant(tmp_path / "tree", "1"), str(store), config=config)
    await snapdir.push(plant(tmp_path / "tree", "2"), str(store), config=config)
    newest = max(path for path in (store / ".catalog").rglob("*") if path.is_file())
    newest.write_text("garbage")
    assert await snapdir.resolve_id("latest", str(store), config=config) == pushed


async def test_the_latest_of_an_empty_store(store: str, config: Config, tmp_path: Path) -> None:
    quiet = Config(cache_dir=tmp_path / "other", shared_catalog=False)
    await snapdir.push(plant(tmp_path / "tree", "1"), store, config=quiet)
    with pytest.raises(snapdir.NothingPushed, match="no push is recorded in"):
        await snapdir.pull("latest", store, tmp_path / "out", config=config)
    (tmp_path / "empty").mkdir()
    with pytest.raises(snapdir.NothingPushed):
        await snapdir.resolve_id("latest", str(tmp_path / "empty"), config=config)


async def test_a_name_that_is_unknown_or_garbage(store: str, config: Config, tmp_path: Path) -> None:
    pushed = await snapdir.push(plant(tmp_path / "tree", "1"), store, config=config)
    with pytest.raises(snapdir.UnknownName, match="or the first 8 or more of them, nor a name in ") as failed:
        await snapdir.pull("v1", store, tmp_path / "out", config=config)
    assert failed.value.code == "INVALID_ID"
    with pytest.raises(snapdir.UnknownName, match="give --store, or write STORE@NAME"):
        await snapdir.checkout("v1", tmp_path / "out", config=config)
    with pytest.raises(snapdir.ManifestNotFound):
        await snapdir.tag("v1", "ab" * 32, store, config=config)
    await snapdir.tag("v1", pushed, store, config=config)
    await snapdir.delete_tag("v1", store, config=config)
    with pytest.raises(snapdir.UnknownName):
        await snapdir.resolve_id("v1", store, config=config)
    assert not (tmp_path / "out").exists()


async def test_a_damaged_name_is_one_clear_error(config: Config, tmp_path: Path) -> None:
    store = tmp_path / "store"
    pushed = await snapdir.push(plant(tmp_path / "tree", "1"), str(store), config=config)
    await snapdir.tag("v1", pushed, str(store), config=config)
    (store / tag_key("v1")).write_bytes(b"\xff\0garbage")
    with pytest.raises(snapdir.InvalidTag, match=r"\.refs/v1 is not the text of a name"):
        await snapdir.pull("v1", str(store), tmp_path / "out", config=config)
    counters = Counters()
    assert await snapdir.tags(str(store), config=config, counters=counters) == []
    assert len(counters.warnings) == 1
    (summary,) = await snapdir.ls(str(store), config=config, counters=counters)
    assert summary.names == ()


async def test_another_type_is_one_clear_error(config: Config, tmp_path: Path) -> None:
    store, tree = str(tmp_path / "store"), plant(tmp_path / "tree", "1")
    pushed = await snapdir.push(tree, store, config=config)
    with pytest.raises(TypeError, match="name is a str, not int"):
        await snapdir.tag(5, pushed, store, config=config)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="ignore is a sequence of str: 5 is int"):
        await snapdir.push(tree, store, ignore=[5], config=config)  # type: ignore[list-item]
    with pytest.raises(TypeError, match="range is a str, not int"):
        await snapdir.cat(pushed, "file", store=store, range=5, config=config)  # type: ignore[arg-type]
    for verify in ("maybe", None, True):
        with pytest.raises(snapdir.InvalidOption, match="verify is before, after or never"):
            await snapdir.cat(pushed, "file", store=store, verify=verify, config=config)  # type: ignore[arg-type]


async def test_two_names_of_one_snapshot(store: str, config: Config, tmp_path: Path) -> None:
    pushed = await snapdir.push(plant(tmp_path / "tree", "1"), store, note="a note", labels={"a": "1"}, config=config)
    for name in ("v1", "best"):
        await snapdir.tag(name, pushed, store, expect="none", config=config)
    (summary,) = await snapdir.ls(store, config=config)
    assert (summary.id, summary.names, summary.note) == (pushed, ("best", "v1"), "a note")
    assert summary.labels == (("a", "1"),)
    await snapdir.delete_tag("v1", store, expect="best", config=config)
    assert [tag.name for tag in await snapdir.tags(store, config=config)] == ["best"]
    assert await snapdir.verify(pushed, store, config=config)


async def test_names_are_not_copied_and_never_removed(store: str, config: Config, tmp_path: Path) -> None:
    mirror = str(tmp_path / "mirror")
    pushed = await snapdir.push(plant(tmp_path / "tree", "1"), store, config=config)
    await snapdir.push(plant(tmp_path / "tree", "2"), mirror, config=config)
    for where in (store, mirror):
        await snapdir.sync(pushed, store, mirror, config=config)
        await snapdir.tag(f"of-{Path(where).name}", pushed, where, config=config)
    await snapdir.sync_all(store, mirror, delete=True, config=config)
    assert [tag.name for tag in await snapdir.tags(mirror, config=config)] == ["of-mirror"]
    assert [summary.id for summary in await snapdir.ls(mirror, config=config)] == [pushed]


async def test_a_service_without_conditional_writes_needs_unsafe(
    s3_server: RcloneServer, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    store = f"s3://{s3_server.bucket}/unsafe-names"
    pushed = await snapdir.push(plant(tmp_path / "tree", "1"), store, config=config)
    with pytest.raises(snapdir.NoConditionalWrites) as failed:
        await snapdir.tag("v1", pushed, store, config=config)
    assert "--unsafe" in failed.value.__notes__[0]
    await snapdir.tag("v1", pushed, store, unsafe=True, config=config)
    assert await snapdir.resolve_id("v1", store, config=config) == pushed
    await snapdir.delete_tag("v1", store, unsafe=True, config=config)
    assert [tag.id for tag in await snapdir.tag_log("v1", store, config=config)] == [None, pushed]


async def test_a_store_program_has_no_names(config: Config, tmp_path: Path) -> None:
    for call in (
        snapdir.tag("v1", "ab" * 32, "prog://somewhere", config=config),
        snapdir.tags("prog://somewhere", config=config),
        snapdir.delete_tag("v1", "prog://somewhere", config=config),
        snapdir.tag_log("v1", "prog://somewhere", config=config),
        snapdir.pull("v1", "prog://somewhere", tmp_path / "out", config=config),
    ):
        with pytest.raises(snapdir.InvalidStore, match="requires in-process stores"):
            await call


@pytest.mark.parametrize(
    ("text", "store", "name"),
    [
        ("s3://bucket/sets@v1", "s3://bucket/sets", "v1"),
        ("s3://bucket@latest", "s3://bucket", "latest"),
        ("s3://bucket/sets@team/v1", "s3://bucket/sets", "team/v1"),
        ("s3://bucket/a@b/sets@v1", "s3://bucket/a@b/sets", "v1"),
        ("./store@v1", None, "v1"),
        ("v1", "", "v1"),
        ("s3://bucket/a@b/", "s3://bucket/a@b", None),
        ("s3://bucket/sets@.hidden", "s3://bucket/sets@.hidden", None),
        ("s3://bucket/sets@1234", "s3://bucket/sets@1234", None),
        ("s3://KEY:SECRET@bucket/sets", "s3://KEY:SECRET@bucket/sets", None),
    ],
)
def test_a_name_after_the_last_at_sign(text: str, store: str | None, name: str | None) -> None:
    ref = parse_ref(text)
    assert ref.snapshot_id == name
    if store is not None:
        assert (str(ref.store) if ref.store else "") == store


async def test_stores_are_found_below_a_bucket(store: str, config: Config, tmp_path: Path) -> None:
    plant(tmp_path / "tree", "1")
    for prefix in ("datasets/a", "datasets/b", "runs/x/y/z"):
        await snapdir.push(tmp_path / "tree", f"{store}/{prefix}", config=config)
    assert await snapdir.ls(store, config=config) == []
    assert await snapdir.find_stores(store, config=config) == [
        f"{store}/datasets/a",
        f"{store}/datasets/b",
        f"{store}/runs/x/y/z",
    ]
    assert await snapdir.find_stores(f"{store}/runs", config=config) == [f"{store}/runs/x/y/z"]
    assert await snapdir.find_stores(f"{store}/datasets/a", config=config) == [f"{store}/datasets/a"]


async def test_the_search_for_stores_is_bounded(config: Config, tmp_path: Path) -> None:
    for number in range(1100):
        (tmp_path / "data" / f"class-{number:04}").mkdir(parents=True)
    counters = Counters()
    assert await snapdir.find_stores(f"file://{tmp_path}/data", config=config, counters=counters) == []
    assert "only 1,000 prefixes" in counters.warnings[0]


async def test_ls_and_log_list_the_newest_push_first(store: str, config: Config, tmp_path: Path) -> None:
    pushed = [
        await snapdir.push(plant(tmp_path / "tree", str(number)), store, config=config) for number in (0, 1, 2, 0)
    ]
    order = [pushed[0], pushed[2], pushed[1]]
    listed = await snapdir.ls(store, config=config)
    assert [summary.id for summary in listed] == order
    logged = await snapdir.log(store, config=config)
    assert [revision.id for revision in logged] == [*order, pushed[0]]
    assert [summary.pushed_at for summary in listed] == [revision.created_at for revision in logged[:3]]
    assert await snapdir.resolve_id("latest", store, config=config) == order[0]


async def test_a_snapshot_without_a_recorded_push_has_its_place_by_its_manifest(config: Config, tmp_path: Path) -> None:
    store, quiet = tmp_path / "store", replace(config, catalog=None, shared_catalog=False)
    first, alone, last = [
        await snapdir.push(plant(tmp_path / "tree", str(number)), str(store), config=used)
        for number, used in enumerate((config, quiet, config))
    ]
    for seconds, order in ((0, [last, first, alone]), (1 << 35, [alone, last, first])):  # years 1970 and 3058
        os.utime(store / manifest_key(alone), (seconds, seconds))
        listed = await snapdir.ls(str(store), config=config)
        assert [summary.id for summary in listed] == order
        assert [summary.pushed_at is None for summary in listed] == [snapshot_id == alone for snapshot_id in order]


async def test_list_snapshots_goes_by_manifests_oldest_first(config: Config, tmp_path: Path) -> None:
    store = tmp_path / "store"
    pushed = [
        await snapdir.push(plant(tmp_path / "tree", str(number)), str(store), config=config) for number in range(3)
    ]
    for seconds, snapshot_id in enumerate(reversed(pushed)):
        os.utime(store / manifest_key(snapshot_id), (seconds, seconds))
    assert [summary.id for summary in await snapdir.list_snapshots(str(store), config=config)] == pushed[::-1]


async def test_a_push_without_a_catalog_is_the_latest_one(store: str, tmp_path: Path) -> None:
    config, tree = Config(cache_dir=tmp_path / "cache"), tmp_path / "tree"
    first, second, again = [await snapdir.push(plant(tree, text), store, config=config) for text in ("1", "2", "1")]
    assert again == first
    counters = Counters()
    assert await snapdir.push(tree, store, config=config, counters=counters) == first
    assert [revision.id for revision in await snapdir.log(store, config=config)] == [first, second, first]
    assert await snapdir.resolve_id("latest", store, config=config) == first
    assert counters.warnings == []
    assert await snapdir.push_cached((await snapdir.stage(plant(tree, "3"), config=config)), store, config=config)
    assert len(await snapdir.log(store, config=config)) == 4
