"""The leftovers of a killed run in a store or cache are removed by the next run that writes there."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from .conftest import Run, cli, command_line

LARGE = bytes(range(256)) * (3 << 12)

STOPS_WHILE_COPYING = """
import os, threading
copy = os.copy_file_range
def copy_some(source, target, count, *offsets):
    moved = copy(source, target, 1 << 20, *offsets)
    open("copied", "x").close()
    threading.Event().wait()
os.copy_file_range = copy_some
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "large").write_bytes(LARGE)
    (tmp_path / "tree" / "small").write_bytes(b"small")
    return tmp_path / "tree"


def succeeded(run: Run) -> str:
    assert run.code == 0, run.stderr
    return run.stdout.strip()


def leave_temporaries(root: Path) -> None:
    """As a process that was killed: a folder that nobody has locked."""
    folder = root / ".partial" / "run-0123456789abcdef"
    folder.mkdir(parents=True)
    (folder / "temporary").write_bytes(LARGE)


def left(root: Path) -> list[str]:
    return sorted(os.listdir(root / ".partial"))


@pytest.mark.parametrize("verb", ["push", "stage"])
def test_a_push_that_was_killed_while_it_copied_leaves_nothing_behind_the_next_one(
    isolated: Path, tree: Path, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAPDIR_CLONEFILE", "0")
    root = isolated / "cache" if verb == "stage" else Path("store")
    args = [verb, str(tree)] if verb == "stage" else [verb, "--store", "./store", str(tree)]
    for _ in range(2):
        with subprocess.Popen(command_line(*args, patch=STOPS_WHILE_COPYING), stdin=subprocess.DEVNULL) as process:
            while not Path("copied").exists():
                assert process.poll() is None
            process.send_signal(signal.SIGKILL)
        Path("copied").unlink()
        assert len(left(root)) == 1  # the second has swept what the first left
    succeeded(cli(*args))
    assert left(root) == []


@pytest.mark.parametrize(
    "verb", ["push", "push --id", "stage", "sync", "receive-pack", "fetch", "pull", "verify-cache --purge"]
)
def test_every_verb_that_writes_sweeps(isolated: Path, tree: Path, verb: str) -> None:
    identifier = succeeded(cli("push", "--store", "./source", str(tree)))
    cache, store = isolated / "cache", Path("store")
    if verb == "push --id":
        succeeded(cli("stage", str(tree)))
    for root in (cache, store):
        leave_temporaries(root)
    if verb == "receive-pack":
        pack = subprocess.run(
            command_line("send-pack", "--store", "./source", "--ids", "-", "--manifest-id", identifier),
            input="\n".join(objects_of(Path("source"))).encode(),
            capture_output=True,
            check=True,
        ).stdout
        subprocess.run(command_line(verb, "--store", "./store"), input=pack, check=True, capture_output=True)
    else:
        commands = {
            "push": ["push", "--store", "./store", str(tree)],
            "push --id": ["push", "--store", "./store", "--id", identifier],
            "stage": ["stage", str(tree)],
            "sync": ["sync", "--from", "./source", "--to", "./store", "--id", identifier],
            "fetch": ["fetch", "--store", "./source", "--id", identifier],
            "pull": ["pull", "--store", "./source", "--id", identifier, "--no-cache", "out"],
            "verify-cache --purge": ["verify-cache", "--purge"],
        }
        succeeded(cli(*commands[verb]))
    both = [cache, store]
    written = {"push": both, "push --id": [store], "sync": [store], "receive-pack": [store]}.get(verb, [cache])
    for root in both:  # push leaves a note for `status` in the cache
        assert left(root) == ([] if root in written else ["run-0123456789abcdef"])


def test_a_dry_run_sweeps_nothing(isolated: Path, tree: Path) -> None:
    for root in (isolated / "cache", Path("store")):
        leave_temporaries(root)
    for args in (["push", "--store", "./store", str(tree)], ["stage", str(tree)], ["verify-cache", "--purge"]):
        succeeded(cli(args[0], "--dryrun", *args[1:]))
    assert left(isolated / "cache") == left(Path("store")) == ["run-0123456789abcdef"]


def test_flushing_the_cache_removes_them(isolated: Path, tree: Path) -> None:
    succeeded(cli("stage", str(tree)))
    leave_temporaries(isolated / "cache")
    succeeded(cli("flush-cache"))
    assert not (isolated / "cache" / ".partial").exists()


def objects_of(store: Path) -> list[str]:
    return [
        "".join(path.relative_to(store / ".objects").parts)
        for path in (store / ".objects").rglob("*")
        if path.is_file()
    ]
