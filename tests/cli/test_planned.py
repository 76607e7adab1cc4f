"""Dry runs count what the run then does, and write nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snapdir import Counters, blocking
from snapdir.config import Config
from snapdir.model.sizes import MIB
from tests.cli.conftest import cli
from tests.cli.demanding_s3 import STORE, Bucket

FILES = {"a.txt": b"alpha", "b/copy": b"alpha", "b/large": os.urandom(20 * MIB), "b/small": b"s" * 70_000, "empty": b""}
FEW_REQUESTS = 3
"""The estimate may be off by so many: how many streams bring a large object depends on the network."""


@pytest.fixture
def tree(isolated: Path) -> Path:
    for name, data in FILES.items():
        file = isolated / "tree" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return isolated / "tree"


@pytest.fixture(params=["directory", "bucket"])
def store(request: pytest.FixtureRequest, bucket: Bucket, isolated: Path) -> str:
    return STORE if request.param == "bucket" else str(isolated / "store")


@pytest.fixture
def config(isolated: Path) -> Config:
    return Config(cache_dir=isolated / "cache").with_options(catalog="default")


def state(isolated: Path, bucket: Bucket) -> dict[str, Any]:
    """Everything that a command could write: tree, stores, cache, history, destinations."""
    return {str(path): told for path, told in _told(isolated)} | dict(bucket.objects)


def _told(folder: Path) -> Iterator[tuple[Path, object]]:
    for path in folder.rglob("*"):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else None
        yield path, (status.st_mode, status.st_mtime_ns, status.st_ino, content)


def requests(bucket: Bucket, store: str) -> int:
    """Sent since the last call."""
    count = len(bucket.seen)
    bucket.seen.clear()
    return count if store == STORE else 0


def test_a_dry_push(tree: Path, store: str, config: Config, isolated: Path, bucket: Bucket) -> None:
    for change, sent in ((None, 3), (b"other", 1), (b"renamed", 1)):
        if change is not None:
            (tree / "a.txt").write_bytes(change)
        before, planned, done = state(isolated, bucket), Counters(), Counters()
        identifier = blocking.push(tree, store, dry_run=True, note="x", config=config, counters=planned)
        assert state(isolated, bucket) == before
        requests(bucket, store)
        assert blocking.push(tree, store, config=config, counters=done) == identifier
        assert (planned.snapshot_files, planned.snapshot_bytes) == (done.files_done, done.bytes_done)
        assert (planned.objects_to_send, planned.bytes_to_send) == (done.objects_sent, done.bytes_sent)
        assert abs(planned.requests_to_send - requests(bucket, store)) <= FEW_REQUESTS
        assert (planned.objects_sent, planned.bytes_sent) == (0, 0)
        assert done.objects_sent >= sent
    again = Counters()
    blocking.push(tree, store, dry_run=True, config=config, counters=again)
    assert (again.objects_to_send, again.bytes_to_send, again.warnings) == (0, 0, [])


def test_a_dry_recheck_sends_everything(tree: Path, store: str, config: Config) -> None:
    blocking.push(tree, store, config=config)
    planned = Counters()
    blocking.push(tree, store, recheck=True, dry_run=True, config=config, counters=planned)
    assert planned.objects_to_send == len(set(FILES.values()))


def test_a_dry_push_of_a_cached_snapshot(
    tree: Path, store: str, config: Config, isolated: Path, bucket: Bucket
) -> None:
    staged = blocking.stage(tree, config=config)
    before, planned, done = state(isolated, bucket), Counters(), Counters()
    blocking.push_cached(staged, store, dry_run=True, config=config, counters=planned)
    assert state(isolated, bucket) == before
    requests(bucket, store)
    blocking.push_cached(staged, store, config=config, counters=done)
    assert (planned.snapshot_files, planned.objects_to_send) == (len(FILES), done.objects_sent)
    assert planned.bytes_to_send == done.bytes_sent
    assert abs(planned.requests_to_send - requests(bucket, store)) <= FEW_REQUESTS


def test_a_dry_stage(tree: Path, config: Config, isolated: Path, bucket: Bucket) -> None:
    for _ in range(2):
        before, planned, done = state(isolated, bucket), Counters(), Counters()
        identifier = blocking.stage(tree, dry_run=True, config=config, counters=planned)
        assert state(isolated, bucket) == before
        assert blocking.stage(tree, config=config, counters=done) == identifier
        assert (planned.objects_to_send, planned.bytes_to_send) == (done.objects_sent, done.bytes_sent)
        assert planned.requests_to_send == 0


@pytest.mark.parametrize("part", [{}, {"include": ["b/"]}], ids=str)
def test_a_dry_fetch(
    part: dict[str, Any], tree: Path, store: str, config: Config, isolated: Path, bucket: Bucket
) -> None:
    pushed = blocking.push(tree, store, config=config)
    for _ in range(2):
        before = state(isolated, bucket)
        planned = blocking.fetch(pushed, store, dry_run=True, config=config, **part)
        assert state(isolated, bucket) == before
        requests(bucket, store)
        done = blocking.fetch(pushed, store, config=config, **part)
        assert (planned.files, planned.bytes) == (done.files, done.bytes)
        received = (done.objects_received, done.bytes_received)
        assert (planned.objects_to_fetch, planned.bytes_to_fetch) == received
        assert abs(planned.requests_to_send - requests(bucket, store)) <= FEW_REQUESTS
    assert (planned.objects_to_fetch, planned.requests_to_send) == (0, 0)


@pytest.mark.parametrize("how", [{}, {"cache": True}, {"cache": False}, {"linked": True}], ids=str)
def test_a_dry_pull(
    how: dict[str, Any], tree: Path, store: str, config: Config, isolated: Path, bucket: Bucket
) -> None:
    pushed = blocking.push(tree, store, config=config)
    out = Path("out")
    for _ in range(2):
        before = state(isolated, bucket)
        planned = blocking.pull(pushed, store, out, dry_run=True, delete=True, config=config, **how)
        assert state(isolated, bucket) == before
        requests(bucket, store)
        done = blocking.pull(pushed, store, out, delete=True, config=config, **how)
        assert (planned.id, planned.files, planned.bytes) == (done.id, done.files, done.bytes)
        assert (planned.replaced, planned.pruned, planned.extra) == (done.replaced, done.pruned, done.extra)
        received = (done.objects_received, done.bytes_received)
        assert (planned.objects_to_fetch, planned.bytes_to_fetch) == received
        assert abs(planned.requests_to_send - requests(bucket, store)) <= FEW_REQUESTS
        (out / "a.txt").unlink()
        (out / "a.txt").write_text("other")
        (out / "extra").touch()
    assert (planned.files_to_write, planned.replaced, planned.pruned) == (1, 1, ("./extra",))


def test_a_dry_checkout(tree: Path, config: Config, isolated: Path, bucket: Bucket) -> None:
    staged = blocking.stage(tree, config=config)
    Path("out/b").mkdir(parents=True)
    Path("out/b/large").write_text("other")
    before = state(isolated, bucket)
    planned = blocking.checkout(staged, "out", dry_run=True, config=config)
    assert state(isolated, bucket) == before
    assert (planned.files, planned.files_to_write, planned.replaced) == (len(FILES), len(FILES), 1)
    assert (planned.objects_to_fetch, planned.requests_to_send) == (0, 0)
    done = blocking.checkout(staged, "out", config=config)
    assert (planned.files, planned.bytes) == (done.files, done.bytes)


@pytest.mark.parametrize("every", [True, False])
def test_a_dry_sync(every: bool, tree: Path, store: str, config: Config, isolated: Path, bucket: Bucket) -> None:
    there = str(isolated / "mirror") if store == STORE else STORE
    config = replace(config, shared_catalog=False)  # the requests for the history do not count
    pushed = blocking.push(tree, store, config=config)

    def sync(*, dry_run: bool) -> Any:
        if every:
            return blocking.sync_all(store, there, dry_run=dry_run, config=config)
        return blocking.sync(pushed, store, there, dry_run=dry_run, config=config)

    for _ in range(2):
        before = state(isolated, bucket)
        planned = sync(dry_run=True)
        assert state(isolated, bucket) == before
        requests(bucket, STORE)
        done = sync(dry_run=False)
        assert (planned.files, planned.bytes) == (done.files, done.bytes)
        assert (planned.copied, planned.copied_bytes) == (done.copied, done.copied_bytes)
        assert abs(planned.requests_to_send - requests(bucket, STORE)) <= FEW_REQUESTS
        (tree / "a.txt").write_bytes(os.urandom(10))
        pushed = blocking.push(tree, store, config=config)


@pytest.mark.parametrize("word", ["--dryrun", "--dry-run"])
def test_the_counts_are_one_line(word: str, tree: Path, bucket: Bucket) -> None:
    run = cli("push", word, "--store", STORE, str(tree))
    assert run.stderr.splitlines()[0] == "dry-run: 5 files, 20.1 MiB; 4 objects, 20.1 MiB to send, about 11 requests"
    pushed = cli("push", "--store", STORE, str(tree)).stdout.strip()
    run = cli("pull", word, "--store", STORE, "--id", pushed, "out")
    wanted = "dry-run: 5 files, 20.1 MiB; 5 to write; 3 objects, 20.1 MiB to fetch, about 4 requests"
    assert run.stderr.splitlines()[0] == wanted
    assert cli("sync", word, "--from", STORE, "--to", "./m", "--all").stderr.splitlines()[0] == (
        "dry-run: 5 files, 20.1 MiB; 4 objects, 20.1 MiB to send, about 7 requests"
    )


def test_json_has_the_counts(tree: Path, bucket: Bucket) -> None:
    told = json.loads(cli("push", "--json", "--dry-run", "--store", STORE, str(tree)).stdout)
    size = sum(map(len, set(FILES.values())))
    assert (told["dry_run"], told["files"], told["sent"], told["sent_bytes"]) == (True, len(FILES), 4, size)
    assert told["requests"] > 4
    pushed = json.loads(cli("push", "--json", "--store", STORE, str(tree)).stdout)
    assert (pushed["dry_run"], pushed["sent"], pushed["sent_bytes"], pushed["requests"]) == (False, 4, size, 0)
    pull = ("pull", "--json", "--store", STORE, "--id", pushed["id"], "out")
    planned = json.loads(cli(*pull, "--dry-run").stdout)
    done = json.loads(cli(*pull).stdout)
    assert (planned["received"], planned["received_bytes"]) == (done["received"], done["received_bytes"]) == (3, size)


VERBS = [
    ["push", "--store", "STORE", "--note", "x", "--label", "a=b", "TREE"],
    ["push", "--store", "STORE", "--id", "ID"],
    ["stage", "TREE"],
    ["fetch", "--store", "STORE", "--id", "ID"],
    ["checkout", "--id", "ID", "out"],
    ["pull", "--store", "STORE", "--id", "ID", "out"],
    ["pull", "--store", "STORE", "--id", "ID", "--cache", "--delete", "out"],
    ["pull", "--store", "STORE", "--id", "ID", "--linked", "out"],
    ["sync", "--from", "STORE", "--to", "MIRROR", "--id", "ID"],
    ["sync", "--from", "STORE", "--to", "MIRROR", "--all", "--delete"],
]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
@pytest.mark.parametrize("warm", [True, False])
def test_a_dry_run_leaves_everything_as_it_is(
    verb: list[str], warm: bool, tree: Path, store: str, isolated: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with a cache and a history of this machine, or without any, and in a destination with other files."""
    staged = cli("stage", str(tree)).stdout.strip()
    cli("push", "--store", store, "--id", staged)
    Path("out/b").mkdir(parents=True)
    Path("out/b/small").write_text("mine")
    Path("out/extra").touch()
    needs_cache = verb[0] == "checkout" or (verb[0] == "push" and "--id" in verb)
    if not warm and not needs_cache:
        monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(isolated / "cold"))
    words = {"STORE": store, "TREE": str(tree), "ID": staged, "MIRROR": str(isolated / "mirror")}
    before = state(isolated, bucket)
    run = cli(*(words.get(word, word) for word in verb), "--dry-run")
    assert (run.code, run.stderr.splitlines()[-1].startswith(("dry-run", "would"))) == (0, True), run
    assert state(isolated, bucket) == before
