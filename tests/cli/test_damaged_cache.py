"""A damaged cache is repaired if a store is given; otherwise the error names it and the way out."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3

from tests.cli.conftest import Run, cli, program

FILES = {"a.txt": b"alpha", "b.txt": b"omega", "sub/large": os.urandom((1 << 20) + 7), "empty": b""}
SMALL, LARGE = "a.txt", "sub/large"
PURGE = "`snapdir verify-cache --purge`"
NOT_ALMIGHTY = """
import ctypes
header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
assert ctypes.CDLL(None).capset(header, nothing) == 0
"""
"""For root too, the mode of a file counts: it gives its capabilities up."""

pytestmark = pytest.mark.timeout(60)  # a FIFO that somebody opens would be waited for


@pytest.fixture
def tree(isolated: Path) -> Path:
    for name, data in FILES.items():
        file = isolated / "tree" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return isolated / "tree"


@pytest.fixture
def store(isolated: Path) -> str:
    return str(isolated / "store")


@pytest.fixture
def snapshot(tree: Path, store: str) -> str:
    return ok("push", "--store", store, str(tree)).stdout.strip()


@pytest.fixture
def cache(isolated: Path, snapshot: str, store: str) -> Path:
    """It has the snapshot."""
    ok("fetch", "--store", store, "--id", snapshot)
    return isolated / "cache"


def ok(*args: str) -> Run:
    run = cli(*args)
    assert run.code == 0, run.stderr
    return run


def failed(*args: str) -> str:
    run = cli(*args)
    assert run.code == 1, run
    assert run.stderr.count("\n") == 1
    return run.stderr


def object_of(folder: Path, name: str) -> Path:
    return keyed(folder / ".objects", blake3(FILES[name]).hexdigest())


def manifest_of(folder: Path, snapshot_id: str) -> Path:
    return keyed(folder / ".manifests", snapshot_id)


def keyed(folder: Path, digest: str) -> Path:
    return folder / digest[:3] / digest[3:6] / digest[6:9] / digest[9:]


# Kinds of damage


def flipped(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    rewrite(file, bytes(data))


def truncated(file: Path) -> None:
    rewrite(file, file.read_bytes()[:-2])


def emptied(file: Path) -> None:
    rewrite(file, b"")


def longer(file: Path) -> None:
    rewrite(file, file.read_bytes() + b"?")


def swapped(file: Path) -> None:
    """With the bytes of another object, which has the same length."""
    rewrite(file, FILES["b.txt"] if file.stat().st_size == len(FILES["b.txt"]) else b"?" * file.stat().st_size)


def a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def unreadable(file: Path) -> None:
    """In a way that holds for root too: a link to itself."""
    file.unlink()
    file.symlink_to(file)


def rewrite(file: Path, data: bytes) -> None:
    file.chmod(0o644)
    file.write_bytes(data)


def a_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


Damage = Callable[[Path], None]
SAME_LENGTH = [flipped, swapped]
EVERY_KIND = [*SAME_LENGTH, truncated, emptied, longer, a_pipe, a_directory, unreadable]

damages = pytest.mark.parametrize("damage", EVERY_KIND, ids=lambda kind: kind.__name__)
names = pytest.mark.parametrize("name", [SMALL, LARGE])
ways = pytest.mark.parametrize("linked", [[], ["--linked"]], ids=["files", "links"])


def assert_out(name: str = "out") -> None:
    assert {file: (Path(name) / file).read_bytes() for file in FILES} == FILES


# Objects


@damages
@names
@ways
def test_a_pull_mends_the_cache(
    damage: Damage, name: str, linked: list[str], cache: Path, store: str, snapshot: str
) -> None:
    damage(object_of(cache, name))
    run = ok("pull", "--cache", "--store", store, "--id", snapshot, *linked, "out")
    assert_out()
    if damage in SAME_LENGTH:  # others are seen by their length, as missing
        assert f"1 damaged object(s) in the cache were fetched again; the first is for ./{name}" in run.stderr
    assert ok("verify-cache").stderr == ""
    assert ok("pull", "--cache", "--store", store, "--id", snapshot, *linked, "again").stderr == ""
    assert_out("again")


def test_a_pull_of_a_part_mends_what_it_needs(cache: Path, store: str, snapshot: str) -> None:
    flipped(object_of(cache, LARGE))
    swapped(object_of(cache, SMALL))
    ok("pull", "--cache", "--store", store, "--id", snapshot, "--include", "*.txt", "out")
    assert Path("out", SMALL).read_bytes() == FILES[SMALL]
    assert object_of(cache, SMALL).read_bytes() == FILES[SMALL]
    assert object_of(cache, LARGE).read_bytes() != FILES[LARGE]  # nobody has read it


def test_what_the_store_does_not_give_either_is_an_error(cache: Path, store: str, snapshot: str) -> None:
    flipped(object_of(cache, SMALL))
    flipped(object_of(Path(store), SMALL))
    said = failed("pull", "--cache", "--store", store, "--id", snapshot, "out")
    assert f"{store}/.objects" in said
    assert "the store has damaged data: push a good copy again" in said
    assert not Path("out", SMALL).exists()


@pytest.mark.parametrize("damage", [flipped, a_pipe, unreadable], ids=lambda kind: kind.__name__)
@ways
def test_what_the_store_cannot_give_stays_in_the_cache(
    damage: Damage, linked: list[str], cache: Path, store: str, snapshot: str
) -> None:
    """It may be the last copy: an object that cannot be read is not necessarily damaged."""
    object_of(Path(store), SMALL).unlink()
    damage(object_of(cache, SMALL))
    before = object_of(cache, SMALL).lstat().st_ino
    said = failed("pull", "--cache", "--store", store, "--id", snapshot, *linked, "out")
    assert "object not found" in said
    if damage is flipped:  # the others are missing to begin with
        assert f"the cache at file://{cache} has 1 damaged object(s); the first is for ./{SMALL}" in said
    assert object_of(cache, SMALL).lstat().st_ino == before
    assert [file.name for file in object_of(cache, SMALL).parent.iterdir()] == [object_of(cache, SMALL).name]


@names
def test_a_directory_with_something_in_it_is_named(name: str, cache: Path, store: str, snapshot: str) -> None:
    a_directory(object_of(cache, name))
    (object_of(cache, name) / "mine").touch()
    said = failed("pull", "--cache", "--store", store, "--id", snapshot, "out")
    assert str(object_of(cache, name)) in said
    assert (object_of(cache, name) / "mine").exists()


def test_bytes_in_the_empty_object_are_damage(cache: Path, store: str, snapshot: str) -> None:
    longer(object_of(cache, "empty"))
    assert PURGE in failed("checkout", "--id", snapshot, "--linked", "out")
    ok("pull", "--cache", "--store", store, "--id", snapshot, "--linked", "out")
    assert_out()


@damages
@names
@ways
def test_without_a_store_the_error_names_the_cache(
    damage: Damage, name: str, linked: list[str], cache: Path, snapshot: str
) -> None:
    damage(object_of(cache, name))
    said = failed("checkout", "--id", snapshot, *linked, "out")
    assert "the store" not in said
    if damage in (a_pipe, a_directory, unreadable):  # that is no file at all: it counts as missing
        assert f"for ./{name} is missing from the cache" in said
    else:
        assert str(object_of(cache, name)) in said
        assert PURGE in said
    assert not os.path.lexists(Path("out", name))


@pytest.mark.parametrize("damage", SAME_LENGTH, ids=lambda kind: kind.__name__)
def test_a_link_that_is_there_is_made_to_what_is_verified(damage: Damage, cache: Path, snapshot: str) -> None:
    ok("checkout", "--id", snapshot, "--linked", "out")
    damage(object_of(cache, SMALL))
    assert PURGE in failed("checkout", "--id", snapshot, "--linked", "out")


def test_all_that_is_damaged_is_named_before_a_link_is_made(cache: Path, snapshot: str) -> None:
    flipped(object_of(cache, SMALL))
    flipped(object_of(cache, LARGE))
    run = cli("checkout", "--id", snapshot, "--linked", "out")
    assert run.code == 1
    assert str(object_of(cache, SMALL)) in run.stderr
    assert str(object_of(cache, LARGE)) in run.stderr
    assert list(Path("out").rglob("*")) == []


def test_the_way_out_that_is_named_leads_out(cache: Path, store: str, snapshot: str) -> None:
    flipped(object_of(cache, SMALL))
    failed("checkout", "--id", snapshot, "out")
    cli("verify-cache", "--purge")
    ok("fetch", "--store", store, "--id", snapshot)
    ok("checkout", "--id", snapshot, "out")
    assert_out()


def test_an_object_that_may_not_be_read_is_mended_or_named(cache: Path, store: str, snapshot: str) -> None:
    object_of(cache, SMALL).chmod(0)
    run = program("checkout", "--id", snapshot, "out", patch=NOT_ALMIGHTY)
    assert (run.code, str(object_of(cache, SMALL)) in run.stderr) == (1, True)
    assert program("verify-cache", patch=NOT_ALMIGHTY).stderr.startswith("Checksum mismatch for ")
    run = program("pull", "--cache", "--store", store, "--id", snapshot, "out", patch=NOT_ALMIGHTY)
    assert (run.code, "1 damaged object(s)" in run.stderr) == (0, True), run.stderr
    assert_out()


def test_a_push_from_the_cache_names_it(cache: Path, snapshot: str) -> None:
    flipped(object_of(cache, LARGE))
    said = failed("push", "--id", snapshot, "--store", "./other")
    assert str(object_of(cache, LARGE)) in said
    assert PURGE in said
    assert not manifest_of(Path("other"), snapshot).exists()


@pytest.mark.parametrize("damage", EVERY_KIND[:-1], ids=lambda kind: kind.__name__)
@names
def test_a_stage_puts_right_what_was_there(damage: Damage, name: str, tree: Path, cache: Path, snapshot: str) -> None:
    damage(object_of(cache, name))
    run = ok("stage", str(tree))
    assert run.stdout.strip() == snapshot
    if damage in SAME_LENGTH:
        said = f"1 damaged object(s) in the cache were replaced; the first is for ./{name}"
        assert said in run.stderr
    assert ok("verify-cache").stderr == ""
    assert ok("stage", str(tree)).stderr == ""


def test_a_destination_that_is_damaged_blames_nobody_else(cache: Path, snapshot: str) -> None:
    """What is wrong with the destination leaves the cache alone."""
    Path("out").write_text("a file")
    assert "out" in failed("checkout", "--id", snapshot, "--linked", "out")
    assert ok("verify-cache").stderr == ""


# Manifests


@damages
def test_a_pull_mends_a_manifest(damage: Damage, cache: Path, store: str, snapshot: str) -> None:
    damage(manifest_of(cache, snapshot))
    run = ok("pull", "--cache", "--store", store, "--id", snapshot, "out")
    assert_out()
    assert (f"the manifest of {snapshot} in the cache was damaged" in run.stderr) == (
        damage not in (a_pipe, a_directory, unreadable)  # no file at all: it is absent
    )
    ok("checkout", "--id", snapshot, "again")
    assert_out("again")


@pytest.mark.parametrize("damage", [flipped, emptied], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("verb", ["fetch", "diff", "ls", "status", "fetch --include *.txt"])
def test_verbs_that_read_a_manifest_mend_it_too(
    verb: str, damage: Damage, cache: Path, store: str, snapshot: str
) -> None:
    ok("checkout", "--id", snapshot, "out")
    sound = manifest_of(cache, snapshot).read_bytes()
    damage(manifest_of(cache, snapshot))
    name, *more = verb.split()
    args = {"diff": [snapshot, snapshot], "ls": [snapshot], "status": ["--id", snapshot, "out"]}
    run = ok(name, *more, *args.get(name, ["--id", snapshot]), "--store", store)
    assert f"the manifest of {snapshot} in the cache" in run.stderr
    assert "fetched again" in run.stderr
    assert manifest_of(cache, snapshot).read_bytes() == sound
    assert ok("verify-cache").stderr == ""


@pytest.mark.parametrize("verb", ["checkout", "fetch", "diff", "ls", "status", "push", "pull"])
def test_without_a_store_a_damaged_manifest_names_the_cache(verb: str, cache: Path, snapshot: str, store: str) -> None:
    flipped(manifest_of(cache, snapshot))
    Path("out").mkdir()
    args = {
        "checkout": ["--id", snapshot, "out"],
        "pull": ["--id", snapshot, "out"],
        "fetch": ["--id", snapshot],
        "diff": [snapshot, snapshot],
        "ls": [snapshot],
        "status": ["--id", snapshot, "out"],
        "push": ["--id", snapshot, "--store", "./other"],
    }[verb]
    run = cli(verb, *args)
    assert run.code != 0
    assert str(manifest_of(cache, snapshot)) in run.stderr
    assert PURGE in run.stderr


@pytest.mark.parametrize("damage", [flipped, truncated, emptied], ids=lambda kind: kind.__name__)
def test_a_damaged_manifest_is_reported_and_purged(damage: Damage, cache: Path, store: str, snapshot: str) -> None:
    damage(manifest_of(cache, snapshot))
    run = cli("verify-cache")
    assert run.code == 1
    assert run.stderr.splitlines() == [
        f"Damaged manifest {snapshot}",
        "error: 0 corrupt + 0 missing object(s) + 1 damaged manifest(s) in the cache",
    ]
    assert cli("verify-cache", "--id", snapshot).code == 1
    said = ok("verify-cache", "--purge").stderr
    assert "purged 0 corrupt object(s) + 1 damaged manifest(s)" in said
    assert f"removed manifest {snapshot}: `snapdir fetch --id {snapshot}` brings it back\n" in said
    assert not manifest_of(cache, snapshot).exists()
    ok("fetch", "--store", store, "--id", snapshot)
    assert ok("verify-cache").stderr == ""


def test_a_damaged_manifest_of_a_part_is_mended_or_purged(isolated: Path, store: str, snapshot: str) -> None:
    part = ["--store", store, "--id", snapshot, "--include", "*.txt"]
    ok("fetch", *part)
    note = isolated / "cache/.incomplete" / snapshot
    flipped(note)
    assert PURGE in failed("checkout", "--id", snapshot, "--include", "*.txt", "out")
    assert f"Damaged manifest {snapshot}" in cli("verify-cache").stderr
    assert "fetched again" in ok("fetch", *part).stderr
    flipped(note)
    ok("verify-cache", "--purge")
    assert not note.exists()
    ok("pull", "--cache", *part, "out")
