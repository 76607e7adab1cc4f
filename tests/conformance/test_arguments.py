"""ARG: which verb takes which flag and variable."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.conformance.harness import NO_ID, Shell, case, plant
from tests.conformance.trees import TX


@pytest.fixture
def words(place: Path) -> Path:
    """The tree TX, under a path that none of its names matches."""
    return plant(place / "w", TX)


@pytest.mark.parametrize(
    ("verb", "flag", "value"),
    [
        pytest.param("id", "--jobs", "4", id="ARG-01"),
        pytest.param("manifest", "--limit-rate", "1M", id="ARG-02"),
        pytest.param("diff", "--walk-jobs", "2", id="ARG-04"),
        pytest.param("manifest", "--jobs", "2", id="ARG-05"),
        pytest.param("id", "--catalog", "./db", id="ARG-06"),
        pytest.param("id", "--paths", "x", id="ARG-08"),
        pytest.param("manifest", "--id", NO_ID, id="ARG-09"),
    ],
)
def test_a_flag_of_another_verb_is_refused(verb: str, flag: str, value: str, sh: Shell, src: Path) -> None:
    message = sh.refused(verb, flag, value, src).err
    assert message.startswith(f"error: unexpected argument '{flag}' found")
    assert f"snapdir {verb}" in message


@case("ARG-03")
def test_defaults_writes_nothing(sh: Shell) -> None:
    message = sh.refused("defaults", "--keep").err
    assert "--keep" in message
    assert "snapdir defaults" in message


@case("ARG-07")
@pytest.mark.parametrize("verb", ["id", "manifest", "defaults"])
def test_there_is_no_debug_flag(verb: str, sh: Shell) -> None:
    assert "--debug" in sh.refused(verb, "--debug").err


@case("ARG-10")
def test_a_variable_of_a_flag_that_the_verb_does_not_take_is_ignored(sh: Shell, src: Path) -> None:
    assert sh.ok("manifest", src, SNAPDIR_LIMIT_RATE="1M") == sh.ok("manifest", src)


@case("ARG-11")
@pytest.mark.parametrize("flag", [["--quiet"], ["--color", "auto"], ["--no-progress"], ["--verbose"]])
@pytest.mark.parametrize("verb", ["id", "manifest", "defaults"])
def test_every_verb_takes_the_universal_flags(verb: str, flag: list[str], sh: Shell, src: Path) -> None:
    sh.ok(verb, *flag, *([] if verb == "defaults" else [src]))


@case("ARG-12")
def test_a_bad_rate_is_refused_with_valid_examples_before_any_work(
    sh: Shell, src: Path, store: str, folder: Path
) -> None:
    message = sh.refused("push", "--store", store, "--limit-rate", "bogus", src).err
    assert all(example in message for example in ("10M", "512K", "1G"))
    assert not folder.exists()


@case("ARG-13")
def test_color_takes_three_values(sh: Shell, src: Path) -> None:
    sh.refused("id", "--color", "bogus", src)


@case("ARG-14")
def test_an_id_has_64_digits_and_is_stable(sh: Shell, src: Path) -> None:
    first = sh.ok("id", src)
    assert re.fullmatch(r"[0-9a-f]{64}\n", first.out)
    assert sh.ok("id", src) == first
    assert sh.ok("manifest", src).stdout


@case("ARG-15")
def test_a_catalog_may_be_named_where_something_is_recorded(sh: Shell, src: Path, store: str, place: Path) -> None:
    for verb in ("manifest", "stage"):
        catalog = place / f"{verb}.db"
        sh.ok(verb, "--catalog", catalog, src)
        assert [json.loads(line)["location"] for line in sh.ok("locations", "--catalog", catalog).lines] == [str(src)]
    sh.ok("push", "--store", store, "--catalog", place / "push.db", src)
    assert store in sh.ok("locations", "--catalog", place / "push.db").out


@case("ARG-16")
def test_id_records_nothing(sh: Shell, src: Path, place: Path) -> None:
    sh.ok("id", src, SNAPDIR_CATALOG=str(place / "db"))
    assert sh.ok("locations", "--catalog", place / "db").out == ""


@case("ARG-17")
def test_plumbing_commands_take_a_store(sh: Shell, store: str, pushed: str) -> None:
    for args in (["objects-needed"], ["send-pack", "--ids", "-"], ["receive-pack"]):
        assert sh.program(*args, "--store", store).code != 2
    assert sh.program("objects-needed", SNAPDIR_STORE=store).code == 0


@case("ARG-18")
def test_sync_takes_its_source_from_the_environment(sh: Shell, store: str, pushed: str, place: Path) -> None:
    copy = f"file://{place}/copy"
    sh.ok("sync", "--id", pushed, "--to", copy, SNAPDIR_STORE=store)
    sh.ok("pull", "--store", copy, "--id", pushed, place / "out")
    assert sh.id(place / "out") == pushed


@case("ARG-19")
def test_sync_without_a_source_names_the_missing_flag(sh: Shell, store: str) -> None:
    assert "--from" in sh.refused("sync", "--to", store).err


@case("ARG-20")
def test_sync_takes_its_target_from_the_command_line_only(sh: Shell, store: str) -> None:
    assert "--to" in sh.refused("sync", "--id", NO_ID, SNAPDIR_STORE=store).err


@case("ARG-21")
def test_jobs_and_walk_jobs_go_together_and_change_no_id(sh: Shell, src: Path, store: str) -> None:
    plain = sh.id(src)
    assert sh.ok("push", "--store", store, "--walk-jobs", "4", "--jobs", "2", src).value == plain
    assert sh.ok("id", src, SNAPDIR_WALK_JOBS="4", SNAPDIR_JOBS="2").value == plain


@case("ARG-22")
def test_flags_of_a_verb_come_after_it(sh: Shell, words: Path) -> None:
    sh.refused("--exclude", "alpha", "manifest", words)
    assert "gamma" not in sh.ok("manifest", "--exclude", "gamma", words).out


@case("ARG-23")
def test_excludes_may_be_listed_or_repeated(sh: Shell, words: Path) -> None:
    listed = sh.ok("manifest", "--exclude", "alpha,beta", "--exclude", "gamma", words)
    repeated = sh.ok("manifest", "--exclude", "alpha", "--exclude", "beta", "--exclude", "gamma", words)
    assert listed == repeated
    assert [line.split(" ")[-1] for line in listed.lines] == ["./", "./keep.txt"]


@case("ARG-24")
def test_macros_and_patterns_can_be_combined(sh: Shell, words: Path) -> None:
    plant(words, {"node_modules/pkg.txt": "pkg"})
    left = sh.ok("manifest", "--exclude", "%common%", "--exclude", "alpha", words).lines
    assert [line.split(" ")[-1] for line in left] == ["./", "./beta.txt", "./gamma.txt", "./keep.txt"]
