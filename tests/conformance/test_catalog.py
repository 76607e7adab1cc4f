"""CAT: the catalog."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.harness import NO_ID, Run, Shell, case, stored

QUERIES = (["revisions", "--location", "/x"], ["locations"], ["ancestors", "--id", NO_ID])


def rows(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.lines]


def edited(src: Path) -> Path:
    (src / "a.txt").write_text("edited")
    return src


@pytest.fixture
def db(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalog file of its own, named by the surroundings."""
    monkeypatch.setenv("SNAPDIR_CATALOG", str(place / "db"))
    return place / "db"


@case("CAT-01")
def test_a_push_is_recorded_at_its_store(sh: Shell, db: Path, store: str, pushed: str) -> None:
    (row,) = rows(sh.ok("locations"))
    assert list(row)[:3] == ["created_at", "id", "location"]
    assert (row["id"], row["location"]) == (pushed, store)
    (line,) = sh.ok("revisions", "--location", store).lines
    assert f'"id":"{pushed}","previous_id":null' in line


@case("CAT-02")
def test_a_second_push_follows_the_first(sh: Shell, db: Path, src: Path, store: str, pushed: str) -> None:
    second = sh.push(edited(src), store)
    found = rows(sh.ok("revisions", "--location", store))
    assert [(row["id"], row["previous_id"]) for row in found] == [(second, pushed), (pushed, None)]
    (row,) = rows(sh.ok("ancestors", "--id", second))
    assert list(row)[:3] == ["created_at", "id", "location"]
    assert (row["id"], row["location"]) == (pushed, store)


@case("CAT-01")
def test_a_store_is_one_location_in_every_spelling(sh: Shell, db: Path, src: Path, store: str, folder: Path) -> None:
    for spelling in (f"{store}/", str(folder), f"file:{folder}"):
        sh.push(src, spelling)
        assert [row["location"] for row in rows(sh.ok("locations"))] == [store]
        assert len(sh.ok("revisions", "--location", f"{store}/").lines) == 1


@case("CAT-02")
def test_ancestors_go_all_the_way_back(sh: Shell, db: Path, src: Path, store: str, pushed: str) -> None:
    second = sh.push(edited(src), store)
    (src / "a.txt").write_text("edited again")
    third = sh.push(src, store)
    assert [row["id"] for row in rows(sh.ok("ancestors", "--id", third))] == [second, pushed]
    assert [row["id"] for row in rows(sh.ok("ancestors", "--depth", "1", "--id", third))] == [second]


@case("CAT-03")
def test_unrecorded_locations_have_no_rows(sh: Shell, db: Path) -> None:
    assert sh.ok("revisions", "--location", "/unknown").out == ""
    assert "snapshot not found" in sh.fails("ancestors", "--id", NO_ID).err


@case("CAT-04")
@pytest.mark.parametrize("verb", ["manifest", "stage"])
def test_a_directory_is_recorded_by_its_absolute_path(verb: str, sh: Shell, src: Path, place: Path) -> None:
    named = ["--catalog", str(place / "db")]
    sh.ok(verb, *named, f"{src}/")
    assert [(row["id"], row["location"]) for row in rows(sh.ok("locations", *named))] == [(sh.id(src), str(src))]
    assert [row["id"] for row in rows(sh.ok("revisions", *named, "--location", src))] == [sh.id(src)]


@case("CAT-05")
def test_manifests_follow_each_other_like_pushes(sh: Shell, db: Path, src: Path) -> None:
    first = sh.id(src)
    sh.ok("manifest", src)
    sh.ok("manifest", edited(src))
    second = sh.id(src)
    found = rows(sh.ok("revisions", "--location", src))
    assert [(row["id"], row["previous_id"]) for row in found] == [(second, first), (first, None)]
    assert first in [row["id"] for row in rows(sh.ok("ancestors", "--id", second))]


@case("CAT-06")
@pytest.mark.parametrize("verb", ["manifest", "stage", "id"])
def test_recording_changes_no_output(verb: str, sh: Shell, src: Path, place: Path) -> None:
    assert sh.ok(verb, src, SNAPDIR_CATALOG=str(place / "db")) == sh.ok(verb, src)


@case("CAT-07")
def test_a_manifest_is_recorded_only_on_request(sh: Shell, src: Path, place: Path) -> None:
    sh.ok("manifest", src)
    assert stored(place / "cache") == set()
    assert sh.ok("locations").out == ""


@case("CAT-08")
def test_without_a_name_there_is_a_default_catalog(sh: Shell, src: Path, store: str, pushed: str, cache: Path) -> None:
    sh.ok("stage", src)
    assert list(cache.glob("default-catalog.*"))
    assert {row["location"] for row in rows(sh.ok("locations"))} == {store, str(src)}
    assert [row["id"] for row in rows(sh.ok("revisions", "--location", store))] == [pushed]
    second = sh.push(edited(src), store)
    assert pushed in [row["id"] for row in rows(sh.ok("ancestors", "--id", second))]


@case("CAT-09")
@pytest.mark.parametrize("name", ["none", ""])
def test_recording_can_be_turned_off(name: str, sh: Shell, src: Path, store: str, cache: Path) -> None:
    sh.ok("push", "--catalog", name, "--store", store, src)
    assert list(cache.glob("*catalog*")) == []
    assert sh.ok("locations").out == ""


@case("CAT-10")
@pytest.mark.parametrize("query", QUERIES)
def test_a_query_without_a_catalog_says_that_it_is_disabled(query: list[str], sh: Shell, place: Path) -> None:
    disabled = sh.ok(*query, "--catalog", "none")
    assert disabled.out == ""
    assert "disabled" in disabled.err
    assert "disabled" not in sh(*query, "--catalog", place / "db").err


@case("CAT-11")
def test_named_catalogs_are_independent(sh: Shell, src: Path, store: str, cache: Path) -> None:
    pushed = sh.ok("push", "--catalog", "foo", "--store", store, src).value
    staged = sh.ok("stage", src)
    assert list(cache.glob("foo-catalog.*"))
    assert [row["id"] for row in rows(sh.ok("revisions", "--catalog", "foo", "--location", store))] == [pushed]
    assert sh.ok("revisions", "--location", store).out == ""
    assert sh.ok("revisions", "--catalog", "foo", "--location", src).out == ""
    assert staged.value in sh.ok("revisions", "--location", src).out


@case("CAT-12")
def test_a_catalog_name_with_a_slash_is_a_file(sh: Shell, src: Path, store: str, place: Path) -> None:
    sh.ok("push", "--catalog", place / "my.redb", "--store", store, src)
    assert (place / "my.redb").is_file()
    assert sh.ok("revisions", "--catalog", place / "my.redb", "--location", store).lines
    assert sh.ok("locations").out == ""


@case("CAT-13")
def test_flags_override_the_environment_and_it_overrides_the_default(sh: Shell, src: Path, store: str) -> None:
    sh.ok("push", "--catalog", "flagcat", "--store", store, src, SNAPDIR_CATALOG="envcat")
    sh.ok("stage", src, SNAPDIR_CATALOG="envcat")
    found = {name: rows(sh.ok("locations", *args)) for name, args in CATALOGS.items()}
    assert {name: [row["location"] for row in found[name]] for name in found} == {
        "flag": [store],
        "env": [str(src)],
        "default": [],
    }
    assert rows(sh.ok("locations", SNAPDIR_CATALOG="envcat")) == found["env"]


CATALOGS = {"flag": ["--catalog", "flagcat"], "env": ["--catalog", "envcat"], "default": []}


@case("CAT-14")
def test_the_default_catalog_is_in_the_cache(sh: Shell, src: Path, store: str, place: Path) -> None:
    other = ["--cache-dir", str(place / "other")]
    pushed = sh.ok("push", *other, "--store", store, src).value
    assert [row["id"] for row in rows(sh.ok("revisions", *other, "--location", store))] == [pushed]
    assert sh.ok("revisions", "--location", store).out == ""


@case("CAT-15")
def test_defaults_shows_the_catalog(sh: Shell, cache: Path) -> None:
    (line,) = [line for line in sh.ok("defaults").lines if line.startswith("catalog ")]
    assert line.startswith(f"catalog {cache}/default-catalog.")
    assert line.endswith(" source=default")
    (line,) = [line for line in sh.ok("defaults", SNAPDIR_CATALOG="mine").lines if line.startswith("catalog ")]
    assert line.startswith(f"catalog {cache}/mine-catalog.")
    assert line.endswith(" source=env")
