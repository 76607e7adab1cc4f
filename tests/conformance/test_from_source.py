"""DER: behaviour that the checklist reads from the source of the reference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import on_terminal
from tests.conformance.harness import NO_ID, Shell, case, digest_of, files, manifests, objects, plant, sharded, unlock
from tests.conformance.trees import TB

HELLO = digest_of("hello")


def last_line(text: str) -> str:
    """What a dry run says after its counts."""
    return text.splitlines(keepends=True)[-1]


def edited(src: Path) -> Path:
    (src / "a.txt").write_text("edited")
    return src


@pytest.fixture
def staged(sh: Shell, src: Path) -> str:
    """The id of T1, which the cache has."""
    return sh.ok("stage", src).value


@pytest.fixture
def damaged(staged: str, cache: Path) -> Path:
    """The cached object of a.txt, with other bytes."""
    unlock(cache / ".objects" / sharded(HELLO), "HELLO")
    return cache / ".objects" / sharded(HELLO)


@case("DER-01")
def test_without_a_verb_help_goes_to_stderr(sh: Shell) -> None:
    done = sh()
    assert (done.code, done.out) == (2, "")
    assert done.err == sh.ok("--help").out


@case("DER-02")
def test_universal_flags_may_come_before_or_after_the_verb(sh: Shell, src: Path) -> None:
    for args in (["--quiet", "id", src], ["id", src, "--quiet"], ["id", "-q", src]):
        assert sh.ok(*args).value == sh.id(src)


@case("DER-03")
def test_an_option_with_one_value_cannot_be_repeated(sh: Shell, src: Path, store: str) -> None:
    assert "--store" in sh.refused("push", "--store", store, "--store", "file:///other", src).err


@case("DER-04")
def test_an_unknown_checksum_is_refused(sh: Shell, src: Path) -> None:
    message = sh.fails("manifest", "--checksum-bin", "sha1sum", src).err
    assert message.startswith("unsupported --checksum-bin 'sha1sum'")


@case("DER-08")
def test_a_dry_push_prints_its_target(sh: Shell, src: Path, store: str) -> None:
    done = sh.ok("push", "--dryrun", "--store", store, src)
    assert last_line(done.err) == f"dry-run: would push {sh.id(src)} to {store} (no writes performed)\n"
    assert sh.ok("push", "-q", "--dryrun", "--store", store, src).err == ""


@case("DER-08")
@pytest.mark.parametrize("store", ["file://rel/dir", "no store", "gs://bucket", "s3://bucket", "notaproto://x"])
def test_a_dry_push_opens_the_store(store: str, sh: Shell, src: Path) -> None:
    nobody = {"SNAPDIR_S3_STORE_ENDPOINT_URL": "http://127.0.0.1:9", "SNAPDIR_MAX_RETRIES": "1"}
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
    message = sh.fails("push", "--dryrun", "--store", store, src, **nobody, **keys).err
    assert store in message
    assert "would push" not in message


@case("DER-08")
def test_a_dry_push_of_a_cached_snapshot_opens_the_store(sh: Shell, src: Path, staged: str, place: Path) -> None:
    (place / "file").touch()
    assert "not a directory" in sh.fails("push", "--dryrun", "--store", place / "file", "--id", staged).err


@case("DER-09")
def test_a_dry_stage_prints_its_target(sh: Shell, src: Path) -> None:
    message = sh.ok("stage", "--dryrun", src).err
    assert last_line(message) == f"dry-run: would stage {sh.id(src)} into the local cache (no writes performed)\n"
    assert sh.ok("stage", "--dryrun", "-q", src).err == ""


@case("DER-10")
def test_a_dry_fetch_looks_for_the_manifest(sh: Shell, pushed: str, store: str) -> None:
    fetch = ["fetch", "--dryrun", "--store", store, "--id"]
    message = sh.ok(*fetch, pushed).err
    assert last_line(message) == f"dry-run: would fetch {pushed} into the local cache (no writes performed)\n"
    assert sh.ok(*fetch, pushed, "-q").err == ""
    sh.fails(*fetch, NO_ID)


@case("DER-11")
def test_a_dry_checkout_fails_where_a_checkout_fails(sh: Shell, staged: str, dest: Path) -> None:
    done = sh.ok("checkout", "--dryrun", "--id", staged, dest)
    assert last_line(done.err) == f"dry-run: would check out {staged} to {dest} (no writes performed)\n"
    assert sh.ok("checkout", "-q", "--dryrun", "--id", staged, dest).err == ""
    assert sh.fails("checkout", "--dryrun", "--id", NO_ID, dest).err == sh.fails("checkout", "--id", NO_ID, dest).err


@case("DER-12")
def test_a_dry_mirror_from_a_cold_cache_lists_the_paths_it_would_remove(
    sh: Shell, pushed: str, store: str, cache: Path, dest: Path
) -> None:
    plant(dest, {"a.txt": "hello", "extra/file": "x"})
    before = files(cache)
    done = sh.ok("pull", "--delete", "--dryrun", "--store", store, "--id", pushed, dest)
    assert done.lines == ["would delete: ./extra/file", "would delete: ./extra/"]
    assert (files(dest), files(cache)) == ({"a.txt", "extra/file"}, before)


@case("DER-13")
def test_fetch_reports_what_it_saved(sh: Shell, pushed: str, store: str) -> None:
    done = sh.ok("fetch", "--verbose", "--store", store, "--id", pushed)
    assert done.out == ""
    assert f"SAVED: {pushed}\n" in done.err


@case("DER-14")
def test_verify_finds_damaged_and_missing_objects(sh: Shell, pushed: str, store: str, folder: Path) -> None:
    verify = ["verify", "--store", store, "--id", pushed]
    sound = sh.ok(*verify)
    assert (sound.out, sound.err) == ("", "")
    object_file = folder / ".objects" / sharded(HELLO)
    unlock(object_file, "HELLO")
    assert HELLO in sh.fails(*verify).err
    object_file.unlink()
    assert sharded(HELLO) in sh.fails(*verify).err
    (folder / ".manifests" / sharded(pushed)).unlink()
    assert pushed in sh.fails(*verify).err


@case("DER-15")
def test_a_dry_purge_keeps_the_object(sh: Shell, damaged: Path) -> None:
    message = sh.fails("verify-cache", "--purge", "--dryrun").err
    assert message.startswith("dry-run: would purge corrupt objects from the cache (no writes performed)\n")
    assert damaged.exists()


@case("DER-16")
def test_a_purge_names_the_removed_object_and_how_to_restore_it(sh: Shell, staged: str, damaged: Path) -> None:
    assert sh.ok("verify-cache", "--purge", "--verbose").err.splitlines() == [
        f"Checksum mismatch for {HELLO}",
        f"purged {HELLO}",
        f"removed object {HELLO} for ./a.txt of snapshot {staged}: `snapdir fetch --id {staged}` brings it back",
        "snapdir: purged 1 corrupt object(s); everything else in the cache is sound",
    ]


@case("DER-17")
def test_verify_cache_fails_for_an_id_that_is_not_cached(sh: Shell, staged: str) -> None:
    assert sh.fails("verify-cache", "--id", NO_ID).err.startswith(f"reading cached manifest {NO_ID}: ")


@case("DER-18")
@pytest.mark.parametrize("flags", [[], ["-q"]])
def test_a_dry_flush_prints_even_with_quiet(flags: list[str], sh: Shell, staged: str, cache: Path) -> None:
    message = sh.ok("flush-cache", "--dryrun", *flags).err
    assert message == f"dry-run: would flush the cache at {cache} (no writes performed)\n"


@case("DER-19")
def test_flush_cache_keeps_the_catalogs(sh: Shell, src: Path, staged: str, cache: Path) -> None:
    sh.ok("stage", "--catalog", "named", src)
    before = sh.ok("locations"), sh.ok("locations", "--catalog", "named")
    assert all(run.out for run in before)
    sh.ok("flush-cache")
    assert objects(cache) == manifests(cache) == set()
    assert (sh.ok("locations"), sh.ok("locations", "--catalog", "named")) == before


@case("DER-20")
def test_revisions_need_a_location_or_a_store(sh: Shell, pushed: str, store: str) -> None:
    assert sh.fails("revisions").err.startswith("missing --location option")
    for done in (sh.ok("revisions", SNAPDIR_STORE=store), sh.ok("revisions", "--store", store)):
        assert pushed in done.out


@case("DER-21")
def test_ancestors_need_an_id(sh: Shell) -> None:
    assert sh.fails("ancestors").err.startswith("missing --id option")


@case("DER-22")
def test_locations_apply_their_filters(sh: Shell, src: Path, pushed: str, store: str) -> None:
    sh.ok("stage", edited(src))
    found = {
        flags: [json.loads(line)["location"] for line in sh.ok("locations", *flags).lines]
        for flags in ((), ("--location", str(src)), ("--id", pushed), ("--store", store), ("--location", "/else"))
    }
    assert list(found.values()) == [[str(src), store], [str(src)], [store], [store], []]


@case("DER-23")
def test_pushing_the_same_tree_again_adds_no_revision(sh: Shell, src: Path, pushed: str, store: str) -> None:
    sh.push(src, store)
    assert len(sh.ok("revisions", "--location", store).lines) == 1


@case("DER-24")
def test_a_tree_that_returns_after_another_is_a_revision(sh: Shell, src: Path, store: str) -> None:
    first = sh.push(src, store)
    second = sh.push(edited(src), store)
    (src / "a.txt").write_text("hello")
    assert sh.push(src, store) == first
    revisions = [json.loads(line) for line in sh.ok("revisions", "--location", store).lines]
    assert [(row["id"], row["previous_id"]) for row in revisions] == [(first, second), (second, first), (first, None)]
    assert json.loads(sh.ok("ancestors", "--id", first).lines[0])["id"] == second


@case("DER-29")
def test_a_complete_cache_needs_no_store(sh: Shell, staged: str, dest: Path) -> None:
    sh.ok("pull", "--id", staged, dest)
    assert sh.id(dest) == staged


@case("DER-30")
def test_a_path_takes_precedence_over_an_id(sh: Shell, src: Path, staged: str, store: str, folder: Path) -> None:
    pushed = sh.ok("push", "--store", store, "--id", staged, edited(src)).value
    assert pushed == sh.id(src) != staged
    assert manifests(folder) == {pushed}


@case("DER-31")
def test_a_terminal_is_not_read_as_a_manifest() -> None:
    screen = on_terminal("id", stdin=True)
    assert (screen.code, screen.stdout) == (1, b"")
    assert "no directory given and no manifest on stdin; pass a PATH (or `.`), or pipe a manifest" in screen.drawn


@case("DER-32")
def test_an_empty_store_argument_is_refused(sh: Shell, src: Path) -> None:
    assert "invalid store protocol" in sh.fails("push", "--store", "", src).err


@case("DER-33")
@pytest.mark.parametrize("value", ["1", "0", "true", "false", "yes", "no", ""])
def test_switches_accept_the_usual_words(value: str, sh: Shell) -> None:
    sh.ok("version", SNAPDIR_NO_PROGRESS=value)


@case("DER-34")
def test_a_checkout_may_link_to_the_cache(sh: Shell, staged: str, dest: Path, cache: Path) -> None:
    sh.ok("checkout", "--linked", "--id", staged, dest)
    assert (dest / "a.txt").resolve() == (cache / ".objects" / sharded(HELLO)).resolve()


@case("DER-35")
def test_a_short_flag_is_a_flag(sh: Shell) -> None:
    assert "jobs 3 source=flag" in sh.ok("defaults", "-j3").lines


@case("DER-36")
def test_a_relative_file_url_is_refused_with_the_right_spelling(sh: Shell, src: Path) -> None:
    message = sh.fails("push", "--store", "file://rel/dir", src).err
    assert "file://rel/dir" in message
    assert "file:///" in message or "./rel/dir" in message


@case("DER-37")
@pytest.mark.parametrize("variable", ["SNAPDIR_JOBS", "SNAPDIR_MAX_RETRIES"])
def test_an_error_names_a_bad_variable_and_its_value(variable: str, sh: Shell, src: Path, store: str) -> None:
    message = sh.refused("push", "--store", store, src, **{variable: "abc"}).err
    assert variable in message
    assert "abc" in message


@case("DER-38")
def test_a_dry_mirror_of_a_store_counts(sh: Shell, pushed: str, store: str, place: Path) -> None:
    copy = f"file://{place}/copy"
    sh.push(plant(place / "tb", TB), copy)
    done = sh.ok("sync", "--delete", "--dryrun", "--id", pushed, "--from", store, "--to", copy)
    assert done.out == ""
    assert f"dry-run: would copy 0 object(s) and prune 1 manifest(s) for {pushed}" in done.err


@case("DER-39")
def test_a_quiet_sync_prints_the_id(sh: Shell, pushed: str, store: str, place: Path) -> None:
    done = sh.ok("sync", "-q", "--id", pushed, "--from", store, "--to", f"file://{place}/copy")
    assert (done.out, done.err) == (f"{pushed}\n", "")
