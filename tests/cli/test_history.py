"""The history on the command line: which commands record what, and how it is queried."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import ID, OTHER_ID, FakeVerbs, Run, cli, heed_modes, program

DEFAULT = "cache/default-catalog.sqlite3"


@pytest.fixture
def source(isolated: Path) -> Path:
    tree = isolated / "src"
    tree.mkdir()
    (tree / "a.txt").write_text("hello")
    return tree


@pytest.fixture
def store(isolated: Path) -> str:
    return f"file://{isolated}/store"


@pytest.fixture
def push(source: Path, store: str) -> Callable[..., str]:
    """Push the tree with this content and these flags; the id."""

    def pushed(content: str = "hello", *flags: str) -> str:
        (source / "a.txt").write_text(content)
        return ok("push", "--store", store, *flags, str(source)).stdout.strip()

    return pushed


def ok(*args: str) -> Run:
    run = cli(*args)
    assert run.code == 0, run.stderr
    return run


def rows(*args: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ok(*args).stdout.splitlines()]


def ids(*args: str) -> list[str]:
    return [row["id"] for row in rows(*args)]


def test_a_push_is_recorded_at_its_store(push: Callable[..., str], store: str) -> None:
    pushed = push()
    (location,) = rows("locations")
    assert (location["id"], location["location"]) == (pushed, store)
    (revision,) = rows("revisions", "--location", store)
    assert (revision["id"], revision["previous_id"]) == (pushed, None)


def test_lines_are_compact_with_their_keys_in_order(push: Callable[..., str], store: str) -> None:
    first, second = push("one"), push("two")
    (line,) = ok("locations").stdout.splitlines()
    moment = json.loads(line)["created_at"]
    assert line == f'{{"created_at":"{moment}","id":"{second}","location":"{store}"}}'
    line = ok("revisions", "--store", store).stdout.splitlines()[0]
    assert line == f'{{"created_at":"{moment}","id":"{second}","previous_id":"{first}"}}'
    line = ok("ancestors", "--id", second).stdout.strip()
    assert line == (
        f'{{"created_at":"{moment}","id":"{first}","location":"{store}",'
        f'"relation":"history","of":"{second}","depth":1}}'
    )


@pytest.mark.parametrize("spelling", ["{store}/", "{path}", "./store", "file:{path}"])
def test_one_store_is_one_location_however_it_is_spelled(
    push: Callable[..., str], source: Path, isolated: Path, store: str, spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = push("one")
    monkeypatch.chdir(isolated)
    spelt = spelling.format(store=store, path=isolated / "store")
    (source / "a.txt").write_text("two")
    second = ok("push", "--store", spelt, str(source)).stdout.strip()
    assert ids("revisions", "--location", spelt) == [second, first]
    assert ids("revisions", "--store", spelt) == [second, first]


def test_filters_of_locations_work(push: Callable[..., str], source: Path, store: str) -> None:  # DER-22, ours
    pushed = push()
    ok("stage", str(source))
    assert [row["location"] for row in rows("locations")] == [str(source), store]
    assert [row["location"] for row in rows("locations", "--location", f"{source}/")] == [str(source)]
    assert [row["location"] for row in rows("locations", "--store", f"{store}/")] == [store]
    assert len(rows("locations", "--id", pushed)) == 2
    assert rows("locations", "--id", OTHER_ID) == []


def test_the_stores_variable_filters_no_locations(
    push: Callable[..., str], store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    push()
    monkeypatch.setenv("SNAPDIR_STORE", "s3://elsewhere")
    assert len(rows("locations")) == 1
    monkeypatch.setenv("SNAPDIR_STORE", store)
    assert len(rows("revisions")) == 1  # DER-20


def test_what_reads_only_is_never_recorded(
    push: Callable[..., str], source: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = push("hello", "--catalog", "none")
    monkeypatch.setenv("SNAPDIR_CATALOG", "seen")
    for args in (
        ["id", str(source)],
        ["fetch", "--store", store, "--id", pushed],
        ["pull", "--store", store, "--id", pushed, "out"],
        ["checkout", "--id", pushed, "again"],
        ["verify", "--store", store, "--id", pushed],
        ["sync", "--from", store, "--to", "./copy", "--id", pushed],
        ["push", "--dryrun", "--store", store, str(source)],
        ["push", "--dryrun", "--store", store, "--id", pushed],
        ["stage", "--dryrun", str(source)],
    ):
        ok(*args)
    assert rows("locations") == []


def test_a_manifest_is_recorded_in_a_catalog_that_was_named(source: Path, isolated: Path) -> None:
    plain = ok("manifest", "--index-size", "0", str(source)).stdout
    assert not (isolated / "cache").exists()
    assert ok("manifest", "--catalog", "mine", str(source)).stdout == plain
    (row,) = rows("locations", "--catalog", "mine")
    assert row["location"] == str(source)
    assert row["id"] == ok("id", str(source)).stdout.strip()


def test_a_cached_snapshot_that_is_pushed_by_its_id_is_recorded(source: Path, store: str) -> None:
    staged = ok("stage", str(source)).stdout.strip()
    ok("push", "--store", store, "--id", staged, "--note", "by id")
    (row,) = rows("revisions", "--store", store)
    assert (row["id"], row["note"]) == (staged, "by id")


def test_an_empty_variable_keeps_no_history(
    push: Callable[..., str], isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAPDIR_CATALOG", "")
    push()
    assert not (isolated / DEFAULT).exists()
    assert "disabled" in ok("locations").stderr


@pytest.mark.parametrize("args", [["locations"], ["revisions"], ["ancestors"], ["descendants"]])
def test_without_a_catalog_there_is_nothing_to_ask(args: list[str]) -> None:  # CAT-10
    run = ok(*args, "--catalog", "none")
    assert run.stdout == ""
    assert run.stderr == "catalog disabled (--catalog none): nothing to query\n"


@pytest.mark.parametrize("verb", ["ancestors", "descendants"])
def test_an_id_is_needed(verb: str) -> None:  # DER-21
    run = cli(verb)
    assert (run.code, run.stdout, run.stderr) == (1, "", "error: missing --id option\n")


def test_a_location_is_needed() -> None:  # DER-20
    run = cli("revisions")
    assert (run.code, run.stderr) == (1, "error: missing --location option\n")


def test_provenance_is_kept_and_no_part_of_the_id(push: Callable[..., str], store: str) -> None:
    plain = push("data", "--catalog", "none", "--no-shared-catalog")
    given = ("--derived-from", ID, "--unchecked", "--note", "from 1,\nfiltered", "--label", "lang=en", "--label", "v=")
    assert push("data", *given) == plain
    (row,) = rows("revisions", "--store", store)
    assert list(row) == ["created_at", "id", "previous_id", "derived_from", "note", "labels"]
    assert row["derived_from"] == [ID]
    assert row["note"] == "from 1,\nfiltered"
    assert row["labels"] == {"lang": "en", "v": ""}


def test_provenance_of_a_snapshot_that_is_there_already_is_news(push: Callable[..., str], store: str) -> None:
    pushed = push()
    push()
    push("hello", "--note", "the good one")
    assert [(row["id"], row["previous_id"]) for row in rows("revisions", "--store", store)] == [
        (pushed, pushed),
        (pushed, None),
    ]
    assert rows("ancestors", "--id", pushed) == []


def test_sources_come_from_a_file_too(push: Callable[..., str], store: str) -> None:
    Path("sources").write_text(f"# datasets\n{ID}\n\n  {OTHER_ID.upper()}  \n{ID}\n")
    push("hello", "--derived-from", "@sources", "--unchecked")
    (row,) = rows("revisions", "--store", store)
    assert row["derived_from"] == [ID, OTHER_ID]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--derived-from", "garbage"], "unknown snapshot: 'garbage'"),
        (["--derived-from", "@absent"], "absent: No such file"),
        (["--derived-from", "@."], "Is a directory"),
        (["--note", "x" * 4001], "the note has 4,001 characters; 4,000 are allowed"),
        (["--label", "k=" + "x" * 1001], "the label 'k' has 1,001 characters"),
    ],
)
def test_bad_provenance_is_told_before_anything_is_sent(
    source: Path, store: str, isolated: Path, flags: list[str], said: str
) -> None:
    run = cli("push", "--store", store, *flags, str(source))
    assert (run.code, run.stdout) == (1, "")
    assert said in run.stderr
    assert run.stderr.count("\n") == 1
    assert not (isolated / "store").exists()


def test_provenance_without_a_catalog_goes_into_the_store(source: Path, store: str, isolated: Path) -> None:
    run = ok("push", "--store", store, "--catalog", "none", "--note", "x", str(source))
    assert run.stderr == ""
    (record,) = (isolated / "store").glob(".catalog/*/*/*.json")
    assert json.loads(record.read_text())["note"] == "x"
    assert not list((isolated / "cache").glob("*.sqlite3"))


@pytest.mark.parametrize(
    "flags", [["stage"], ["push", "--no-shared-catalog", "--store", "./store"]], ids=["stage", "push"]
)
def test_provenance_that_no_history_can_keep_is_an_error(source: Path, isolated: Path, flags: list[str]) -> None:
    run = cli(*flags, "--catalog", "none", "--note", "x", str(source))
    assert (run.code, run.stdout) == (2, "")
    assert "--catalog" in run.stderr
    assert run.stderr.count("\n") == 1
    assert not (isolated / "cache/.objects").exists()


def test_the_lineage_of_a_model_leads_to_its_datasets_and_back(push: Callable[..., str], isolated: Path) -> None:
    first, filtered = push("one"), push("two", "--note", "filtered")
    model_tree = isolated / "model"
    model_tree.mkdir()
    (model_tree / "weights").write_text("w")
    flags = ("--derived-from", filtered)
    model = ok("push", "--store", f"{isolated}/models", *flags, str(model_tree)).stdout.strip()

    found = [(row["id"], row["of"], row["relation"], row["depth"]) for row in rows("ancestors", "--id", model)]
    assert found == [(filtered, model, "derived", 1), (first, filtered, "history", 2)]
    assert ids("ancestors", "--id", model, "--depth", "1") == [filtered]
    found = [(row["id"], row["of"], row["relation"], row["depth"]) for row in rows("descendants", "--id", first)]
    assert found == [(filtered, first, "history", 1), (model, filtered, "derived", 2)]
    assert ids("ancestors", "--id", model, "--location", f"{isolated}/models") == [filtered]
    assert ids("ancestors", "--id", model[:10]) == [filtered, first]
    for shape, begins in {"dot": "digraph", "mermaid": "flowchart"}.items():
        drawn = ok("ancestors", "--id", model, "--format", shape).stdout
        assert drawn.startswith(begins)
        assert "filtered" in drawn
        assert all(known[:12] in drawn for known in (first, filtered, model))


def test_a_table_is_tsv_where_nobody_looks(push: Callable[..., str], store: str) -> None:
    first = push("one")
    second = push("two", "--note", "a\tb", "--label", "k=v")
    lines = [line.split("\t") for line in ok("revisions", "--store", store, "--format", "table").stdout.splitlines()]
    assert lines[0] == ["created_at", "id", "previous_id", "derived_from", "note", "labels"]
    assert lines[1][1:] == [second, first, "", "a\\tb", "k=v"]
    lines = [line.split("\t") for line in ok("locations", "--format", "table").stdout.splitlines()]
    assert lines[1][1:] == [second, store]
    lines = [line.split("\t") for line in ok("ancestors", "--id", second, "--format", "table").stdout.splitlines()]
    assert lines[1][:5] == ["1", "history", first, second, store]
    assert ok("locations", "--json").stdout == ok("locations", "--format", "json").stdout


def test_the_id_is_printed_before_the_history_is_written(push: Callable[..., str], verbs: FakeVerbs) -> None:
    """Whatever the catalog does then, the id is out: here the program is killed instead of recording."""
    patch = """
import os, snapdir.catalog.catalog as catalog
catalog.Catalog = lambda *_, **__: os._exit(9)
"""
    tree = Path("tree")
    tree.mkdir()
    run = program("push", "--store", "./s", "tree", patch=patch)
    assert run.code == 9
    assert len(run.stdout) == 65


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catalogs do not wait for other processes."""
    defaults = {"lock_seconds": 0.01, "reading": False}
    monkeypatch.setattr("snapdir.catalog.catalog.Catalog.__init__.__kwdefaults__", defaults)


def locked(file: Path) -> sqlite3.Connection:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    return other


def test_a_locked_catalog_is_one_warning(
    push: Callable[..., str], source: Path, store: str, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = push()
    monkeypatch.setattr(
        "snapdir.catalog.catalog.Catalog.__init__.__kwdefaults__", {"lock_seconds": 0.01, "reading": False}
    )
    other = locked(isolated / DEFAULT)
    (source / "a.txt").write_text("new")
    run = ok("push", "--store", store, str(source))
    other.close()
    assert run.stdout.strip() == ok("id", str(source)).stdout.strip()
    assert run.stderr.count("\n") == 1
    assert run.stderr.startswith("warning: ")
    assert "locked" in run.stderr
    assert ids("revisions", "--location", store) == [pushed]


def damaged(file: Path) -> None:
    file.write_bytes(b"no database at all" * 1000)


def directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def read_only(file: Path) -> None:
    """A file where the catalog's folder would be: unlike modes it also stops root."""
    shutil.rmtree(file.parent)
    file.parent.write_text("")


@pytest.mark.parametrize("spoil", [damaged, directory, read_only])
@pytest.mark.parametrize("verb", ["push", "manifest"])
def test_a_catalog_that_cannot_be_used_is_one_warning(
    push: Callable[..., str], source: Path, store: str, isolated: Path, spoil: Callable[[Path], None], verb: str
) -> None:
    folder = isolated / "catalogs"
    folder.mkdir()
    file = folder / "c.sqlite3"
    push("hello", "--catalog", str(file))
    spoil(file)
    (source / "a.txt").write_text("new")
    where = ["--store", store] if verb == "push" else []
    run = ok(verb, *where, "--catalog", str(file), str(source))
    assert run.stdout == ok(verb, *where, "--catalog", "none", str(source)).stdout
    assert run.stderr.count("\n") == 1
    assert run.stderr.startswith("warning: ")
    assert str(file) in run.stderr
    query = cli("locations", "--catalog", str(file))
    assert (query.code, query.stdout) == (1, "")
    assert str(file) in query.stderr
    assert query.stderr.count("\n") == 1


def test_a_folder_nobody_may_write_to_is_one_warning(source: Path, isolated: Path) -> None:
    folder = isolated / "sealed"
    folder.mkdir(mode=0o555)
    file = folder / "c.sqlite3"
    run = program("manifest", "--catalog", str(file), str(source), preexec_fn=heed_modes)
    assert (run.code, run.stdout) == (0, ok("manifest", str(source)).stdout)
    assert run.stderr.startswith("warning: ")
    assert run.stderr.count("\n") == 1
    assert str(file) in run.stderr
    assert not file.exists()


def test_a_catalog_that_may_not_be_written_can_still_be_asked(push: Callable[..., str], isolated: Path) -> None:
    folder = isolated / "catalogs"
    file = folder / "c.sqlite3"
    pushed = push("hello", "--catalog", str(file))
    file.chmod(0o444)
    folder.chmod(0o555)
    run = program("locations", "--catalog", str(file), preexec_fn=heed_modes)
    folder.chmod(0o755)
    assert run.code == 0, run.stderr
    assert pushed in run.stdout


def test_flushing_the_cache_keeps_the_history(push: Callable[..., str], source: Path) -> None:  # DER-19, ours
    push()
    ok("stage", str(source))
    before = ok("locations").stdout
    ok("flush-cache")
    ok("flush-cache")
    assert ok("locations").stdout == before
