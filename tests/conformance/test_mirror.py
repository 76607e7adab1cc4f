"""MIR: mirrors (``--delete``) and linked checkouts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.harness import NO_ID, Shell, case, digest_of, files, manifests, plant, sharded

WRITE = """
import ctypes, os, sys
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1  # root may write what nobody may: the writer goes without that privilege
ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-c", "import sys; open(sys.argv[1], 'ab').write(b'more')", sys.argv[1]])
"""


@pytest.fixture
def pulled(sh: Shell, pushed: str, store: str, dest: Path) -> Path:
    """T1 as it was pulled, with a copy in the cache."""
    sh.ok("pull", "--cache", "--store", store, "--id", pushed, dest)
    return dest


@pytest.fixture
def home(place: Path) -> Path:
    (place / "home" / "sentinel").write_text("precious")
    return place / "home"


def mirror(sh: Shell, snapshot_id: str, dest: Path, *flags: str) -> str:
    """What a checkout with ``--delete`` says on stdout."""
    return sh.ok("checkout", "--id", snapshot_id, "--delete", *flags, dest).out


@case("MIR-01")
def test_paths_that_are_not_in_the_snapshot_are_removed(sh: Shell, pushed: str, pulled: Path) -> None:
    plant(pulled, {"extra.txt": "x", "sub/extra": "y", "deep/er/file": "z", "hollow/": ""})
    mirror(sh, pushed, pulled)
    assert sh.id(pulled) == pushed


@case("MIR-02")
def test_a_second_mirror_changes_nothing(sh: Shell, pushed: str, pulled: Path) -> None:
    for _ in range(2):
        mirror(sh, pushed, pulled)
        assert sh.id(pulled) == pushed


@case("MIR-03")
def test_a_dry_run_lists_the_paths_it_would_remove(sh: Shell, pushed: str, pulled: Path) -> None:
    plant(pulled, {"extra.txt": "x", "deep/er/file": "z"})
    before = sh.ok("manifest", pulled)
    assert mirror(sh, pushed, pulled, "--dryrun").splitlines() == [
        "would delete: ./deep/er/file",
        "would delete: ./deep/er/",
        "would delete: ./deep/",
        "would delete: ./extra.txt",
    ]
    assert sh.ok("manifest", pulled) == before


@case("MIR-04")
def test_a_missing_destination_is_created(sh: Shell, src: Path, dest: Path) -> None:
    staged = sh.ok("stage", src).value
    mirror(sh, staged, dest)
    assert sh.id(dest) == staged


@case("MIR-05")
def test_paths_that_match_an_exclude_are_kept(sh: Shell, pushed: str, pulled: Path) -> None:
    plant(pulled, {"a.log": "1", "b.tmp": "2", "alog": "3", "sub/deep.log": "4", "keep/me": "5", "not/keep": "6"})
    mirror(sh, pushed, pulled, "--exclude", r"\.(log|tmp)$", "--exclude", "^./keep/")
    assert files(pulled) == {"a.txt", "sub/b.txt", "a.log", "b.tmp", "sub/deep.log", "keep/me"}


@case("MIR-06")
@pytest.mark.parametrize("verb", [["checkout"], ["pull"]])
def test_links_are_removed_and_not_followed(verb: list[str], sh: Shell, pushed: str, pulled: Path, store: str) -> None:
    outside = plant(pulled.parent / "outside", {"file": "precious", "d/file": "precious"})
    for number, target in enumerate((outside, outside / "file", "../outside", "../outside/file", "..")):
        (pulled / f"link{number}").symlink_to(target)
        (pulled / "sub" / f"link{number}").symlink_to(target)
    sh.ok(*verb, "--store", store, "--id", pushed, "--delete", pulled)
    assert sh.id(pulled) == pushed
    assert files(outside) == {"file", "d/file"}
    assert (outside / "d/file").read_text() == "precious"


@case("MIR-07")
def test_links_in_a_circle_cause_no_loop(sh: Shell, pushed: str, pulled: Path) -> None:
    (pulled / "a").symlink_to("b")
    (pulled / "b").symlink_to("a")
    (pulled / "sub" / "up").symlink_to("..")
    mirror(sh, pushed, pulled)
    assert sh.id(pulled) == pushed


def refused(sh: Shell, dest: str | Path, *flags: str) -> None:
    """A mirror of what no cache has is refused for what its destination is."""
    for force in ([], ["--force"]):
        message = sh.fails("checkout", "--id", NO_ID, "--delete", *force, *flags, dest).err
        assert "refusing to mirror-delete" in message


@case("MIR-08")
def test_home_is_refused_as_a_mirror(sh: Shell, home: Path) -> None:
    refused(sh, home)
    assert (home / "sentinel").exists()


@case("MIR-09")
def test_the_root_is_refused_as_a_mirror(sh: Shell) -> None:
    refused(sh, "/")


@case("MIR-10")
@pytest.mark.parametrize("which", ["cache", "xdg/cache/snapdir"])
def test_a_cache_is_refused_as_a_mirror(which: str, sh: Shell, place: Path) -> None:
    plant(place / which, {"sentinel": "precious"})
    refused(sh, place / which)
    assert (place / which / "sentinel").exists()


@case("MIR-11")
def test_a_store_is_refused_as_a_mirror(sh: Shell, pushed: str, store: str, folder: Path) -> None:
    for force in ([], ["--force"]):
        message = sh.fails("checkout", "--store", store, "--id", pushed, "--delete", *force, folder).err
        assert "refusing to mirror-delete" in message
    assert manifests(folder) == {pushed}


@case("MIR-12")
@pytest.mark.parametrize("alias", ["home/", "home/.", "to-home", "to-home/", "current/../home"])
def test_other_names_of_home_are_refused_as_a_mirror(alias: str, sh: Shell, home: Path, place: Path) -> None:
    (place / "to-home").symlink_to(home)
    refused(sh, f"{place}/{alias}")
    assert (home / "sentinel").exists()


@case("MIR-13")
@pytest.mark.parametrize("store", [f"{scheme}://host/a" for scheme in ("s3", "gs", "b2", "ssh", "sftp")])
def test_links_lead_to_the_cache_whatever_the_store_is(store: str, sh: Shell, src: Path, place: Path) -> None:
    staged = sh.ok("stage", src).value
    for verb in ("checkout", "pull"):
        linked = ["--linked", "--id", staged, place / verb]
        sh.ok(verb, *linked, *(["--store", store] if verb == "checkout" else []))
        assert str(place / "cache") in os.readlink(place / verb / "a.txt")


@pytest.fixture
def linked(sh: Shell, pushed: str, store: str, dest: Path) -> Path:
    sh.ok("pull", "--store", store, "--id", pushed, "--linked", dest)
    return dest


@case("MIR-14")
def test_linked_files_are_links_to_read_only_objects(linked: Path) -> None:
    for name, content in {"a.txt": "hello", "sub/b.txt": "world!!"}.items():
        assert (linked / name).is_symlink()
        target = (linked / name).resolve()
        assert str(target).endswith(f"/.objects/{sharded(digest_of(content))}")
        assert target.stat().st_mode & 0o777 == 0o444
        assert (linked / name).read_text() == content


@case("MIR-15")
def test_a_linked_mirror_keeps_its_links(sh: Shell, pushed: str, linked: Path) -> None:
    plant(linked, {"extra": "x"})
    mirror(sh, pushed, linked, "--linked")
    assert files(linked) == {"a.txt", "sub/b.txt"}
    assert (linked / "a.txt").is_symlink()


@case("MIR-16")
def test_an_open_file_stays_readable_after_a_mirror(sh: Shell, src: Path, store: str, pulled: Path) -> None:
    (src / "a.txt").write_text("other")
    second = sh.push(src, store)
    with (pulled / "a.txt").open() as opened:
        sh.ok("pull", "--store", store, "--id", second, "--delete", pulled)
        assert opened.read() == "hello"
    assert (pulled / "a.txt").read_text() == "other"


@case("MIR-17")
def test_a_linked_file_cannot_be_written_through(sh: Shell, pushed: str, store: str, linked: Path) -> None:
    line = [sys.executable, "-c", WRITE, linked / "a.txt"]
    writer = subprocess.run(line, capture_output=True, check=False)
    assert b"PermissionError" in writer.stderr
    assert (linked / "a.txt").read_text() == "hello"
    sh.ok("verify", "--store", store, "--id", pushed)
    sh.ok("verify-cache")


@case("MIR-18")
def test_editing_a_copy_does_not_change_objects(sh: Shell, pushed: str, store: str, pulled: Path) -> None:
    (pulled / "a.txt").write_text("edited")
    sh.ok("verify", "--store", store, "--id", pushed)
    sh.ok("verify-cache")


@case("MIR-19")
def test_a_changed_file_is_replaced_by_a_new_file(sh: Shell, src: Path, store: str, pulled: Path) -> None:
    before = os.stat(pulled / "a.txt").st_ino, os.stat(pulled / "sub" / "b.txt").st_ino
    (src / "a.txt").write_text("other")
    sh.ok("pull", "--store", store, "--id", sh.push(src, store), pulled)
    assert os.stat(pulled / "a.txt").st_ino != before[0]
    assert os.stat(pulled / "sub" / "b.txt").st_ino == before[1]
