"""A program that takes every descriptor while a verb runs: the verb works, or one error names the way out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Program
from tests.rclone_server import RcloneServer

LARGE_BYTES = 17 << 20

HOST = '''
import os, resource, sys
from pathlib import Path

import snapdir
from snapdir import blocking
from snapdir.errors import SnapdirError

kind, base = sys.argv[1], Path(sys.argv[2])
tree, held, events_left = base / "source", [], None


def take(left):
    """All descriptors of this process but ``left``."""
    try:
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        for _ in range(left):
            os.close(held.pop())


def take_later(event, _):
    global events_left
    if events_left is not None and event in ("open", "socket.__new__", "os.listdir", "os.scandir"):
        events_left -= 1
        if not events_left:
            events_left = None
            take(0)


def config(name):
    config = snapdir.Config(cache_dir=base / "caches" / name, catalog=base / "caches" / f"{name}.sqlite3")
    return config.with_options(retry_base_ms=1, retry_max_ms=20)


def store(name):
    return str(base / "stores" / name) if kind == "file" else f"s3://{sys.argv[3]}/{name}"


whole = store("whole")
known = blocking.push(tree, whole, config=config("pushed"))
blocking.fetch(known, whole, config=config("full"))
blocking.pull(known, whole, base / "pulled", config=config("pulled"))


def content(name):
    return blocking.id(base / "out" / name, config=config(name))


VERBS = {
    "id": lambda name: blocking.id(tree, config=config(name)),
    "push": lambda name: blocking.push(tree, store(name), config=config(name)),
    "stage": lambda name: blocking.stage(tree, config=config(name)),
    "pull": lambda name: blocking.pull(known, whole, base / "out" / name, config=config(name)).id,
    "fetch": lambda name: blocking.fetch(known, whole, config=config(name)).id,
    "checkout": lambda name: blocking.checkout(known, base / "out" / name, config=config("full")).id,
    "verify": lambda name: known if blocking.verify(known, whole, config=config(name)) else "",
    "sync": lambda name: blocking.sync(known, whole, store(name), config=config(name)) and known,
    "status": lambda name: known if blocking.status(base / "pulled", config=config("pulled")).clean else "",
    "report": lambda name: known if blocking.report(whole, config=config(name)).snapshots else "",
}

POINTS = [(True, left) for left in (0, 1, 2, 4, 8)] + [(False, event) for event in (1, 3, 8, 20, 45)]
"""All but so many are taken before the verb, or all of them when it opens the file or socket of this number."""

resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400))
sys.addaudithook(take_later)
for verb, run in VERBS.items():
    assert run(f"{verb}-first") == known, verb  # imports what it needs
    for at_start, number in POINTS:
        name = f"{verb}-{at_start}-{number}"
        try:
            if at_start:
                take(number)
            else:
                events_left = number
            if run(name) != known:
                print(name, "another id")
        except SnapdirError as error:
            if "ulimit -n" not in str(error) or "--max-open-files" not in str(error):
                print(name, repr(error))
        except BaseException as error:
            print(name, repr(error))
        finally:
            events_left = None
            while held:
                os.close(held.pop())
        if run(name) != known:
            print(name, "cannot be repeated")
        if verb in ("pull", "checkout") and content(name) != known:
            print(name, "wrong content")
print("done")
'''


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_exhausted_descriptors_are_borne_or_named_and_leave_nothing_wrong(
    program: Program, s3_server: RcloneServer, kind: str
) -> None:
    program.environment.update(s3_server.environment)
    bucket = f"exhausted-{kind}"
    s3_server.make_bucket(bucket)
    for number in range(30):
        folder = program.folder / "source" / f"d{number}"
        folder.mkdir(parents=True)
        (folder / "file").write_text(f"file {number}")
    (program.folder / "source/large").write_bytes(bytes(LARGE_BYTES))
    host = program.folder / "host.py"
    host.write_text(HOST)
    command = [sys.executable, str(host), kind, str(program.folder), bucket]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, **program.options({}))
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


ALL_TAKEN = """
import os, resource, sys
import snapdir.api.verify, anyio._backends._asyncio
from snapdir import blocking

resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), 400))
held = []
try:
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
try:
    blocking.verify("0" * 64, "./store")
except snapdir.SnapdirError as error:
    print(error)
"""


def test_a_loop_that_cannot_start_is_an_error_and_no_end_of_the_process(tmp_path: Path, program: Program) -> None:
    """uvloop would abort the process."""
    script = tmp_path / "taken.py"
    script.write_text(ALL_TAKEN)
    command = [sys.executable, str(script), "100"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **program.options({}))
    assert done.returncode == 0, done
    assert done.stdout.startswith("I/O error: event loop: Too many open files"), done
    assert "--max-open-files" in done.stdout
