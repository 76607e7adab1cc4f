"""Many writers on one name, through faults: a short form of scripts/name_soak.py, with real requests."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import snapdir
from snapdir.config import Config
from tests.e2e.scripted_s3 import ScriptedS3

STORE = "s3://bucket/names"
WRITERS, ROUNDS = 12, 3


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(cache_dir=tmp_path / "cache").with_options(max_retries=20, max_jobs=4)


async def pushed(tmp_path: Path, config: Config) -> list[str]:
    ids = []
    for number in range(5):
        tree = tmp_path / f"tree-{number}"
        tree.mkdir()
        (tree / "number").write_text(str(number))
        ids.append(await snapdir.push(tree, STORE, config=config))
    return ids


async def write(ids: list[str], config: Config, acknowledged: list[tuple[int, str]]) -> None:
    for _ in range(ROUNDS):
        while True:
            current = await snapdir.resolve_id("counter", STORE, config=config)
            following = ids[(ids.index(current) + 1) % len(ids)]
            try:
                tag = await snapdir.tag("counter", following, STORE, expect=current, config=config)
            except snapdir.NameChanged:
                await asyncio.sleep(0)
            else:
                acknowledged.append((tag.sequence, tag.token))
                break


async def test_many_writers_on_one_name_lose_no_change(
    tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedS3(("slow-down", "reset", "lost"), share=0.05, seed=3, conditions="heeded") as server:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("SNAPDIR_S3_STORE_ENDPOINT_URL", server.endpoint)
        ids = await pushed(tmp_path, config)
        await snapdir.tag("counter", ids[0], STORE, config=config)
        acknowledged: list[tuple[int, str]] = []
        async with asyncio.TaskGroup() as group:
            for _ in range(WRITERS):
                group.create_task(write(ids, config, acknowledged))
        history = await snapdir.tag_log("counter", STORE, config=config)
        assert server.met["lost"]
    assert sorted(acknowledged) == [(tag.sequence, tag.token) for tag in reversed(history)][1:]
    assert [tag.sequence for tag in reversed(history)] == list(range(1, WRITERS * ROUNDS + 2))
    assert [tag.id for tag in reversed(history)] == [ids[n % len(ids)] for n in range(WRITERS * ROUNDS + 1)]
