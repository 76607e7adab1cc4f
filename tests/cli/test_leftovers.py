"""What a checkout or pull keeps, replaces or refuses in a directory that is not empty, and what a dry run reports."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

import snapdir
from snapdir import Counters
from snapdir.config import Config
from snapdir.errors import DestinationConflict
from tests.cli.conftest import Run, cli
from tests.cli.test_mirror import everything
from tests.cli.test_sync import made, pushed

FIRST = {"a.txt": "hello", "val/5": "5", "val/6": "6", "val/7.json": "7", "kept": "k"}
SECOND = {"a.txt": "changed", "val/8": "8", "kept": "k"}
LEFT = "3 paths in {} are not in the snapshot (./val/5, ./val/6, ./val/7.json); use --delete to remove them"


@pytest.fixture
def store(isolated: Path) -> Path:
    return isolated / "store"


@pytest.fixture
def first(isolated: Path, store: Path) -> str:
    return pushed(isolated / "first", FIRST, "--store", str(store))


@pytest.fixture
def second(isolated: Path, store: Path) -> str:
    return pushed(isolated / "second", SECOND, "--store", str(store))


@pytest.fixture
def dest(isolated: Path, store: Path, first: str, second: str) -> Path:
    """The first version, with the second in the cache."""
    assert pull(store, first, isolated / "d") == Run(0, "", "")
    assert cli("fetch", "--store", str(store), "--id", second).code == 0
    return isolated / "d"


def pull(store: Path, snapshot: str, dest: Path, *more: str) -> Run:
    return cli("pull", "--store", str(store), "--id", snapshot, *more, str(dest))


WAYS = [("pull",), ("pull", "--no-cache"), ("pull", "--linked"), ("checkout",), ("checkout", "--linked")]


def run(way: tuple[str, ...], store: Path, snapshot: str, dest: Path, *more: str) -> Run:
    where = ("--store", str(store)) if way[0] == "pull" else ()
    return cli(*way, *where, "--id", snapshot, *more, str(dest))


def replaced(way: tuple[str, ...]) -> list[str]:
    """Files become links, too, in a linked tree."""
    return ["./a.txt", "./kept"] if "--linked" in way else ["./a.txt"]


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_what_the_old_version_left_is_said(
    way: tuple[str, ...], store: Path, first: str, second: str, dest: Path
) -> None:
    done = run(way, store, second, dest)
    note = f"replaced {len(replaced(way))} file(s) that differed in {dest} ({', '.join(replaced(way))})"
    assert done == Run(0, "", f"warning: {LEFT.format(dest)}\n{note}\n")
    assert (dest / "val" / "7.json").read_text() == "7"
    assert run(way, store, second, dest, "-q") == Run(0, "", "")
    assert run(way, store, second, dest, "--delete").code == 0
    assert run(way, store, second, dest, "--strict") == Run(0, "", "")
    assert everything(dest) == {"a.txt", "kept", "val", "val/8"}


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
@pytest.mark.parametrize("dry", [(), ("--dryrun",)])
def test_strict_makes_it_exit_1(
    way: tuple[str, ...], dry: tuple[str, ...], store: Path, second: str, dest: Path
) -> None:
    done = run(way, store, second, dest, "--strict", *dry)
    assert (done.code, done.stdout) == (1, "")
    assert (
        "3 paths are not in the snapshot (use --delete to remove them): ./val/5, ./val/6, ./val/7.json" in done.stderr
    )
    assert (dest / "a.txt").read_text() == ("hello" if dry else "changed")
    if not dry:
        extra = "".join(f"extra\t./val/{name}\n" for name in ("5", "6", "7.json"))
        assert cli("status", str(dest)).stdout == f"state\tpath\n{extra}"
    assert run(way, store, second, dest, "--strict", "--delete", *dry).code == 0


def test_the_warning_counts_paths_and_names_three(store: Path, second: str, dest: Path, isolated: Path) -> None:
    new = isolated / "new"
    made(new, {"extra": "x"})
    assert (
        f"1 path in {new} is not in the snapshot (./extra); use --delete to remove it\n"
        in pull(store, second, new).stderr
    )
    made(new, {f"more/{number}": "x" for number in range(4)})
    (new / "empty" / "deep").mkdir(parents=True)
    said = (
        f"6 paths in {new} are not in the snapshot (./empty/deep/, ./extra, ./more/0, …); use --delete to remove them\n"
    )
    assert said in pull(store, second, new).stderr


@pytest.mark.parametrize("verb", ["pull", "checkout"])
async def test_the_report_has_all_of_them(verb: str, isolated: Path, store: Path, second: str, dest: Path) -> None:
    counters = Counters()
    config = Config(cache_dir=isolated / "cache")
    run = partial(snapdir.pull, second, str(store), dest, config=config)
    if verb == "checkout":
        run = partial(snapdir.checkout, second, dest, config=config)
    await run(counters=counters)
    assert counters.extra == ["./val/5", "./val/6", "./val/7.json"]
    assert counters.warnings == [LEFT.format(dest)]
    with pytest.raises(DestinationConflict) as raised:
        await run(strict=True)
    assert raised.value.paths == tuple(counters.extra)


def test_files_that_were_not_selected_are_not_left_over(store: Path, first: str, second: str, dest: Path) -> None:
    (dest / "other").write_text("not asked for")
    assert "warning" not in pull(store, first, dest, "--include", "val/").stderr
    assert "warning" not in pull(store, first, dest, "--shard", "1/2", "--exclude", "other").stderr
    done = pull(store, second, dest, "--include", "val/")
    remedy = "check out the whole snapshot with --delete to remove them"
    assert f"(./val/5, ./val/6, ./val/7.json); {remedy}\n" in done.stderr
    assert "(./other, ./val/8); check out the whole" in pull(store, first, dest, "--shard", "2/2").stderr


def test_temporaries_stores_and_caches_inside_are_not_left_over(
    isolated: Path, store: Path, second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = isolated / "inside"
    monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(inside / ".cache" / "snapdir"))
    made(inside, {".snapdir-partial/x": "a rest"})
    (isolated / "alias").symlink_to("inside")
    local = isolated / "alias" / "sub" / "store"
    snapshot = pushed(isolated / "second", SECOND, "--store", str(local))
    for verb in (("pull", "--cache"), ("checkout",)):
        assert cli(*verb, "--store", str(local), "--id", snapshot, "--strict", str(inside)).code == 0
    made(inside, {"extra": "x"})
    assert "1 path in" in pull(local, snapshot, inside).stderr


def test_a_directory_that_cannot_be_read_fails_no_pull(
    store: Path, second: str, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as the ``lost+found`` of a filesystem, for others than root."""
    (dest / "lost+found").mkdir()
    real = __import__("os").open

    def refuse(path: str, flags: int, *more: int, dir_fd: int | None = None) -> int:
        descriptor: int = real(path, flags, *more, dir_fd=dir_fd)
        if path == "." and Path(f"/proc/self/fd/{descriptor}").readlink().name == "lost+found":
            __import__("os").close(descriptor)
            raise PermissionError(13, "Permission denied")
        return descriptor

    monkeypatch.setattr("os.open", refuse)
    assert "4 paths in" in pull(store, second, dest).stderr
    status = cli("status", "--store", str(store), "--id", second, str(dest))
    assert (status.code, f"{dest}/lost+found" in status.stderr) == (2, True)


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_a_dry_run_lists_what_would_be_replaced_and_removed(
    way: tuple[str, ...], store: Path, second: str, dest: Path
) -> None:
    (dest / "val" / "8").mkdir()
    before = everything(dest)
    would = "".join(f"would replace: {path}\n" for path in replaced(way))
    note = f"dry-run: would check out {second} to {dest} (no writes performed)\n"
    left = f"warning: {LEFT.format(dest)}\n"
    fetch = "" if way[0] == "checkout" else "; nothing to fetch"
    files = len(replaced(way))
    counted = f"dry-run: 3 files, 9 B; {files + 1} to write, of them {files} to replace; {{}} to remove{fetch}\n"
    dry = f"{left}{counted.format('1 path')}{note}{would}would delete: ./val/8/\n"
    assert run(way, store, second, dest, "--dryrun") == Run(0, "", dry)
    gone = "".join(f"would delete: ./val/{name}\n" for name in ("5", "6", "7.json", "8/"))
    assert run(way, store, second, dest, "--dryrun", "--delete") == Run(
        0, gone, f"{counted.format('4 paths')}{note}{would}"
    )
    assert run(way, store, second, dest, "--dryrun", "--delete", "-q") == Run(0, gone, "")
    assert everything(dest) == before


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
@pytest.mark.parametrize("dry", [(), ("--dryrun",)])
def test_what_is_in_the_way_is_named_with_the_way_out(
    way: tuple[str, ...], dry: tuple[str, ...], isolated: Path, store: Path, second: str, dest: Path
) -> None:
    (dest / "kept").unlink()
    made(dest, {"kept/notes.txt": "precious"})
    (dest / "val" / "5").rename(isolated / "5")
    for name in ("6", "7.json"):
        (dest / "val" / name).unlink()
    (dest / "val").rmdir()
    (dest / "val").symlink_to(isolated)
    before = everything(dest)
    for more, said in (((), "--delete"), (("--no-overwrite",), "--no-overwrite")):
        done = run(way, store, second, dest, *more, *dry)
        assert (done.code, done.stdout) == (1, "")
        assert "./kept/" in done.stderr
        assert "./val" in done.stderr
        assert said in done.stderr
        assert everything(dest) == before
    protected = run(way, store, second, dest, "--delete", "--exclude", "notes", *dry)
    assert (protected.code, "./kept/notes.txt" in protected.stderr) == (1, True)
    assert everything(dest) == before
    assert run(way, store, second, dest, "--delete", *dry).code == 0
    assert (everything(dest) == before) == bool(dry)
    assert (isolated / "5").read_text() == "5"
