"""Temporaries belong to their run while it lives; those of a killed run are removed, and nothing else is."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from snapdir.disk import run_folder
from snapdir.disk.claims import open_locked
from snapdir.disk.run_folder import CLAIMED, RunFolder, replace_note, sweep

pytestmark = pytest.mark.usefixtures("open_descriptors")

DAY_SECONDS = 24 * 3600

WORK = """
import sys
from pathlib import Path
from snapdir.disk.run_folder import RunFolder
folder = RunFolder(sys.argv[1])
Path(folder.path, "temporary").write_bytes(b"half of it")
print("works", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    return tmp_path / "store" / ".partial"


def names(partial: Path) -> list[str]:
    return sorted(str(path.relative_to(partial)) for path in partial.rglob("*"))


def age(path: Path, seconds: float) -> None:
    for one in [*path.rglob("*"), path]:
        os.utime(one, (0, time.time() - seconds), follow_symlinks=False)


def test_what_a_killed_process_left_goes_when_the_next_one_begins_and_not_before(partial: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WORK, str(partial)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"works\n"
        folder = RunFolder(partial)
        assert len(os.listdir(folder.path)) == 0
        assert len(names(partial)) == 3
        folder.close()
        process.kill()
        process.wait()
        assert len(names(partial)) == 2
        own = os.path.basename(folder.path)
        assert names(partial) == [own]
        folder.close()
    assert names(partial) == []


def test_a_folder_is_made_once_for_all_threads_and_again_when_it_is_gone(partial: Path) -> None:
    folder = RunFolder(partial)
    seen: list[str] = []
    threads = [threading.Thread(target=lambda: seen.append(folder.path)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == 1
    os.rmdir(seen[0])
    folder.forget("another")
    assert folder.path == seen[0]
    folder.forget(seen[0])
    assert folder.path != seen[0]
    assert os.path.isdir(folder.path)
    folder.close()
    folder.close()
    assert names(partial) == []


def test_a_folder_that_is_not_empty_stays_for_the_next_run(partial: Path) -> None:
    folder = RunFolder(partial)
    temporary = Path(folder.path, "temporary")
    temporary.touch()
    folder.close()
    assert temporary.exists()
    sweep(partial)
    assert names(partial) == []


def test_a_folder_that_is_swept_before_it_is_locked_is_made_anew(
    partial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice, another process acts between the creation and the lock."""
    make, swept = os.mkdir, []

    def mkdir(path: str, *more: int) -> None:
        make(path, *more)
        if os.path.basename(path).startswith("run-") and len(swept) < 2:
            swept.append(path)
            sweep(partial)

    monkeypatch.setattr(os, "mkdir", mkdir)
    folder = RunFolder(partial)
    assert os.path.isdir(folder.path)
    assert len(swept) == 2
    assert names(partial) == [os.path.basename(folder.path)]
    folder.close()


@pytest.mark.parametrize(
    ("name", "patience"),
    [("digest" + CLAIMED, 7 * DAY_SECONDS), ("0123456789ab", DAY_SECONDS), ("external-77/.objects", DAY_SECONDS)],
)
def test_what_is_no_folder_of_a_run_goes_by_its_age(partial: Path, name: str, patience: float) -> None:
    (partial / name).parent.mkdir(parents=True)
    (partial / name).write_bytes(b"data")
    top = partial / name.partition("/")[0]
    age(top, patience - 60)
    sweep(partial)
    assert (partial / name).exists()
    age(top, patience + 60)
    sweep(partial)
    assert names(partial) == []


def test_what_another_process_works_on_stays_however_old_it_is(partial: Path) -> None:
    partial.mkdir(parents=True)
    descriptor = open_locked(partial / ("digest" + CLAIMED))
    age(partial, 14 * DAY_SECONDS)
    sweep(partial)
    assert names(partial) == ["digest" + CLAIMED]
    os.close(descriptor)
    sweep(partial)
    assert names(partial) == []


def test_where_locks_prove_little_a_folder_goes_by_its_age_too(partial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder, "is_on_local_filesystem", lambda _: False)
    (partial / "run-1").mkdir(parents=True)
    (partial / "run-1" / "temporary").touch()
    age(partial, DAY_SECONDS + 60)
    os.utime(partial / "run-1" / "temporary")  # of a process on another host that is still writing
    sweep(partial)
    assert (partial / "run-1" / "temporary").exists()
    age(partial, DAY_SECONDS + 60)
    sweep(partial)
    assert names(partial) == []


def test_without_locks_a_run_works_and_is_not_swept(partial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    folder = RunFolder(partial)
    Path(folder.path, "temporary").touch()
    sweep(partial)
    assert len(names(partial)) == 2


def test_a_sweep_follows_no_link_and_fails_over_nothing(partial: Path, tmp_path: Path) -> None:
    sweep(partial)
    (partial / "run-1").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").touch()
    (partial / "run-1" / "link").symlink_to(tmp_path / "elsewhere")
    (partial / "run-2").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(partial / "fifo")
    sweep(partial)
    assert names(partial) == ["fifo", "run-2"]
    assert (tmp_path / "elsewhere" / "file").exists()


def test_a_note_replaces_an_older_one_and_leaves_no_temporary(tmp_path: Path) -> None:
    note = tmp_path / "cache" / ".notes" / "one"
    for data in (b"first", b"second"):
        replace_note(tmp_path / "cache", note, data, fsync=False)
        assert note.read_bytes() == data
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == ["one"]
    note.unlink()
    note.mkdir()
    with pytest.raises(IsADirectoryError):
        replace_note(tmp_path / "cache", note, b"third", fsync=False)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_parent_that_another_process_removes_is_made_again(partial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = os.mkdir

    def make_too_late(path: str, *more: int) -> None:
        if os.path.dirname(path) == str(partial):
            monkeypatch.setattr(os, "mkdir", make)
            partial.rmdir()
        make(path, *more)

    monkeypatch.setattr(os, "mkdir", make_too_late)
    folder = RunFolder(partial)
    assert os.path.isdir(folder.path)
    folder.close()
