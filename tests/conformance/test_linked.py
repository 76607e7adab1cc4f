"""MAN-16 to MAN-22: trees of links into a pool of objects."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.conformance.harness import Shell, case, digest_of, plant, unlock


@pytest.fixture
def linked(sh: Shell, src: Path, store: str, pushed: str, dest: Path) -> Path:
    """T1 pulled as links into the pool of objects."""
    sh.ok("pull", "--store", store, "--id", pushed, "--linked", dest)
    assert (dest / "a.txt").is_symlink()
    return dest


@case("MAN-16")
def test_reading_links_by_their_target_gives_the_same_result_as_hashing(sh: Shell, linked: Path, place: Path) -> None:
    (place / "outside").write_text("outside the pool")
    for more in (lambda: None, lambda: plant(linked, {"real.txt": "real"}), lambda: link(linked / "out", "outside")):
        more()
        for verb in ("id", "manifest"):
            by_address = sh.ok(verb, linked)
            assert by_address == sh.ok(verb, linked, SNAPDIR_VERIFY_COPIES="1")
            assert by_address == sh.ok(verb, f"{linked.parent}/current/../{linked.name}")


def link(file: Path, target: str) -> None:
    file.symlink_to(file.parent.parent / target)


@case("MAN-17")
def test_content_behind_a_link_into_the_pool_is_not_read(sh: Shell, linked: Path) -> None:
    before = sh.ok("manifest", linked), sh.ok("id", linked)
    unlock((linked / "a.txt").resolve(), "HELLO")
    assert (sh.ok("manifest", linked), sh.ok("id", linked)) == before


@case("MAN-18")
@pytest.mark.parametrize("verb", ["id", "manifest"])
def test_verify_copies_finds_damage_behind_a_link(verb: str, sh: Shell, linked: Path) -> None:
    unlock((linked / "a.txt").resolve(), "HELLO")
    message = sh.fails(verb, linked, SNAPDIR_VERIFY_COPIES="1").err
    assert "a.txt" in message or digest_of("hello") in message


@case("MAN-19")
def test_other_checksums_read_the_content_behind_a_link(sh: Shell, linked: Path) -> None:
    for content in ("hello", "HELLO"):
        unlock((linked / "a.txt").resolve(), content)
        found = {line.split(" ")[4]: line.split(" ")[2] for line in md5_lines(sh, linked)}
        assert found["./a.txt"] == hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()


def md5_lines(sh: Shell, tree: Path) -> list[str]:
    return sh.ok("manifest", "--checksum-bin", "md5sum", tree).lines


@case("MAN-20")
def test_keyed_checksums_read_the_content_behind_a_link(sh: Shell, linked: Path) -> None:
    keyed = sh.ok("id", linked, SNAPDIR_MANIFEST_CONTEXT="k").value
    assert keyed != sh.id(linked)
    unlock((linked / "a.txt").resolve(), "HELLO")
    assert sh.ok("id", linked, SNAPDIR_MANIFEST_CONTEXT="k").value != keyed


@case("MAN-21")
def test_a_link_whose_object_is_gone_is_an_error(sh: Shell, linked: Path) -> None:
    (linked / "a.txt").resolve().unlink()
    message = sh.fails("id", linked).err.lower()
    assert "a.txt" in message or "no such file" in message


@case("MAN-22")
def test_a_linked_tree_has_another_id_than_its_source(sh: Shell, linked: Path, src: Path) -> None:
    assert sh.id(linked) != sh.id(src)
