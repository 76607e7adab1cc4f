"""snapdir report: a store as one page and as JSON, whatever state the store is in."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

import snapdir
from snapdir import blocking
from snapdir.config import Config

from .conftest import Run, cli, program
from .demanding_s3 import Bucket

NOTE = "</script><script>alert('note')</script>"


def ok(*args: str) -> Run:
    run = cli(*args)
    assert run.code == 0, run.stderr
    return run


@pytest.fixture
def tree(isolated: Path) -> Path:
    folder = isolated / "tree"
    folder.mkdir()
    (folder / "a").write_text("one")
    return folder


def push_two(tree: Path, store: str) -> tuple[str, str]:
    """Two snapshots: the second has one file more, a note, a label, and a source."""
    first = ok("push", "--store", store, str(tree)).stdout.strip()
    (tree / "<b>").write_text("two!")
    said = ("--derived-from", first, "--note", NOTE, "--label", "loss=2.07")
    return first, ok("push", "--store", store, *said, str(tree)).stdout.strip()


def report(store: str, *args: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ok("report", store, "--json", *args).stdout)
    return found


def manifest_of(store: str, id_: str) -> Path:
    return Path(store, ".manifests", id_[:3], id_[3:6], id_[6:9], id_[9:])


def test_a_report_has_what_each_push_said_and_changed(tree: Path) -> None:
    first, second = push_two(tree, "./store")
    found = report("./store")
    assert found["store"] == f"file://{Path.cwd()}/store"
    newest, oldest = found["snapshots"]
    assert (newest["id"], newest["note"], newest["labels"], newest["names"]) == (second, NOTE, {"loss": "2.07"}, [])
    assert (newest["files"], newest["size"], newest["new"]) == (2, 7, 4)
    assert newest["changes"] == {
        "previous_id": first,
        "added": 1,
        "removed": 0,
        "modified": 0,
        "bytes_added": 4,
        "bytes_removed": 0,
        "listed": [{"status": "A", "path": "./<b>"}],
        "left_out": 0,
    }
    assert (oldest["id"], oldest["new"], oldest["changes"]["previous_id"]) == (first, 3, None)
    assert found["relations"] == [
        {"id": second, "of": first, "relation": "history"},
        {"id": second, "of": first, "relation": "derived"},
    ]
    assert found["total"] == {"snapshots": 2, "files": 3, "logical_bytes": 10, "objects": 2, "physical_bytes": 7}
    assert found["damaged"] == []


def test_a_page_is_one_file_in_which_names_and_notes_are_text(tree: Path) -> None:
    first, second = push_two(tree, "./store")
    run = ok("report", "./store", "--open-html", "page.html")
    assert (run.stdout, run.stderr) == ("", "wrote page.html\n")
    page = Path("page.html").read_text()
    assert first in page
    assert second in page
    assert page.count("<script") == 1
    assert "&lt;/script&gt;" in page
    assert "./&lt;b&gt;" in page
    assert os.listdir() == ["store", "page.html"] or sorted(os.listdir()) == ["page.html", "store"]


def test_page_and_json_come_together(tree: Path) -> None:
    push_two(tree, "./store")
    run = ok("report", "--store", "./store", "--json", "--open-html", "page.html")
    assert json.loads(run.stdout)["total"]["snapshots"] == 2
    assert Path("page.html").exists()


def test_without_a_page_or_json_the_command_says_what_it_takes(tree: Path) -> None:
    run = cli("report", "./store")
    assert run.code == 2
    assert "--open-html <FILE> or --json" in run.stderr
    assert cli("report", "--json").code == 1


@pytest.mark.parametrize("place", ["./store@{}", "{}", "."])
def test_a_report_is_of_a_store(tree: Path, place: str) -> None:
    first, _ = push_two(tree, "./store")
    run = cli("report", place.format(first), "--json")
    assert run.code == 1
    assert "is not a store" in run.stderr


def test_an_empty_store_is_a_page_that_says_so_and_a_missing_one_an_error() -> None:
    Path("empty").mkdir()
    run = ok("report", f"file://{Path.cwd()}/empty", "--open-html", "page.html")
    assert "no snapshots in" in run.stderr
    assert "No snapshots" in Path("page.html").read_text()
    run = cli("report", f"file://{Path.cwd()}/missing", "--open-html", "missing.html")
    assert run.code == 1
    assert "missing" in run.stderr
    assert not Path("missing.html").exists()


def test_a_damaged_manifest_is_named_in_the_page_and_on_stderr(tree: Path) -> None:
    first, second = push_two(tree, "./store")
    manifest_of("store", first).write_bytes(manifest_of("store", second).read_bytes())
    run = cli("report", "./store", "--json", "--open-html", "page.html")
    assert run.code == 1
    assert first in run.stderr
    found = json.loads(run.stdout)
    assert [(each["id"], each["error"]) for each in found["damaged"]] == [(first, "HASH_MISMATCH")]
    assert [each["size"] for each in found["snapshots"]] == [7, None]
    page = Path("page.html").read_text()
    assert "1 damaged snapshot<" in page
    assert first in page
    assert second in page
    manifest_of("store", second).write_text("garbage")
    run = program("report", "./store", "--open-html", "page.html")
    assert run.code == 1
    assert "2 failures" in run.stderr
    assert "2 damaged snapshots<" in Path("page.html").read_text()


def test_without_a_history_snapshots_are_listed_by_their_ids(tree: Path) -> None:
    first = ok("push", "--store", "./store", "--no-shared-catalog", "--catalog", "none", str(tree)).stdout.strip()
    found = report("./store", "--catalog", "none")
    assert [(each["id"], each["note"]) for each in found["snapshots"]] == [(first, None)]
    assert re.fullmatch(r"20\d\d-\d\d-\d\d .*", found["snapshots"][0]["created_at"])
    ok("report", "./store", "--catalog", "none", "--open-html", "page.html")
    assert "No history is recorded" in Path("page.html").read_text()


def test_a_page_replaces_a_file_when_it_is_whole_and_keeps_links_and_modes(tree: Path) -> None:
    push_two(tree, "./store")
    Path("pages").mkdir()
    real = Path("pages/real.html")
    real.write_text("old")
    real.chmod(0o640)
    Path("page.html").symlink_to(real)
    ok("report", "./store", "--open-html", "page.html")
    assert Path("page.html").is_symlink()
    assert "Snapshots" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o640
    assert os.listdir("pages") == ["real.html"]


def test_a_page_that_cannot_be_written_is_named(tree: Path) -> None:
    push_two(tree, "./store")
    for name in ("no/such/page.html", "store", "n" * 300):
        run = cli("report", "./store", "--open-html", name)
        assert run.code == 1
        assert name in run.stderr


def test_a_page_may_go_to_a_device(tree: Path) -> None:
    push_two(tree, "./store")
    run = program("report", "./store", "--open-html", "/dev/stdout")
    assert run.code == 0
    assert run.stdout.startswith("<!doctype html>")


def test_a_bucket_is_a_store_too(tree: Path, bucket: Bucket) -> None:
    first, second = push_two(tree, "s3://bucket/sets")
    found = report("s3://bucket/sets", "--catalog", "none")
    assert [(each["id"], each["note"]) for each in found["snapshots"]] == [(second, NOTE), (first, None)]
    assert found["store"] == "s3://bucket/sets"
    assert found["total"]["physical_bytes"] == 7


def test_in_python_a_report_is_a_value(tree: Path, isolated: Path) -> None:
    first, second = push_two(tree, "./store")
    found = blocking.report("./store", config=Config(cache_dir=isolated / "other"))
    assert isinstance(found, snapdir.StoreReport)
    assert [each.id for each in found.snapshots] == [second, first]
    changes = found.snapshots[0].changes
    assert changes is not None
    assert [(each.status, each.path) for each in changes.listed] == [("A", "./<b>")]
    found.require_sound()
    with pytest.raises(AttributeError):
        found.store = "other"  # type: ignore[misc]
    manifest_of("store", first).write_text("garbage")
    damaged = blocking.report("./store", config=Config(cache_dir=isolated / "other"))
    with pytest.raises(snapdir.InvalidManifest):
        damaged.require_sound()
