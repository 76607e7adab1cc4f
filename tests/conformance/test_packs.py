"""PLB: the plumbing, and packs."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapdir import version
from tests.conformance.harness import (
    NO_ID,
    Processes,
    Run,
    Shell,
    case,
    digest_of,
    files,
    manifests,
    objects,
    plant,
    sharded,
)
from tests.conformance.trees import TP

CONTENTS = ("plumbing alpha", "plumbing bravo!!", "plumbing charlie payload")
OBJECTS = tuple(map(digest_of, CONTENTS))
IDS = "".join(f"{digest}\n" for digest in OBJECTS).encode()
ABSENT = digest_of("absent")


@pytest.fixture
def sh(place: Path) -> Shell:
    return Processes(place)


@pytest.fixture
def pushed(sh: Shell, store: str, place: Path) -> str:
    """The id of TP, which ``store`` has."""
    return sh.push(plant(place / "tp", TP), store)


@pytest.fixture
def goal(place: Path) -> Path:
    """Where packs are received; not there yet."""
    return place / "goal"


@pytest.fixture
def pack(sh: Shell, pushed: str, store: str) -> bytes:
    """All of TP."""
    return sent(sh, store, pushed).stdout


def sent(sh: Shell, store: str, snapshot_id: str, *flags: str) -> Run:
    return sh.ok("send-pack", "--store", store, "--ids", "-", "--manifest-id", snapshot_id, *flags, stdin=IDS)


def receive(goal: Path, *flags: str) -> list[str]:
    return ["receive-pack", "--store", f"file://{goal}", *flags]


def record(content: bytes, digest: str) -> bytes:
    return b"SNAPPACK 1\nobj %s %d\n%send\n" % (digest.encode(), len(content), content)


@case("PLB-01")
def test_the_capabilities_are_one_line(sh: Shell) -> None:
    expected = f"snapdir {version()} wire=1 caps=objects-needed,send-pack,receive-pack,snappack-zstd\n"
    assert sh.ok("version", "--capabilities").out == expected


@case("PLB-02")
def test_needed_objects_are_listed_once_and_in_order(sh: Shell, pushed: str, store: str) -> None:
    other = digest_of("other")
    asked = "".join(f"{digest}\n" for digest in (other, OBJECTS[0], ABSENT, "", other, OBJECTS[1], ABSENT))
    assert sh.ok("objects-needed", "--store", store, stdin=asked.encode()).lines == [other, ABSENT]


@case("PLB-03")
@pytest.mark.parametrize("bad", [ABSENT.upper(), ABSENT[1:], "g" * 64])
def test_a_line_that_is_not_a_checksum_fails_the_whole_list(bad: str, sh: Shell, pushed: str, store: str) -> None:
    sh.fails("objects-needed", "--store", store, stdin=f"{ABSENT}\n{bad}\n".encode())


@case("PLB-04")
def test_an_empty_list_needs_no_objects(sh: Shell, store: str) -> None:
    assert sh.ok("objects-needed", "--store", store, stdin=b"").out == ""


@case("PLB-05")
def test_a_pack_carries_a_snapshot(sh: Shell, pushed: str, store: str, folder: Path, pack: bytes, goal: Path) -> None:
    received = sh.ok(*receive(goal, "--require-manifest", pushed), stdin=pack)
    assert received.out == ""
    for kind, digests in ((".objects", OBJECTS), (".manifests", (pushed,))):
        for digest in digests:
            path = f"{kind}/{sharded(digest)}"
            assert (goal / path).read_bytes() == (folder / path).read_bytes()


@case("PLB-06")
def test_both_pack_formats_are_accepted(sh: Shell, pushed: str, store: str, pack: bytes, place: Path) -> None:
    packed = {
        "v1": sent(sh, store, pushed, "--pack-format", "v1").stdout,
        "zstd": sent(sh, store, pushed, "--pack-format", "zstd").stdout,
    }
    assert packed["v1"] == pack
    assert pack.startswith(b"SNAPPACK 1\n")
    assert packed["zstd"].startswith(b"SNAPPACK 1Z\n")
    for name, content in packed.items():
        sh.ok(*receive(place / name), stdin=content)
    assert files(place / "v1") == files(place / "zstd")
    assert objects(place / "v1") == set(OBJECTS)


@case("PLB-07")
def test_a_record_with_a_wrong_checksum_stores_nothing(sh: Shell, goal: Path) -> None:
    sh.fails(*receive(goal), stdin=record(b"content", ABSENT))
    assert files(goal) == set()


@case("PLB-08")
@pytest.mark.parametrize(
    "name", ["../../../../etc/passwd", "%2f" * 21 + "x", "/" * 64, "../" * 21 + "a", "." * 64, ABSENT.upper()]
)
def test_a_record_with_an_invalid_name_stores_nothing(name: str, sh: Shell, goal: Path) -> None:
    before = files(goal.parent)
    sh.fails(*receive(goal), stdin=record(b"absent", name))
    assert files(goal.parent) == before


@case("PLB-09")
def test_a_truncated_pack_commits_no_manifest_and_a_complete_one_does(
    sh: Shell, pushed: str, pack: bytes, goal: Path
) -> None:
    sh.fails(*receive(goal), stdin=pack.removesuffix(b"end\n"))
    assert manifests(goal) == set()
    assert objects(goal) == set(OBJECTS)
    sh.ok(*receive(goal), stdin=pack)
    assert manifests(goal) == {pushed}


@case("PLB-10")
def test_the_manifest_must_be_the_required_one(sh: Shell, pack: bytes, goal: Path) -> None:
    sh.fails(*receive(goal, "--require-manifest", NO_ID), stdin=pack)
    assert manifests(goal) == set()


@case("PLB-11")
def test_a_missing_object_truncates_the_pack(sh: Shell, pushed: str, store: str, place: Path) -> None:
    (place / "ids").write_bytes(IDS + f"{ABSENT}\n".encode())
    done = sh("send-pack", "--store", store, "--ids", place / "ids")
    assert done.code == 1
    assert not done.stdout.endswith(b"end\n")


@case("PLB-12")
def test_a_bad_list_of_ids_sends_nothing(sh: Shell, pushed: str, store: str) -> None:
    sh.fails("send-pack", "--store", store, "--ids", "-", stdin=IDS + b"not an id\n")


@case("PLB-13")
@pytest.mark.parametrize("fsync", [None, "", "batch", "off"])
def test_flushing_may_be_turned_off(fsync: str | None, sh: Shell, goal: Path) -> None:
    sh.ok(*receive(goal), stdin=record(b"absent", ABSENT), SNAPDIR_FSYNC=fsync)
    assert objects(goal) == {ABSENT}


@case("PLB-14")
def test_an_unknown_flush_mode_is_refused(sh: Shell, goal: Path) -> None:
    message = sh.refused(*receive(goal), stdin=record(b"absent", ABSENT), SNAPDIR_FSYNC="fsyncall").err
    assert all(word in message for word in ("SNAPDIR_FSYNC", "batch", "off"))
    assert files(goal) == set()
