"""`snapdir sync`: what it copies, prunes, prints and refuses (checklist SYN-01..20, ARG-18..20, DER-38, DER-39)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from snapdir import blocking
from snapdir.config import Config
from tests.cli.conftest import ID, Run, cli
from tests.cli.test_pools import manifests, objects, re_id

TREE = {"a.txt": "hello", "sub/b.txt": "world!!"}
SPLIT = {"top.txt": "alpha-body", "sub/one.txt": "bravo-body-bravo", "sub/two.bin": "charlie!!!", "deep/d/e": "delta"}


def made(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def pushed(root: Path, files: Mapping[str, str], *where: str) -> str:
    run = cli("push", "--catalog", "none", *where, str(made(root, files)))
    assert run.code == 0, run
    return run.stdout.strip()


def sync(source: Path | str, target: Path | str, *more: str) -> Run:
    return cli("sync", "--from", str(source), "--to", str(target), *more)


def counted(run: Run) -> tuple[str, Run]:
    """The counts of a dry run, and what it says besides."""
    counts, rest = run.stderr.split("\n", 1)
    return counts, Run(run.code, run.stdout, rest)


@pytest.fixture
def source(isolated: Path) -> Path:
    return isolated / "a"


@pytest.fixture
def target(isolated: Path) -> Path:
    return isolated / "b"


@pytest.fixture
def snapshot(isolated: Path, source: Path) -> str:
    return pushed(isolated / "tree", TREE, "--store", str(source))


def contents(store: Path) -> dict[str, bytes]:
    """Snapshots and objects: the history of a store says who pushed there, and nobody pushed to a copy."""
    files = {str(file.relative_to(store)): file for file in store.rglob("*") if file.is_file()}
    return {key: file.read_bytes() for key, file in files.items() if not key.startswith(".catalog/")}


def test_a_snapshot_is_copied_and_pulls_to_the_same_id(
    isolated: Path, source: Path, target: Path, snapshot: str
) -> None:  # SYN-04, SYN-05, SYN-09
    assert sync(source, target, "--id", snapshot) == Run(
        0, f"{snapshot}\n", f"synced {snapshot}: 2 copied, 0 skipped (12 bytes)\n"
    )
    assert cli("pull", "--store", str(target), "--id", snapshot, "--no-cache", str(isolated / "out")).code == 0
    assert re_id(isolated / "out") == snapshot
    before = contents(target)
    again = sync(source, target, "--id", snapshot)
    assert again.stderr == f"synced {snapshot}: 0 copied, 0 skipped (0 bytes)\n"
    assert contents(target) == before
    kept = {path.name for path in (isolated / "cache").iterdir()}
    assert kept - {".index"} == {".checkouts", ".partial"}


def test_quiet_leaves_the_id_alone(source: Path, target: Path, snapshot: str) -> None:  # DER-39
    assert sync(source, target, "--id", snapshot, "-q") == Run(0, f"{snapshot}\n", "")


def test_only_what_is_missing_is_copied(isolated: Path, source: Path, target: Path, snapshot: str) -> None:  # SYN-10
    pushed(isolated / "other", {"x": "hello"}, "--store", str(target))
    assert "1 copied, 1 skipped (7 bytes)" in sync(source, target, "--id", snapshot).stderr


@pytest.mark.parametrize("contents_count", [2, 3])
def test_equal_contents_count_once(
    isolated: Path, source: Path, target: Path, contents_count: int
) -> None:  # SYN-19, SYN-20
    files = {f"{copy}-{number}": str(number) * 4 for number in range(contents_count) for copy in ("one", "two")}
    snapshot = pushed(isolated / "tree", files, "--store", str(source))
    dry = sync(source, target, "--id", snapshot, "--dryrun")
    size = 4 * contents_count
    assert counted(dry) == (
        f"dry-run: {2 * contents_count} files, {2 * size} B; {contents_count} objects, {size} B to send",
        Run(0, "", f"dry-run: would copy {contents_count} object(s) for {snapshot}\n"),
    )
    assert not target.exists()
    assert f"{contents_count} copied, 0 skipped" in sync(source, target, "--id", snapshot).stderr
    assert len(objects(target)) == contents_count


def test_a_dry_run_of_a_mirror_tells_what_would_go(
    isolated: Path, source: Path, target: Path, snapshot: str
) -> None:  # SYN-06, DER-38
    other = pushed(isolated / "other", {"x": "hello"}, "--store", str(target))
    before = contents(target)
    said = f"dry-run: would copy 1 object(s) and prune 1 manifest(s) for {snapshot}\n"
    assert counted(sync(source, target, "--id", snapshot, "--dryrun", "--delete")) == (
        "dry-run: 2 files, 12 B; 1 object, 7 B to send",
        Run(0, "", f"would delete: {other}\n{said}"),
    )
    assert sync(source, target, "--id", snapshot, "--dryrun", "--delete", "-q") == Run(0, "", "")
    assert contents(target) == before


def test_a_dry_run_of_a_mirror_of_everything_lists_twenty_that_would_go(
    isolated: Path, source: Path, target: Path, snapshot: str
) -> None:
    sync(source, target, "--all")
    extra = sorted(pushed(isolated / "x", {"x": str(n)}, "--store", str(target)) for n in range(20))
    dry = ["--all", "--delete", "--dryrun"]
    listed = "".join(f"would delete: {one}\n" for one in extra)
    said = "dry-run: would copy 0 object(s) and prune 20 manifest(s) for 0 snapshot(s)\n"
    nothing = "dry-run: 0 files, 0 B; nothing to send"
    assert counted(sync(source, target, *dry)) == (nothing, Run(0, "", listed + said))
    extra += [pushed(isolated / "x", {"x": str(n)}, "--store", str(target)) for n in (20, 21)]
    listed = "".join(f"would delete: {one}\n" for one in sorted(extra)[:20])
    said = "dry-run: would copy 0 object(s) and prune 22 manifest(s) for 0 snapshot(s)\n"
    said = f"{listed}would delete: 2 other snapshot(s)\n{said}"
    assert counted(sync(source, target, *dry)) == (nothing, Run(0, "", said))
    assert sync(source, target, *dry, "-q") == Run(0, "", "")
    assert len(manifests(target)) == 1 + len(extra)


def test_a_report_has_the_ids_of_what_goes(isolated: Path, source: Path, target: Path, snapshot: str) -> None:
    other = pushed(isolated / "other", {"x": "hello"}, "--store", str(target))
    config = Config(cache_dir=isolated / "cache")
    for dry in (True, False):
        report = blocking.sync_all(str(source), str(target), delete=True, dry_run=dry, config=config)
        assert (report.pruned, report.pruned_snapshots, report.manifests) == (1, (other,), 1)
        assert report.snapshots == (snapshot,)


def test_a_dry_run_that_would_copy_only_a_manifest_says_so(source: Path, target: Path, snapshot: str) -> None:
    sync(source, target, "--id", snapshot)
    nothing = f"dry-run: would copy 0 object(s) for {snapshot}\n"
    assert counted(sync(source, target, "--id", snapshot, "--dryrun"))[1].stderr == nothing
    for file in (target / ".manifests").rglob("*"):
        if file.is_file():
            file.unlink()
    only = f"dry-run: would copy 0 object(s) for {snapshot}, only 1 manifest(s)\n"
    assert counted(sync(source, target, "--id", snapshot, "--dryrun"))[1].stderr == only
    assert counted(sync(source, target, "--all", "--dryrun"))[1].stderr == (
        "dry-run: would copy 0 object(s) for 1 snapshot(s), only 1 manifest(s)\n"
    )
    assert manifests(target) == set()


def test_delete_leaves_the_manifests_of_the_source_and_every_object(
    isolated: Path, source: Path, target: Path, snapshot: str
) -> None:  # SYN-07
    also_there = pushed(isolated / "more", {"y": "in both"}, "--store", str(source))
    sync(source, target, "--id", also_there)
    pushed(isolated / "other", {"x": "only there"}, "--store", str(target))
    before = objects(target)
    run = sync(source, target, "--id", snapshot, "--delete")
    assert run.stderr == f"mirrored {snapshot}: 2 copied, 0 skipped (12 bytes), 1 manifest(s) pruned\n"
    named = {"".join(file.relative_to(target / ".manifests").parts) for file in manifests(target)}
    assert named == {snapshot, also_there}
    assert before <= objects(target)


@pytest.mark.parametrize("to", [["gs://b"], ["s3://b/p"], ["./local", "--to-objects", "./pool"]])
def test_only_a_plain_directory_is_mirrored_to(to: list[str], source: Path, snapshot: str) -> None:  # SYN-08
    run = cli("sync", "--delete", "--id", snapshot, "--from", str(source), "--to", *to)
    assert (run.code, run.stdout) == (1, "")
    assert "mirror unsupported" in run.stderr
    assert "requires a local file:// destination" in run.stderr


def test_a_store_is_not_emptied_for_one_that_is_empty(isolated: Path, source: Path, target: Path) -> None:
    pushed(isolated / "tree", TREE, "--store", str(target))
    source.mkdir()
    run = sync(source, target, "--all", "--delete")
    assert (run.code, "nothing was deleted" in run.stderr) == (1, True)
    assert len(manifests(target)) == 1


def test_a_source_without_snapshots_is_named(source: Path, target: Path) -> None:
    source.mkdir()
    run = sync(source, target, "--all")
    assert (run.code, run.stdout) == (0, "")
    warning = f"warning: no snapshots in file://{source}: check its URL\n"
    assert run.stderr == warning + "synced 0 snapshot(s): 0 copied, 0 skipped (0 bytes)\n"


def test_all_copies_every_new_snapshot(isolated: Path, source: Path, target: Path, snapshot: str) -> None:
    second = pushed(isolated / "tree", {"a.txt": "changed"}, "--store", str(source))
    third = pushed(isolated / "tree", {"a.txt": "again"}, "--store", str(source))
    sync(source, target, "--id", second)
    counts, dry = counted(sync(source, target, "--all", "--dryrun"))
    assert counts == "dry-run: 4 files, 24 B; 2 objects, 10 B to send"
    assert (dry.stdout, dry.stderr) == ("", "dry-run: would copy 2 object(s) for 2 snapshot(s)\n")
    run = sync(source, target, "--all")
    assert sorted(run.stdout.split()) == sorted([snapshot, third])
    assert re.fullmatch(r"synced 2 snapshot\(s\): 2 copied, 2 skipped \(10 bytes\)\n", run.stderr)
    assert contents(target) == contents(source)
    assert sync(source, target, "--all") == Run(0, "", "synced 0 snapshot(s): 0 copied, 0 skipped (0 bytes)\n")


def test_a_damaged_snapshot_does_not_keep_back_the_others(
    isolated: Path, source: Path, target: Path, snapshot: str
) -> None:
    good = pushed(isolated / "good", {"g": "fine"}, "--store", str(source))
    min(objects(source), key=lambda file: file.read_bytes() != b"hello").unlink()
    run = sync(source, target, "--all", "--delete")
    assert (run.code, run.stdout) == (1, "")
    assert f"while copying snapshot {snapshot}" in run.stderr
    assert ["".join(file.relative_to(target / ".manifests").parts) for file in manifests(target)] == [good]


@pytest.mark.parametrize("split", [("from", "to"), ("from",), ("to",)])
def test_either_side_may_have_a_pool(split: tuple[str, ...], isolated: Path, source: Path, target: Path) -> None:
    """SYN-11, SYN-12, SYN-13, SYN-15"""
    pools = {"from": isolated / "from-pool", "to": isolated / "to-pool"}
    where = ("--objects-store", str(pools["from"])) if "from" in split else ()
    snapshot = pushed(isolated / "tree", SPLIT, "--store", str(source), *where)
    untouched = contents(source), contents(pools["from"])
    more = [word for side in split for word in (f"--{side}-objects", str(pools[side]))]
    run = sync(source, target, "--id", snapshot, *more)
    assert (run.code, run.stdout) == (0, f"{snapshot}\n")
    landed = pools["to"] if "to" in split else target
    assert (len(objects(landed)), len(manifests(target))) == (4, 1)
    assert "to" not in split or not objects(target)
    assert (contents(source), contents(pools["from"])) == untouched
    assert "0 copied" in sync(source, target, "--id", snapshot, *more).stderr
    next(iter(manifests(target))).unlink()
    assert "0 copied, 4 skipped (0 bytes)" in sync(source, target, "--id", snapshot, *more).stderr
    assert len(manifests(target)) == 1


def test_a_missing_object_publishes_nothing(isolated: Path, source: Path, target: Path, snapshot: str) -> None:
    """SYN-14"""
    next(iter(objects(source))).unlink()
    assert sync(source, target, "--id", snapshot).code == 1
    assert manifests(target) == set()
    assert cli("fetch", "--store", str(target), "--id", snapshot).code == 1


def test_the_variable_for_pools_means_nothing_here(
    isolated: Path, source: Path, target: Path, snapshot: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # SYN-17
    monkeypatch.setenv("SNAPDIR_OBJECTS_STORE", str(isolated / "elsewhere"))
    assert sync(source, target, "--id", snapshot, "--objects-store", "custom://x").code == 0
    assert len(objects(target)) == 2


@pytest.mark.parametrize(
    "args",
    [
        ["--from", "mock://a", "--to", "./b"],
        ["--from", "./a", "--to", "mock://b"],
        ["--from", "./a", "--to", "./b", "--from-objects", "custom://x"],
        ["--from", "./a", "--to", "./b", "--to-objects", "custom://x"],
    ],
)
def test_programs_outside_are_refused(args: list[str]) -> None:  # SYN-01, SYN-16
    run = cli("sync", "--id", ID, *args)
    assert (run.code, run.stdout) == (1, "")
    assert "sync requires in-process stores (file/s3/b2/gcs)" in run.stderr
    assert "not supported" in run.stderr


@pytest.mark.parametrize(
    ("one", "other"), [("./a", "./a"), ("./a", "./a/"), ("./a", "./link"), ("s3://b/p", "s3://b/p/")]
)
def test_the_two_must_be_two_places(one: str, other: str) -> None:  # SYN-02, STO-03
    Path("a").mkdir()
    Path("link").symlink_to("a")
    run = cli("sync", "--id", ID, "--from", one, "--to", other)
    assert (run.code, run.stdout) == (1, "")
    assert "sync --from and --to must differ" in run.stderr


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:  # SYN-03, ARG-19, ARG-20
    assert cli("sync", "--from", "./a", "--to", "./a") == Run(1, "", "error: missing --id option (or --all)\n")
    assert (cli("sync", "--to", "./b").code, "--from" in cli("sync", "--to", "./b").stderr) == (2, True)
    monkeypatch.setenv("SNAPDIR_STORE", "./a")
    run = cli("sync", "--id", ID)
    assert (run.code, "--to" in run.stderr) == (2, True)
    assert cli("sync", "--id", ID, "--all", "--to", "./b").code == 2


def test_from_is_the_usual_store(
    source: Path, target: Path, snapshot: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # ARG-18
    monkeypatch.setenv("SNAPDIR_STORE", str(source))
    assert cli("sync", "--id", snapshot, "--to", str(target)).stdout == f"{snapshot}\n"


def test_a_source_that_is_not_there_leaves_no_manifest(target: Path) -> None:  # SYN-18
    assert sync("file:///missing", target, "--id", "0" * 64).code == 1
    assert not target.exists()


def test_recheck_replaces_what_the_target_only_seems_to_have(source: Path, target: Path, snapshot: str) -> None:
    sync(source, target, "--id", snapshot)
    damaged = next(iter(objects(target)))
    good = damaged.read_bytes()
    damaged.chmod(0o644)
    damaged.write_bytes(bytes(len(good)))
    assert "0 copied" in sync(source, target, "--id", snapshot).stderr
    assert "2 copied, 0 skipped" in sync(source, target, "--id", snapshot, "--recheck").stderr
    assert damaged.read_bytes() == good
