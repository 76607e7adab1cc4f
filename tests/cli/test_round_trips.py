"""The verbs on real directories and a file store: what the checklist of the specification describes."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path

import pytest

from snapdir.model.keys import manifest_key

from .conftest import OTHER_ID, Run, cli, program

EMPTY_TREE_ID = "bb83e51d36a3"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two files of one content, one of another in a directory, a private one."""
    tree = tmp_path / "src"
    (tree / "sub").mkdir(parents=True)
    (tree / "a.txt").write_text("same")
    (tree / "again.txt").write_text("same")
    (tree / "sub" / "b.txt").write_text("other")
    (tree / "a.txt").chmod(0o600)
    return tree


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def pushed(source: Path, store: Path) -> str:
    return ok("push", "--store", f"file://{store}", "--catalog", "none", str(source)).stdout.strip()


def ok(*args: str, stdin: bytes = b"") -> Run:
    run = cli(*args, stdin=stdin)
    assert run.code == 0, run.stderr
    return run


def failed(*args: str) -> Run:
    run = cli(*args)
    assert (run.code, run.stdout) == (1, "")
    return run


@pytest.mark.parametrize(("value", "times"), [("off", 0), ("batch", 1)])
@pytest.mark.parametrize("verb", [("checkout",), ("pull",), ("pull", "--no-cache"), ("pull", "--linked")], ids=" ".join)
def test_a_destination_is_flushed_once_unless_that_is_off(
    isolated: Path,
    store: Path,
    pushed: str,
    monkeypatch: pytest.MonkeyPatch,
    verb: tuple[str, ...],
    value: str,
    times: int,
) -> None:
    ok("fetch", "--store", str(store), "--id", pushed)
    flushed: list[str] = []

    class Library:
        @staticmethod
        def syncfs(descriptor: ctypes.c_int) -> int:
            flushed.append(os.readlink(f"/proc/self/fd/{descriptor.value}"))
            return 0

    monkeypatch.setattr(ctypes, "CDLL", lambda name, use_errno: Library)
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    monkeypatch.setenv("SNAPDIR_FSYNC", value)
    where = ("--store", str(store)) if verb[0] == "pull" else ()
    ok(*verb, *where, "--id", pushed, str(isolated / "out"))
    assert flushed.count(str(isolated / "out")) == times
    if value == "off":
        assert flushed == []


def files_below(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


def objects(folder: Path) -> list[Path]:
    return files_below(folder / ".objects")


def cached_object(isolated: Path, content: str) -> Path:
    return next(file for file in objects(isolated / "cache") if file.read_text() == content)


def test_an_empty_directory_has_its_golden_id(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir(mode=0o755)
    assert ok("id", str(tmp_path / "empty")).stdout.startswith(EMPTY_TREE_ID)


def test_push_fetch_checkout_verify_reproduce_the_tree(
    source: Path, store: Path, pushed: str, isolated: Path
) -> None:  # STO-05
    assert pushed == ok("id", str(source)).stdout.strip()
    assert (store / manifest_key(pushed)).is_file()
    assert len(objects(store)) == 2
    url = f"file://{store}"
    assert ok("fetch", "--store", url, "--id", pushed).stdout == ""
    shutil.move(store, isolated / "moved")
    ok("checkout", "--id", pushed, "out")
    assert ok("id", "out").stdout.strip() == pushed
    assert Path("out/a.txt").stat().st_mode & 0o777 == 0o600
    assert ok("verify", "--store", str(isolated / "moved"), "--id", pushed).stderr == ""


def test_a_manifest_piped_to_id_is_the_directorys_id(source: Path) -> None:  # MAN-11
    text = ok("manifest", str(source)).stdout
    assert text.endswith("\n")
    assert ok("id", stdin=text.encode()).stdout == ok("id", str(source)).stdout


@pytest.mark.parametrize("spelling", ["src", "./src", "src/", "./src/", "../current/src"])
def test_a_path_may_be_spelt_in_many_ways(spelling: str, source: Path) -> None:  # MAN-08
    shutil.copytree(source, "src")
    for args in (["id"], ["manifest"], ["manifest", "--absolute"]):
        assert ok(*args, spelling).stdout.replace("/../current", "") == ok(*args, "src").stdout
    run = program("push", "--store", "./store", spelling)  # a process: to ask for the current directory is to block
    assert run == ok("id", "src")


def test_absolute_changes_the_path_column_only(source: Path) -> None:  # MAN-02
    relative = ok("manifest", str(source)).stdout
    assert ok("manifest", "--absolute", str(source)).stdout == relative.replace(" ./", f" {source}/")


def test_jobs_never_change_an_id(source: Path, store: Path, pushed: str) -> None:  # ARG-21, STO-10
    args = ["push", "--store", str(store), "--walk-jobs", "4", "--jobs", "2", "--limit-rate", "1M", str(source)]
    assert ok(*args).stdout.strip() == pushed


def test_excludes_leave_entries_out(source: Path) -> None:  # ARG-23
    together = ok("manifest", "--exclude", "again,sub", str(source)).stdout
    assert together == ok("manifest", "--exclude", "again", "--exclude", "sub", str(source)).stdout
    assert [line.split()[-1] for line in together.splitlines()] == ["./", "./a.txt"]
    run = failed("id", "--exclude", "(", str(source))
    assert "(" in run.stderr


def test_push_needs_no_cache_and_stage_no_store(source: Path, pushed: str, isolated: Path) -> None:  # CAC-01
    assert [path.parent.name for path in files_below(isolated / "cache")] == [".checkouts"]  # what `status` knows
    assert ok("stage", str(source)).stdout.strip() == pushed
    assert (isolated / "cache" / manifest_key(pushed)).is_file()
    assert len(objects(isolated / "cache")) == 2


def test_a_staged_snapshot_is_pushed_by_id(source: Path, store: Path) -> None:  # STO-06
    staged = ok("stage", str(source)).stdout
    assert ok("push", "--store", str(store), "--id", staged.strip()).stdout == staged
    shutil.rmtree(source)
    ok("pull", "--store", str(store), "--id", staged.strip(), "out")
    assert ok("id", "out").stdout == staged


def test_an_id_that_is_not_cached_pushes_nothing(store: Path) -> None:  # STO-07
    assert "not found in the local cache" in failed("push", "--store", str(store), "--id", OTHER_ID).stderr
    assert not store.exists()


def test_pull_uses_the_cache_and_repairs_the_destination(store: Path, pushed: str) -> None:  # STO-11, -13, -14
    pull = ["pull", "--store", str(store), "--id", pushed, "out"]
    ok(*pull, "--cache")
    shutil.rmtree(store / ".objects")
    Path("out/a.txt").write_text("spoilt")
    assert ok(*pull).stderr == "replaced 1 file(s) that differed in out (./a.txt)\n"
    assert ok(*pull).stderr == ""
    assert ok("id", "out").stdout.strip() == pushed
    assert ok("pull", "--id", pushed, "elsewhere").stdout == ""  # DER-29


def test_pull_without_the_cache_leaves_it_alone(store: Path, pushed: str, isolated: Path) -> None:
    ok("pull", "--store", str(store), "--id", pushed, "--no-cache", "out")
    assert ok("id", "--index-size", "0", "out").stdout.strip() == pushed
    assert {path.parent.name for path in files_below(isolated / "cache")} == {".checkouts"}  # what `status` knows


def test_no_overwrite_stops_before_writing(store: Path, pushed: str) -> None:
    Path("out").mkdir()
    Path("out/a.txt").write_text("mine")
    run = failed("pull", "--store", str(store), "--id", pushed, "--no-overwrite", "out")
    assert "a.txt" in run.stderr
    assert [file.name for file in files_below(Path("out"))] == ["a.txt"]
    assert Path("out/a.txt").read_text() == "mine"


def test_a_destination_that_is_a_file_is_told(store: Path, pushed: str) -> None:
    Path("out").write_text("a file")
    run = failed("pull", "--store", str(store), "--id", pushed, "out")
    assert "out" in run.stderr
    assert run.stderr.count("\n") == 1
    assert Path("out").read_text() == "a file"


def test_fetch_says_whether_the_store_was_needed(store: Path, pushed: str) -> None:  # REC-06, DER-13
    fetch = ["fetch", "--verbose", "--store", str(store), "--id", pushed]
    assert ok(*fetch).stderr.splitlines()[-1] == f"SAVED: {pushed}"
    assert ok(*fetch).stderr.splitlines()[-1] == f"CACHED: {pushed}"


@pytest.mark.parametrize("more", [[], ["--json"]], ids=["", "json"])
def test_verify_names_the_ways_to_restore_what_is_missing_and_pools_last(
    store: Path, pushed: str, more: list[str]
) -> None:
    next(path for path in (store / ".objects").rglob("*") if path.is_file()).unlink()
    run = cli("verify", *more, "--store", str(store), "--id", pushed)
    stderr = run.stderr
    assert run.code == 1
    assert stderr.index("push --recheck") < stderr.index("verify --repair-from")
    if not more:
        assert stderr.index("verify --repair-from") < stderr.index("--objects-store")


def test_a_lost_object_is_found_missing_and_fetched_again(
    store: Path, pushed: str, isolated: Path
) -> None:  # REC-01, -03, -04, -05
    ok("fetch", "--store", str(store), "--id", pushed)
    lost = cached_object(isolated, "other")
    digest = "".join(lost.parts[-4:])
    lost.unlink()
    run = failed("verify-cache", "--id", pushed)
    assert run.stderr.splitlines() == [
        f"Missing object {digest} for ./sub/b.txt",
        "error: 0 corrupt + 1 missing object(s) in the cache",
    ]
    assert "./sub/b.txt" in failed("checkout", "--id", pushed, "out").stderr
    ok("fetch", "--force", "--store", str(store), "--id", pushed)
    assert lost.read_text() == "other"
    ok("checkout", "--id", pushed, "out")


def test_a_damaged_object_is_reported_and_purged(pushed: str, store: Path, isolated: Path) -> None:  # CAC-03
    ok("fetch", "--store", str(store), "--id", pushed)
    assert ok("verify-cache").stderr == ""
    damaged = cached_object(isolated, "other")
    damaged.chmod(0o644)
    damaged.write_text("OTHER")
    said = f"Checksum mismatch for {''.join(damaged.parts[-4:])}"
    assert said in failed("verify-cache").stderr
    assert damaged.exists()
    assert failed("verify-cache", "--purge", "--dryrun").stderr.startswith("dry-run: would purge corrupt objects")
    assert damaged.exists()
    assert said in ok("verify-cache", "--purge").stderr
    assert not damaged.exists()
    assert "Missing object" in failed("verify-cache").stderr
    ok("flush-cache")
    assert ok("verify-cache").stderr == ""


def test_a_cache_that_was_never_filled_is_fine(isolated: Path) -> None:
    assert ok("verify-cache").stderr == ""
    ok("flush-cache")
    assert not (isolated / "cache").exists()


def test_verify_finds_what_is_wrong_in_a_store_and_repairs_it(source: Path, store: Path, pushed: str) -> None:  # DER-14
    verify = ["verify", "--store", str(store), "--id", pushed]
    damaged = next(file for file in objects(store) if file.read_text() == "other")
    damaged.chmod(0o644)
    damaged.write_text("OTHER")
    run = failed(*verify)
    assert "hash mismatch" in run.stderr
    assert run.stderr.count("\n") == 1
    ok(*verify, "--repair-from", str(source))
    assert damaged.read_text() == "other"
    ok(*verify)


def test_flush_cache_empties_a_cache_and_nothing_else(source: Path, isolated: Path) -> None:  # CAC-04, DRY-03
    ok("stage", str(source))
    before = files_below(isolated / "cache")
    ok("flush-cache", "--dryrun")
    assert files_below(isolated / "cache") == before
    ok("flush-cache")
    ok("flush-cache")
    assert objects(isolated / "cache") == []
    assert str(source) in failed("flush-cache", "--cache-dir", str(source)).stderr
    assert len(files_below(source)) == 3


@pytest.mark.parametrize(
    ("args", "data"),
    [
        (["push", "--store", "./new", "SRC"], True),
        (["stage", "SRC"], True),
        (["checkout", "--id", "ID", "out"], False),
        (["pull", "--store", "STORE", "--id", "ID", "out"], False),
        (["fetch", "--store", "STORE", "--id", "ID"], False),
    ],
)
def test_a_dry_run_writes_nothing(
    args: list[str], data: bool, source: Path, store: Path, pushed: str, isolated: Path
) -> None:  # DRY-01..05
    known = {"SRC": str(source), "STORE": str(store), "ID": pushed}
    if args[0] == "checkout":
        ok("fetch", "--store", str(store), "--id", pushed)
    before = files_below(isolated / "cache")
    run = ok(*(known.get(arg, arg) for arg in args), "--dryrun")
    assert run.stdout == (f"{pushed}\n" if data else "")
    assert "(no writes performed)" in run.stderr
    assert files_below(isolated / "cache") == before
    assert os.listdir(".") == []


def test_unknown_things_are_named_in_one_line(store: Path, pushed: str) -> None:
    for args, named in (
        (["pull", "--store", str(store), "--id", OTHER_ID, "out"], OTHER_ID),
        (["fetch", "--store", str(store), "--id", OTHER_ID, "--dryrun"], OTHER_ID),  # DER-10
        (["verify", "--store", "./nowhere", "--id", pushed], "nowhere"),  # STO-09
        (["verify-cache", "--id", OTHER_ID], f"reading cached manifest {OTHER_ID}"),  # DER-17
        (["push", "--store", "notaproto://x", "."], "notaproto"),  # SURF-20
        (["push", "--store", "file://rel/dir", "."], "file:///"),
    ):
        run = failed(*args)
        assert named in run.stderr
        assert run.stderr.count("\n") == 1


def test_a_keyed_manifest_has_an_id_but_is_not_stored(
    source: Path, store: Path, pushed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAPDIR_MANIFEST_CONTEXT", "context")
    keyed = ok("id", str(source)).stdout.strip()
    assert keyed != pushed
    for args in (["push", "--store", str(store)], ["stage"]):
        run = cli(*args, str(source))
        assert run.code == 2
        assert "SNAPDIR_MANIFEST_CONTEXT" in run.stderr
