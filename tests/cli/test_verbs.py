"""The API calls, output and errors of each verb."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapdir import CacheReport, PullReport, SnapshotId
from snapdir.errors import (
    ManifestNotFound,
    ObjectNotFound,
)
from snapdir.model.digest import Digest
from snapdir.model.manifest import Manifest

from .conftest import ID, OTHER_ID, FakeVerbs, Run, cli

NO_STORE = "error: no store configured: pass --store <uri> or set the SNAPDIR_STORE environment variable\n"
STORE = ("--store", "./s")


def report(
    corrupt: tuple[Digest, ...] = (), missing: tuple[tuple[Digest, str], ...] = (), purged: tuple[Digest, ...] = ()
) -> CacheReport:
    return CacheReport(corrupt=corrupt, missing=missing, purged=purged)


@pytest.mark.parametrize("args", [["push", *STORE, "x"], ["push", *STORE, "--id", ID], ["stage", "x"], ["id", "x"]])
def test_stdout_is_the_id_and_nothing_else(args: list[str], verbs: FakeVerbs) -> None:
    verbs.counted = {"warnings": ["three links are followed", "three links are followed"], "objects_sent": 3}
    run = cli(*args, "--verbose")
    assert (run.code, run.stdout) == (0, f"{ID}\n")
    assert run.stderr.count("warning: three links are followed\n") == 1
    assert cli(*args, "-q").stderr == ""


def test_a_manifest_ends_with_one_newline(verbs: FakeVerbs) -> None:
    verbs.answers["manifest"] = Manifest.parse(f"F 644 {ID} 3 ./ü\nD 755 {ID} 3 ./\n")
    run = cli("manifest", "--absolute", "--checksum-bin", "md5sum", "x")
    assert run.stdout == f"D 755 {ID} 3 ./\nF 644 {ID} 3 ./ü\n"
    assert (verbs.options["absolute"], verbs.options["checksum_bin"]) == (True, "md5sum")


def test_an_unknown_checksum_is_refused(verbs: FakeVerbs) -> None:  # DER-04
    run = cli("manifest", "--checksum-bin", "sha1sum", "x")
    assert run.code == 1
    assert run.stderr.startswith("error: unsupported --checksum-bin 'sha1sum'")


@pytest.mark.parametrize(("verb", "function"), [("manifest", "manifest"), ("stage", "stage"), ("push", "push")])
def test_without_path_the_current_directory_is_read(verb: str, function: str, verbs: FakeVerbs) -> None:
    verbs.answers["manifest"] = Manifest([])
    cli(verb, *(STORE if verb == "push" else ()))
    assert (verbs.names, verbs.args[0]) == ([function], ".")


@pytest.mark.parametrize("text", ["", "# only a comment\n"])
def test_no_manifest_lines_on_stdin_are_the_empty_manifest(text: str) -> None:  # MAN-12, MAN-14
    run = cli("id", stdin=text.encode())
    assert run.stdout == "295192ea1ec8566d563b1a7587e5f0198580cdbd043842f5090a4c197c20c67a\n"


def test_a_final_newline_on_stdin_does_not_matter() -> None:  # MAN-13
    line = f"D 755 {ID} 0 ./"
    assert cli("id", stdin=line.encode()).stdout == cli("id", stdin=f"{line}\n".encode()).stdout


@pytest.mark.parametrize("text", [b"garbage\n", b"\xff\xfe"])
def test_a_malformed_manifest_on_stdin_fails(text: bytes) -> None:  # MAN-15
    run = cli("id", stdin=text)
    assert (run.code, run.stdout) == (1, "")
    assert run.stderr.startswith("error: no valid manifest on stdin: ")
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize("args", [["push"], ["push", "x"], ["push", "--id", ID], ["fetch"], ["pull"], ["verify"]])
def test_without_a_store_both_ways_to_name_one_are_told(args: list[str], verbs: FakeVerbs) -> None:  # SURF-05, STO-04
    run = cli(*args)
    assert (run.code, run.stdout, run.stderr) == (1, "", NO_STORE)
    assert verbs.calls == []


@pytest.mark.parametrize("verb", ["fetch", "pull"])
def test_a_complete_cache_needs_no_store(verb: str, verbs: FakeVerbs) -> None:  # DER-29
    assert cli(verb, "--id", ID).code == 0
    assert verbs.args[:2] == (ID, None)


@pytest.mark.parametrize(
    "args", [["fetch", *STORE], ["pull", *STORE], ["checkout"], ["verify", *STORE], ["checkout", "--dryrun"]]
)
def test_a_missing_id_is_told(args: list[str], verbs: FakeVerbs) -> None:  # SURF-06
    run = cli(*args)
    assert (run.code, run.stderr) == (1, "error: missing --id option\n")


@pytest.mark.parametrize("args", [["pull", *STORE], ["checkout"]], ids=" ".join)
def test_an_id_in_the_place_of_a_directory_is_told_its_option(args: list[str], verbs: FakeVerbs) -> None:
    for id_ in (ID, ID[:8]):
        line = " ".join(["snapdir", *args, "--id", id_, "DIR"])
        assert cli(*args, id_) == Run(1, "", f"error: missing --id option: write `{line}`\n")


@pytest.mark.parametrize("verb", ["push", "fetch", "pull", "checkout", "verify", "verify-cache"])
def test_an_id_is_hexadecimal_digits(verb: str) -> None:
    run = cli(verb, *STORE, "--id", "garbagé")
    assert run.code == 1
    assert run.stderr.startswith("error: invalid snapshot id: 'garbagé' is not 64 hexadecimal digits")


def test_an_id_may_be_upper_case() -> None:
    assert cli("checkout", "--id", ID.upper(), "x").stderr.startswith(f"error: manifest {ID} not found locally")


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ("", "invalid store protocol: ''"),  # DER-32
        ("backup", "invalid store protocol: 'backup': expected a URI like file:///path"),
        ("file://relative", "is not an absolute path: write file:///"),  # DER-36
        ("s3://", "names no bucket"),
    ],
)
@pytest.mark.parametrize("verb", ["push", "fetch", "pull", "verify"])
def test_a_misspelt_store_is_told_before_any_work(verb: str, store: str, said: str) -> None:
    run = cli(verb, "--store", store, *(() if verb == "push" else ("--id", ID)))
    assert (run.code, run.stdout) == (1, "")
    assert said in run.stderr


def test_the_flag_beats_the_variable(verbs: FakeVerbs, monkeypatch: pytest.MonkeyPatch) -> None:  # STO-01, STO-02
    monkeypatch.setenv("SNAPDIR_STORE", "s3://from-variable")
    cli("push", "x")
    assert verbs.args[1] == "s3://from-variable"
    cli("push", "--store", "./flag", "x")
    assert verbs.args[1] == "./flag"


def test_push_of_an_id_without_path_pushes_the_cached_snapshot(verbs: FakeVerbs) -> None:  # STO-06
    assert cli("push", *STORE, "--id", ID, "--recheck").stdout == f"{ID}\n"
    assert verbs.names == ["push_cached"]
    assert verbs.args == (ID, "./s")
    assert verbs.options["recheck"] is True


def test_push_of_an_id_that_is_not_cached(verbs: FakeVerbs) -> None:  # STO-07
    verbs.answers["push_cached"] = ManifestNotFound(ID)
    run = cli("push", *STORE, "--id", ID)
    assert (run.code, run.stdout) == (1, "")
    assert run.stderr == f"error: manifest {ID} not found in the local cache; stage or fetch it first\n"
    assert verbs.names == ["push_cached"]


def test_push_prefers_the_path_to_an_id(verbs: FakeVerbs) -> None:  # DER-30
    run = cli("push", *STORE, "--id", "anything", "x")
    assert (run.code, run.stdout, verbs.names) == (0, f"{ID}\n", ["push"])
    assert run.stderr == "warning: --id is ignored because PATH is given\n"


def test_checkout_of_an_unknown_id_hints_at_fetch(verbs: FakeVerbs) -> None:  # STO-12
    verbs.answers["checkout"] = ManifestNotFound(ID)
    run = cli("checkout", "--id", ID, "x")
    advice = "`snapdir pull --id ID DIR` downloads and writes in one step"
    said = f"error: manifest {ID} not found locally; did you forget to fetch it? {advice}\n"
    assert (run.code, run.stderr) == (1, said)


def test_how_a_destination_is_written_is_passed_on(verbs: FakeVerbs) -> None:
    for verb in ("checkout", "pull"):
        args = [verb, *STORE, "--id", ID, "x", "--no-overwrite", "--keep", "--preserve-special-modes"]
        assert cli(*args).code == 0
        options = verbs.options
        assert (options["overwrite"], options["keep"], options["preserve_special_modes"]) == (False, True, True)
        assert verbs.args[-1] == "x"


@pytest.mark.parametrize(
    ("variable", "flags", "kept"),
    [
        ("", [], None),
        ("", ["--cache"], True),
        ("", ["--no-cache"], False),
        ("1", [], True),
        ("0", [], False),
        ("1", ["--no-cache"], False),
        ("0", ["--cache"], True),
    ],
)
def test_pull_keeps_a_copy_as_it_is_told(
    variable: str, flags: list[str], kept: bool | None, verbs: FakeVerbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAPDIR_PULL_CACHE", variable)
    assert cli("pull", *STORE, "--id", ID, *flags, "x").code == 0
    assert verbs.options["cache"] is kept


def test_pull_cannot_keep_a_copy_and_none(verbs: FakeVerbs, monkeypatch: pytest.MonkeyPatch) -> None:
    run = cli("pull", *STORE, "--id", ID, "--cache", "--no-cache", "x")
    assert (run.code, "'--cache' cannot be used with '--no-cache'" in run.stderr) == (2, True)
    monkeypatch.setenv("SNAPDIR_PULL_CACHE", "perhaps")
    run = cli("pull", *STORE, "--id", ID, "x")
    assert (run.code, "invalid SNAPDIR_PULL_CACHE 'perhaps'" in run.stderr) == (2, True)
    assert verbs.calls == []


@pytest.mark.parametrize("verb", ["pull", "checkout"])
def test_a_current_directory_that_is_not_empty_is_no_default(verb: str, verbs: FakeVerbs) -> None:
    assert cli(verb, *STORE, "--id", ID).code == 0
    assert verbs.args[-1] == "."
    Path(".snapdir-partial").mkdir()  # what a run before left is no obstacle
    assert cli(verb, *STORE, "--id", ID).code == 0
    Path("precious").touch()
    verbs.calls.clear()
    run = cli(verb, *STORE, "--id", ID)
    assert (run.code, verbs.calls) == (1, [])
    assert str(Path.cwd()) in run.stderr
    assert "--force" in run.stderr
    assert "precious" in run.stderr
    assert cli(verb, *STORE, "--id", ID, "--force").code == 0
    assert cli(verb, *STORE, "--id", ID, ".").code == 0


def test_replaced_files_are_counted(verbs: FakeVerbs) -> None:
    verbs.answers |= dict.fromkeys(("checkout", "pull"), PullReport(SnapshotId(ID), replaced=1234))
    assert cli("checkout", "--id", ID, "x").stderr == "replaced 1,234 file(s) that differed in x\n"
    assert cli("pull", *STORE, "--id", ID, "x", "-q").stderr == ""


@pytest.mark.parametrize(
    ("args", "notes"),
    [
        (["push", "--store", "s3://unreachable/p", "x"], [f"push {ID} to s3://unreachable/p"]),
        (["push", *STORE, "--id", ID], [f"push {ID} to ./s"]),
        (["stage", "x"], [f"stage {ID} into the local cache"]),
        (["fetch", *STORE, "--id", ID], [f"fetch {ID} into the local cache"]),
        (["checkout", "--id", ID, "there"], [f"check out {ID} to there"]),
        (
            ["pull", *STORE, "--id", ID, "--cache", "there"],
            [f"fetch {ID} into the local cache", f"check out {ID} to there"],
        ),
        (["pull", *STORE, "--id", ID, "there"], [f"check out {ID} to there"]),
    ],
)
def test_a_dry_run_says_what_would_be_done(args: list[str], notes: list[str], verbs: FakeVerbs) -> None:
    run = cli(*args, "--dryrun")
    assert cli(*args, "--dry-run") == run
    counted, *lines = run.stderr.splitlines()
    assert (run.code, counted.startswith("dry-run: 0 files, 0 B; ")) == (0, True)
    assert lines == [f"dry-run: would {note} (no writes performed)" for note in notes]
    assert verbs.options["dry_run"] is True
    assert cli(*args, "--dryrun", "-q").stderr == ""


def test_a_dry_fetch_of_what_is_cached_says_nothing(verbs: FakeVerbs) -> None:
    verbs.counted = {"already_complete": True}
    counts = "dry-run: 0 files, 0 B; nothing to fetch\n"
    assert cli("fetch", *STORE, "--id", ID, "--dryrun").stderr == counts


def test_verbose_has_one_banner(verbs: FakeVerbs) -> None:  # STO-15, STO-17
    for args in (["push", *STORE, "x"], ["stage", "x"], ["pull", *STORE, "--id", ID, "x"], ["checkout", "--id", ID]):
        run = cli(*args, "--jobs", "3", "--verbose")
        assert run.stderr.splitlines()[0] == "transfers: 3 concurrent"
        assert run.stderr.count("transfers:") == 1
        assert "transfers:" not in cli(*args, "--jobs", "3").stderr
        assert cli(*args, "--verbose", "--quiet").stderr == ""


def test_the_banner_shows_the_rate_as_typed_and_what_is_automatic(verbs: FakeVerbs) -> None:  # STO-16
    def banner(*args: str) -> str:
        return cli("push", "x", "--verbose", *args).stderr.splitlines()[0]

    assert banner(*STORE, "-j2", "--limit-rate", "1M") == "transfers: 2 concurrent, limit 1M"
    assert banner(*STORE, "--limit-rate", "0") == "transfers: 8 concurrent"
    assert banner("--store", "s3://bucket") == "transfers: up to 256 concurrent"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--adaptive=0.8", "--jobs", "100"], "adaptive: target 80% of capacity, ceiling 64"),
        (["--adaptive", "--limit-rate", "2M"], "adaptive: target 80% of capacity, ceiling 8, limit 2M"),
        (["--adaptive=1", "--max-jobs", "5", "--jobs", "9"], "adaptive: target 100% of capacity, ceiling 5"),
        (["--adaptive", "--store", "s3://bucket"], "adaptive: target 80% of capacity, ceiling 64"),
    ],
)
def test_the_banner_of_requests_that_adapt(args: list[str], said: str, verbs: FakeVerbs) -> None:  # DER-07
    store = () if "--store" in args else STORE
    assert cli("push", "x", "--verbose", *store, *args).stderr.splitlines()[0] == said


@pytest.mark.parametrize(("complete", "word"), [(True, "CACHED"), (False, "SAVED")])
@pytest.mark.parametrize("verb", [["fetch"], ["pull", "--cache"], ["pull", "--linked"]])
def test_verbose_tells_whether_the_store_was_needed(
    verb: list[str], complete: bool, word: str, verbs: FakeVerbs
) -> None:  # REC-06, DER-13
    verbs.counted = {"already_complete": complete}
    assert cli(*verb, *STORE, "--id", ID, "--verbose").stderr.splitlines()[1:] == [f"{word}: {ID}"]


def test_verify_is_silent_or_fails(verbs: FakeVerbs) -> None:  # DER-14
    run = cli("verify", *STORE, "--id", ID, "--repair-from", "good")
    assert (run.code, run.stdout, run.stderr) == (0, "", "")
    assert verbs.options["repair_from"] == "good"
    verbs.answers["verify"] = ObjectNotFound(".objects/abc")
    assert cli("verify", *STORE, "--id", ID).code == 1


def test_verify_does_not_purge(verbs: FakeVerbs) -> None:  # STO-08
    run = cli("verify", "--purge")
    assert (run.code, verbs.calls) == (1, [])
    assert run.stderr.startswith("error: `verify` does not support --purge; use `verify-cache --purge`")


def test_a_healthy_cache_is_silent(verbs: FakeVerbs) -> None:  # CAC-02
    verbs.answers["verify_cache"] = report()
    for args in (["verify-cache"], ["verify-cache", "--purge"], ["verify-cache", "--id", ID]):
        run = cli(*args)
        assert (run.code, run.stdout, run.stderr) == (0, "", "")


def test_what_is_wrong_with_the_cache_is_listed(verbs: FakeVerbs) -> None:  # CAC-03, REC-10, DER-16
    bad, gone = Digest(ID), Digest(OTHER_ID)
    verbs.answers["verify_cache"] = report(corrupt=(bad,), missing=((gone, "./a b"),))
    run = cli("verify-cache", "-q")
    assert run.code == 1
    assert run.stderr.splitlines() == [
        f"Checksum mismatch for {bad}",
        f"Missing object {gone} for ./a b",
        "error: 1 corrupt + 1 missing object(s) in the cache",
    ]
    verbs.answers["verify_cache"] = report(corrupt=(bad,), missing=((gone, "./a"),), purged=(bad,))
    run = cli("verify-cache", "--purge", "--verbose")
    assert run.code == 1
    assert run.stderr.splitlines() == [
        f"Checksum mismatch for {bad}",
        f"purged {bad}",
        f"Missing object {gone} for ./a",
        "error: 1 corrupt + 1 missing object(s) in the cache",
    ]


def test_a_cache_that_a_purge_made_sound_is_a_success(verbs: FakeVerbs) -> None:
    verbs.answers["verify_cache"] = report(corrupt=(Digest(ID),), purged=(Digest(ID),))
    run = cli("verify-cache", "--purge")
    assert run.code == 0
    assert run.stderr.splitlines()[-1].startswith("snapdir: purged 1 corrupt object(s)")


def test_a_dry_purge_says_so_even_when_quiet(verbs: FakeVerbs) -> None:  # DER-15
    verbs.answers["verify_cache"] = report(corrupt=(Digest(ID),))
    run = cli("verify-cache", "--purge", "--dryrun", "-q")
    assert run.code == 1
    assert run.stderr.splitlines()[0] == "dry-run: would purge corrupt objects from the cache (no writes performed)"
    assert (verbs.options["purge"], verbs.options["dry_run"]) == (True, True)


def test_verify_cache_of_an_unknown_id(verbs: FakeVerbs) -> None:  # DER-17
    verbs.answers["verify_cache"] = ManifestNotFound(ID)
    run = cli("verify-cache", "--id", ID)
    assert run.code == 1
    assert run.stderr.startswith(f"error: reading cached manifest {ID}: ")


def test_a_dry_flush_names_the_directory_even_when_quiet(verbs: FakeVerbs) -> None:  # DER-18
    run = cli("flush-cache", "--dryrun", "-q", "--cache-dir", "/some/cache")
    assert run.stderr == "dry-run: would flush the cache at /some/cache (no writes performed)\n"
    assert verbs.options["dry_run"] is True
    assert cli("flush-cache").stderr == ""
