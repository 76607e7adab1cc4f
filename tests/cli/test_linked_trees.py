"""The id of a linked tree is found without reading what its links lead to (checklist MAN-16..22)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run, cli
from tests.cli.test_pools import objects, re_id
from tests.cli.test_sync import TREE, made, pushed

MD5_OF_HELLO = "5d41402abc4b2a76b9719d911017c592"


@pytest.fixture
def store(isolated: Path) -> Path:
    return isolated / "store"


@pytest.fixture
def snapshot(isolated: Path, store: Path) -> str:
    return pushed(isolated / "tree", TREE, "--store", str(store))


@pytest.fixture
def linked(isolated: Path, store: Path, snapshot: str) -> Path:
    run = cli("pull", "--store", str(store), "--id", snapshot, "--linked", str(isolated / "linked"))
    assert run == Run(0, "", "")
    return isolated / "linked"


def strictly(monkeypatch: pytest.MonkeyPatch, *args: str) -> Run:
    with monkeypatch.context() as patch:
        patch.setenv("SNAPDIR_VERIFY_COPIES", "1")
        return cli(*args)


def damage(link: Path) -> Path:
    """Overwrite the object behind a link, its length kept."""
    target = link.resolve()
    target.chmod(0o644)
    target.write_bytes(b"?" * target.stat().st_size)
    return target


@pytest.mark.parametrize("verb", ["id", "manifest"])
@pytest.mark.parametrize("more", ["", "real file", "outside link"])
def test_what_is_believed_and_what_is_read_agree_while_all_is_well(
    verb: str, more: str, isolated: Path, linked: Path, snapshot: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # MAN-16, MAN-22
    if more == "real file":
        made(linked, {"sub/real": "of its own"})
    if more == "outside link":
        (linked / "elsewhere").symlink_to(made(isolated / "outside", {"file": "x"}) / "file")
    believed = cli(verb, str(linked))
    assert believed.code == 0
    assert believed == strictly(monkeypatch, verb, str(linked))
    assert believed.stdout == cli(verb, f"{linked}/sub/..").stdout
    assert believed.stdout.strip() != snapshot


@pytest.mark.parametrize("verb", ["id", "manifest"])
def test_a_believed_object_is_not_read(verb: str, linked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MAN-17, MAN-18"""
    before = cli(verb, str(linked))
    target = damage(linked / "a.txt")
    assert cli(verb, str(linked)) == before
    strict = strictly(monkeypatch, verb, str(linked))
    assert (strict.code, strict.stdout) == (1, "")
    assert str(linked / "a.txt") in strict.stderr
    assert "".join(target.parts[-4:]) in strict.stderr


def test_another_hash_reads_the_content(linked: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # MAN-19, MAN-20
    assert MD5_OF_HELLO in cli("manifest", "--checksum-bin", "md5sum", str(linked)).stdout
    plain = re_id(linked)
    monkeypatch.setenv("SNAPDIR_MANIFEST_CONTEXT", "a context")
    keyed = re_id(linked)
    damage(linked / "a.txt")
    assert len({plain, keyed, re_id(linked)}) == 3
    monkeypatch.delenv("SNAPDIR_MANIFEST_CONTEXT")
    assert MD5_OF_HELLO not in cli("manifest", "--checksum-bin", "md5sum", str(linked)).stdout


@pytest.mark.parametrize("verb", ["id", "manifest", "stage"])
def test_a_link_whose_object_is_gone_is_an_error_and_not_left_out(verb: str, linked: Path) -> None:  # MAN-21
    (linked / "a.txt").resolve().unlink()
    run = cli(verb, str(linked))
    assert (run.code, run.stdout) == (1, "")
    assert f"{linked}/a.txt" in run.stderr


def test_a_link_that_only_looks_like_one_to_an_object_is_read(isolated: Path, linked: Path) -> None:
    real = next(iter(objects(isolated / "cache")))
    lookalike = isolated / "other" / real.relative_to(isolated / "cache")
    lookalike.parent.mkdir(parents=True)
    lookalike.write_text("another content")
    (linked / "a.txt").unlink()
    (linked / "a.txt").symlink_to(lookalike)
    (linked / "b").symlink_to(isolated / "cache" / ".objects")
    assert cli("manifest", "--exclude", "/b$", str(linked)).code == 0
    assert "".join(real.parts[-4:]) not in cli("manifest", "--exclude", "/b$|/sub/", str(linked)).stdout


@pytest.mark.parametrize("verb", ["push", "stage"])
def test_what_is_stored_is_always_read(verb: str, isolated: Path, store: Path, linked: Path) -> None:
    where = ("--store", str(isolated / "second")) if verb == "push" else ()
    stored = cli(verb, *where, str(linked))
    assert (stored.code, stored.stdout.strip()) == (0, re_id(linked))
    damage(linked / "a.txt")
    run = cli(verb, *where, str(linked))
    assert (run.code, run.stdout) == (1, "")
    assert f"{linked}/a.txt, a link to the object" in run.stderr
