"""`--delete` and `--linked` on checkout and pull (checklist MIR-01..18, DER-12, DER-34)."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.cli.conftest import ID, Run, cli
from tests.cli.demanding_s3 import Bucket
from tests.cli.test_pools import manifests, objects, re_id
from tests.cli.test_sync import TREE, contents, made, pushed


@pytest.fixture
def store(isolated: Path) -> Path:
    return isolated / "store"


@pytest.fixture
def snapshot(isolated: Path, store: Path) -> str:
    """Of ``tree``, in the store and pulled to ``dest``."""
    identifier = pushed(isolated / "tree", TREE, "--store", str(store))
    assert pull(store, identifier, isolated / "dest", "--cache").code == 0
    return identifier


@pytest.fixture
def dest(isolated: Path, snapshot: str) -> Path:
    return isolated / "dest"


def pull(store: Path, snapshot: str, dest: Path, *more: str) -> Run:
    return cli("pull", "--store", str(store), "--id", snapshot, *more, str(dest))


def mirror(snapshot: str, dest: Path | str, *more: str) -> Run:
    return cli("checkout", "--id", snapshot, "--delete", *more, str(dest))


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def cached_contents(cache: Path) -> dict[str, bytes]:
    """Snapshots and objects, without notes of checkouts and of trees that were read."""
    return {key: data for key, data in contents(cache).items() if not key.startswith((".checkouts/", ".index/"))}


def test_a_mirror_holds_the_snapshot_and_nothing_else(dest: Path, snapshot: str) -> None:  # MIR-01, MIR-02
    made(dest, {"extra": "x", "new/deep/er/file": "y", "sub/extra": "z"})
    run = mirror(snapshot, dest)
    assert (run.code, run.stdout) == (0, "")
    first = "./new/deep/er/file, ./new/deep/er/, ./new/deep/, …"
    assert run.stderr == f"removed 6 path(s) that are not in the snapshot from {dest} ({first})\n"
    assert re_id(dest) == snapshot
    assert mirror(snapshot, dest) == Run(0, "", "")


@pytest.mark.parametrize("cold", [True, False])
def test_a_dry_run_lists_what_would_go_deepest_first(
    cold: bool, isolated: Path, store: Path, dest: Path, snapshot: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # MIR-03, DER-12
    made(dest, {"extra": "x", "new/b": "y", "new/a\n": "y"})
    before = everything(dest)
    said = "would delete: ./new/a\\n\nwould delete: ./new/b\nwould delete: ./extra\nwould delete: ./new/\n"
    if cold:
        monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(isolated / "cold"))
        checked_out = f"dry-run: would check out {snapshot} to {dest} (no writes performed)\n"
        fetched = f"dry-run: would fetch {snapshot} into the local cache (no writes performed)\n"
        counted = "dry-run: 2 files, 12 B; 0 to write; 4 paths to remove; {}\n"
        straight, through = counted.format("nothing to fetch"), counted.format("2 objects, 12 B to fetch")
        for more, notes in (
            ((), straight + checked_out),
            (("--no-cache",), straight + checked_out),
            (("--cache",), through + fetched + checked_out),
            (("-q",), ""),
        ):
            assert pull(store, snapshot, dest, "--delete", "--dryrun", *more) == Run(0, said, notes)
        assert not (isolated / "cold").exists()
    else:
        assert mirror(snapshot, dest, "--dryrun", "-q") == Run(0, said, "")
    assert everything(dest) == before
    assert mirror(snapshot, isolated / "absent", "--dryrun").stdout == ""
    assert not (isolated / "absent").exists()


def test_a_mirror_of_nothing_is_a_checkout(isolated: Path, snapshot: str) -> None:  # MIR-04
    assert mirror(snapshot, isolated / "absent") == Run(0, "", "")
    assert re_id(isolated / "absent") == snapshot


def test_what_a_pattern_fits_stays(dest: Path, snapshot: str) -> None:  # MIR-05
    made(
        dest, {"keep.log": "1", "keepxlog": "2", "new/a.tmp": "3", "new/b": "4", "top": "5", "sub/top": "6", "c,d": "7"}
    )
    patterns = ("--exclude", r"keep\.log|\.tmp$", "--exclude", r"^\./top$,c.d")
    assert mirror(snapshot, dest, *patterns).code == 0
    assert everything(dest) == {"a.txt", "sub", "sub/b.txt", "keep.log", "new", "new/a.tmp", "top", "c,d"}


def test_a_bad_pattern_is_an_error_before_anything_is_done(dest: Path, snapshot: str) -> None:
    made(dest, {"extra": "x"})
    run = mirror(snapshot, dest, "--exclude", "(")
    assert (run.code, "invalid exclude pattern '('" in run.stderr) == (1, True)
    assert (dest / "extra").exists()


@pytest.mark.parametrize("verb", ["checkout", "pull"])
def test_links_go_and_what_they_lead_to_stays(
    verb: str, isolated: Path, store: Path, dest: Path, snapshot: str
) -> None:  # MIR-06, MIR-07
    outside = made(isolated / "outside", {"file": "precious", "folder/file": "precious"})
    before = contents(outside)
    for name, target in {
        "absolute": outside / "file", "folder": outside / "folder", "relative": "../outside/folder", "sub/up": "../..",
        "a": "b", "b": "a",
    }.items():  # fmt: skip
        (dest / name).symlink_to(target)
    run = mirror(snapshot, dest) if verb == "checkout" else pull(store, snapshot, dest, "--delete")
    assert run.code == 0
    assert re_id(dest) == snapshot
    assert contents(outside) == before


@pytest.mark.parametrize("force", [(), ("--force",)])
@pytest.mark.parametrize(
    "place", ["/", "home", "home/", "home/.", "alias", ".", "cache", "xdg", "xdg/snapdir", "cache/x"]
)
def test_places_that_matter_are_refused_before_any_lookup(place: str, force: tuple[str, ...], isolated: Path) -> None:
    """MIR-08, MIR-09, MIR-10, MIR-12, and what holds one of them."""
    for folder in ("home", "cache", "xdg/snapdir"):
        made(isolated / folder, {"sentinel": "still here"})
    (isolated / "alias").symlink_to("home")
    run = mirror("0" * 64, place if place == "/" else f"{isolated}/{place}", *force)
    assert (run.code, run.stdout) == (1, "")
    assert "refusing to mirror-delete" in run.stderr
    assert cli("pull", "--delete", "--store", "s3://unreachable", "--id", ID, f"{isolated}/home").code == 1
    assert all((isolated / folder / "sentinel").exists() for folder in ("home", "cache", "xdg/snapdir"))


@pytest.mark.parametrize("option", ["--store", "--objects-store", "variable"])
@pytest.mark.parametrize("inside", ["", "inner"])
def test_a_store_is_no_destination(
    option: str, inside: str, store: Path, snapshot: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # MIR-11
    if option == "variable":
        monkeypatch.setenv("SNAPDIR_STORE", str(store))
    more = () if option == "variable" else (option, str(store))
    before = contents(store)
    run = mirror(snapshot, store / inside, *more, "--force")
    assert (run.code, "refusing to mirror-delete" in run.stderr) == (1, True)
    assert contents(store) == before
    assert len(manifests(store)) == 1


def test_files_and_directories_change_places(isolated: Path, store: Path, dest: Path) -> None:
    other = pushed(isolated / "other", {"a.txt/now/deep": "1", "sub": "2"}, "--store", str(store))
    made(dest, {"sub/extra": "x"})
    assert pull(store, other, dest, "--delete").code == 0
    assert re_id(dest) == other


def test_what_is_protected_is_not_replaced_by_another_kind(isolated: Path, store: Path, dest: Path) -> None:
    other = pushed(isolated / "other", {"sub": "a file now"}, "--store", str(store))
    made(dest, {"sub/precious": "x", "extra": "y"})
    before = everything(dest)
    for more in ((), ("--dryrun",)):
        run = pull(store, other, dest, "--delete", "--exclude", "precious", *more)
        assert (run.code, "./sub/precious" in run.stderr) == (1, True)
    assert everything(dest) == before


@pytest.mark.parametrize("glob", ["keep-*.bin", "keep-*", "*.bin", "keep/*", "**/keep"])
def test_a_glob_that_should_protect_paths_gets_the_expression_before_anything_is_deleted(
    glob: str, store: Path, snapshot: str, dest: Path
) -> None:
    made(dest, {"keep-1.bin": "x", "keep/2": "y"})
    before = everything(dest)
    for more in ((), ("--dryrun",)):
        run = pull(store, snapshot, dest, "--delete", "--exclude", glob, *more)
        assert (run.code, "a glob" in run.stderr, "write '" in run.stderr) == (1, True, True)
    assert everything(dest) == before


@pytest.mark.parametrize("mode", ["--delete", "--linked"])
@pytest.mark.parametrize("part", [("--include", "*.txt"), ("--shard", "1/2")])
def test_a_part_of_a_snapshot_is_no_mirror_and_no_linked_tree(
    mode: str, part: tuple[str, ...], dest: Path, snapshot: str
) -> None:
    made(dest, {"extra": "x"})
    run = cli("checkout", "--id", snapshot, mode, *part, str(dest))
    assert (run.code, f"{mode} cannot be used with" in run.stderr) == (2, True)
    assert (dest / "extra").exists()


def test_links_from_a_bucket_go_through_the_cache(
    isolated: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:  # MIR-13
    snapshot = pushed(isolated / "tree", TREE, "--store", "s3://bucket/p")
    monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(isolated / "cold"))
    linked = isolated / "linked"
    assert cli("pull", "--linked", "--store", "s3://bucket/p", "--id", snapshot, str(linked)) == Run(0, "", "")
    assert {Path(os.readlink(linked / name)) for name in TREE} <= objects(isolated / "cold")
    assert {name: (linked / name).read_text() for name in TREE} == TREE
    assert cli("checkout", "--linked", "--store", "s3://bucket/p", "--id", snapshot, "again").code == 0


def test_links_need_the_cache(isolated: Path, store: Path, snapshot: str) -> None:
    run = pull(store, snapshot, isolated / "new", "--linked", "--no-cache")
    assert (run.code, "--linked cannot be used with --no-cache" in run.stderr) == (2, True)
    assert not (isolated / "new").exists()


def test_a_linked_tree_is_links_to_read_only_objects(isolated: Path, store: Path, snapshot: str) -> None:  # MIR-14
    linked = isolated / "linked"
    cache = isolated / "cache"
    for file in objects(cache):
        file.chmod(0o644)
    assert pull(store, snapshot, linked, "--linked") == Run(0, "", "")
    for name, text in TREE.items():
        target = Path(os.readlink(linked / name))
        assert target in objects(cache)
        assert target.is_absolute()
        assert stat.S_IMODE(target.stat().st_mode) == 0o444
        assert (linked / name).read_text() == text
    assert stat.S_ISDIR((linked / "sub").lstat().st_mode)
    before = {name: (linked / name).lstat().st_ino for name in TREE}
    assert pull(store, snapshot, linked, "--linked").code == 0
    assert {name: (linked / name).lstat().st_ino for name in TREE} == before


def test_a_linked_checkout_needs_no_store(isolated: Path) -> None:  # DER-34
    staged = cli("stage", str(made(isolated / "tree", TREE))).stdout.strip()
    assert cli("checkout", "--linked", "--id", staged, str(isolated / "linked")) == Run(0, "", "")
    assert (isolated / "linked" / "a.txt").is_symlink()


def test_a_linked_mirror_keeps_its_links(isolated: Path, store: Path, snapshot: str) -> None:  # MIR-15
    linked = isolated / "linked"
    pull(store, snapshot, linked, "--linked")
    made(linked, {"extra": "x"})
    (linked / "another").symlink_to("nowhere")
    assert mirror(snapshot, linked, "--linked").code == 0
    assert everything(linked) == {"a.txt", "sub", "sub/b.txt"}
    assert (linked / "a.txt").is_symlink()


def test_links_and_files_change_places(isolated: Path, store: Path, dest: Path, snapshot: str) -> None:
    assert "replaced 2 file(s)" in mirror(snapshot, dest, "--linked").stderr
    assert (dest / "sub" / "b.txt").is_symlink()
    (dest / "a.txt").unlink()
    made(dest, {"a.txt/folder/file": "x"})
    assert cli("checkout", "--linked", "--no-overwrite", "--id", snapshot, str(dest)).code == 1
    assert mirror(snapshot, dest, "--linked").code == 0
    assert (dest / "a.txt").is_symlink()
    before = cached_contents(isolated / "cache")
    assert mirror(snapshot, dest).code == 0
    assert re_id(dest) == snapshot
    assert cached_contents(isolated / "cache") == before


def test_a_hole_in_the_cache_stops_a_linked_checkout(isolated: Path, store: Path, snapshot: str) -> None:
    next(iter(objects(isolated / "cache"))).unlink()
    run = cli("checkout", "--linked", "--id", snapshot, str(isolated / "linked"))
    assert (run.code, "is missing from the cache" in run.stderr) == (1, True)
    assert not (isolated / "linked").exists()


def test_damage_is_found_before_linking_if_asked_for(
    isolated: Path, store: Path, snapshot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = max(objects(isolated / "cache"), key=lambda file: file.stat().st_size)  # an empty one stays as it is
    damaged.chmod(0o644)
    damaged.write_bytes(bytes(damaged.stat().st_size))
    monkeypatch.setenv("SNAPDIR_VERIFY_COPIES", "1")
    run = cli("checkout", "--linked", "--id", snapshot, str(isolated / "linked"))
    assert (run.code, "integrity" in run.stderr) == (1, True)


@pytest.mark.parametrize("more", [(), ("--linked",)])
def test_who_has_a_file_open_keeps_its_bytes(
    more: tuple[str, ...], isolated: Path, store: Path, snapshot: str
) -> None:  # MIR-16
    other = pushed(isolated / "other", {"a.txt": "new"}, "--store", str(store))
    place = isolated / "place"
    pull(store, snapshot, place, *more)
    with (place / "a.txt").open() as file:
        assert pull(store, other, place, "--delete", *more).code == 0
        assert file.read() == "hello"
    assert (place / "a.txt").read_text() == "new"


def test_a_copy_can_be_edited_without_harm_to_its_object(isolated: Path, dest: Path, store: Path) -> None:  # MIR-18
    before = contents(store), contents(isolated / "cache")
    with (dest / "a.txt").open("r+") as file:
        file.write("HELLO")
    assert (contents(store), contents(isolated / "cache")) == before


def test_an_empty_directory_is_pushed_and_mirrored_with_a_warning(isolated: Path, store: Path, dest: Path) -> None:
    empty = isolated / "empty"
    empty.mkdir()
    for verb in (("push", "--store", str(store)), ("stage",)):
        for more in ((), ("--dryrun",)):
            assert f"warning: {empty} has no files: the snapshot is empty\n" in cli(*verb, *more, str(empty)).stderr
    said = "warning: the snapshot has no files: --delete {} what was in {}\n"
    assert said.format("would remove", dest) in pull(store, "latest", dest, "--delete", "--dryrun").stderr
    assert said.format("removed", dest) in pull(store, "latest", dest, "--delete").stderr
    assert "no files" not in pull(store, "latest", dest, "--delete").stderr
