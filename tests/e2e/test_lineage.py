"""A dataset, a filtered copy and a model: their lineage, shown on a machine that knows only the bucket."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from scripts.chromium import PROGRAMS, opened
from tests.e2e.conftest import Program
from tests.e2e.scripted_s3 import ScriptedS3
from tests.needed import needed
from tests.rclone_server import RcloneServer


class Story(NamedTuple):
    """Three snapshots in one store, and a machine that knows nothing but the store."""

    store: str
    v1: str
    v2: str
    model: str
    elsewhere: Program


def tell(program: Program, store: str) -> Story:
    """Push the three, then forget the machine they were pushed from."""
    data = program.folder / "data"
    data.mkdir()
    for number in range(6):
        (data / f"shard-{number}").write_text(f"pages {number}\n" * 100)
    v1 = program.id("push", "--store", store, "--note", "first export", "data")
    for number in (1, 4):
        (data / f"shard-{number}").unlink()
    v2 = program.id("push", "--store", store, "--derived-from", v1, "--note", "without duplicates", "data")
    model = program.folder / "model"
    model.mkdir()
    (model / "weights").write_bytes(bytes(range(256)) * 100)
    trained = program.id("push", "--store", store, "--derived-from", v2, "--label", "loss=2.07", "model")
    fresh = {"SNAPDIR_CACHE_DIR": str(program.folder / "fresh"), "HOME": str(program.folder / "nobody")}
    return Story(store, v1, v2, trained, replace(program, environment=program.environment | fresh))


@pytest.fixture
def s3_program(program: Program, s3_server: RcloneServer) -> Program:
    return replace(program, environment=program.environment | s3_server.environment)


@pytest.fixture
def story(s3_program: Program, s3_server: RcloneServer, tmp_path: Path) -> Story:
    return tell(s3_program, f"s3://{s3_server.bucket}/{tmp_path.name}")


def rows_of(story: Story, *args: str) -> list[dict[str, str]]:
    run = story.elsewhere(*args)
    assert (run.code, run.stderr) == (0, "")
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_the_bucket_alone_says_where_a_model_came_from(story: Story) -> None:
    rows = rows_of(story, "ancestors", "--id", story.model, "--store", story.store)
    assert {(row["id"], row["relation"]) for row in rows} >= {(story.v2, "derived"), (story.v1, "derived")}
    assert rows[0]["id"] == story.v2


def test_the_bucket_alone_says_what_was_made_of_a_dataset(story: Story) -> None:
    rows = rows_of(story, "descendants", "--id", story.v1, "--store", story.store)
    assert [row["id"] for row in rows if row["relation"] == "derived"] == [story.v2, story.model]


def test_the_bucket_alone_says_what_was_pushed_to_it_and_what_each_push_changed(story: Story) -> None:
    rows = rows_of(story, "log", "--json", story.store)
    assert [row["id"] for row in rows] == [story.model, story.v2, story.v1]
    assert [(row["added"], row["removed"]) for row in rows] == [(1, 4), (0, 2), (6, 0)]
    assert [row["note"] for row in rows] == [None, "without duplicates", "first export"]


def test_revisions_of_a_store_are_those_of_every_machine(story: Story) -> None:
    rows = rows_of(story, "revisions", "--location", story.store, "--store", story.store)
    assert [(row["id"], row["previous_id"]) for row in rows] == [
        (story.model, story.v2),
        (story.v2, story.v1),
        (story.v1, None),
    ]


def test_the_page_opens_in_a_browser_without_a_complaint(story: Story, tmp_path: Path) -> None:
    needed(*PROGRAMS)
    page = tmp_path / "lineage.html"
    run = story.elsewhere("ancestors", "--id", story.model, "--store", story.store, "--open-html", str(page))
    assert run.code == 0, run.stderr
    picture = tmp_path / "lineage.png"
    elements = opened(page, picture=picture)
    for words in (story.v1, story.v2, story.model, "without duplicates", "loss=2.07"):
        assert words in elements
    assert elements.count('<div class="row') == 3
    assert picture.read_bytes().startswith(b"\x89PNG")
    opened(page, dark=True)


def test_a_push_of_what_is_there_asks_no_more_than_before(program: Program, tree: Path) -> None:
    with ScriptedS3() as server:
        at = {"SNAPDIR_S3_STORE_ENDPOINT_URL": server.endpoint}
        program.id("push", "--store", "s3://bucket/prefix", str(tree), env=at)
        assert [path for path in server.objects if "/.catalog/" in path]
        server.requests.clear()
        program.id("push", "--store", "s3://bucket/prefix", str(tree), env=at)
        assert server.requests.total() <= 2


def test_a_changed_push_asks_two_more(program: Program, tree: Path) -> None:
    counts: list[int] = []
    for option in ([], ["--no-shared-catalog"]):
        shutil.rmtree(program.folder / "cache", ignore_errors=True)
        (tree / "new").unlink(missing_ok=True)
        with ScriptedS3() as server:
            at = {"SNAPDIR_S3_STORE_ENDPOINT_URL": server.endpoint}
            program.id("push", "--store", "s3://bucket/prefix", *option, str(tree), env=at)
            (tree / "new").write_text("more")
            server.requests.clear()
            program.id("push", "--store", "s3://bucket/prefix", *option, str(tree), env=at)
            counts.append(server.requests.total())
    assert counts[0] == counts[1] + 2


def test_many_pushers_of_one_store_lose_no_record(program: Program) -> None:
    def push(number: int) -> Callable[[], tuple[str, str]]:
        folder = program.folder / f"tree-{number}"
        folder.mkdir()
        (folder / "file").write_text(str(number))
        # Each with a catalog of its own, as on machines of their own.
        return program.start("push", "--store", "./store", "--catalog", f"./machine-{number}", str(folder)).communicate

    said = [wait() for wait in [push(number) for number in range(8)]]
    assert {stderr for _, stderr in said} == {""}
    run = program("log", "--json", "--catalog", "none", "./store")
    assert {json.loads(line)["id"] for line in run.stdout.splitlines()} == {stdout.strip() for stdout, _ in said}
