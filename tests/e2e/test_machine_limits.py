"""Few open files and little memory: every verb works within the limits or names the one it met."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Program, Run
from tests.rclone_server import RcloneServer

DIRECTORIES = 600
LARGE_BYTES = 17 << 20


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """More directories than are kept open, and two files that go in parts."""
    folder = tmp_path_factory.mktemp("wide")
    for number in range(DIRECTORIES):
        (folder / f"d{number}").mkdir()
        (folder / f"d{number}/file").write_text(f"file {number}")
    for number in range(2):
        (folder / f"large{number}").write_bytes(bytes([number]) * LARGE_BYTES)
    yield folder
    shutil.rmtree(folder)


def limited(program: Program, limit: str, *args: str) -> Run:
    """Run with a ``ulimit``, soft and hard."""
    command = ["bash", "-c", f'ulimit {limit}; exec "$@"', "-", *program.command(*args)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=300, **program.options({}))
    return Run(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def stores(program: Program, s3_server: RcloneServer) -> dict[str, str]:
    """Two stores of each kind that nobody else uses."""
    program.environment.update(s3_server.environment)
    bucket = f"limits-{program.folder.name}".lower().replace("_", "-")[-40:].strip("-")
    s3_server.make_bucket(bucket)
    return {"s3": f"s3://{bucket}/one", "s3 too": f"s3://{bucket}/two", "file": "./one", "file too": "./two"}


@pytest.mark.parametrize(
    ("kind", "limit"),
    [("s3", "-n 64"), ("file", "-n 64"), ("file", "-n 256"), ("s3", "-v 400000")],
    ids=lambda value: value.replace(" ", ""),
)
def test_every_verb_works_within_the_limits_of_the_machine(
    program: Program, wide: Path, stores: dict[str, str], kind: str, limit: str
) -> None:
    store = stores[kind]
    pushed = limited(program, limit, "push", "--jobs", "200", "--store", store, str(wide))
    assert (pushed.code, pushed.stderr) == (0, "")
    identifier = pushed.stdout.strip()
    for command in (
        ["pull", "--jobs", "200", "--store", store, "--id", identifier, "pulled"],
        ["verify", "--store", store, "--id", identifier],
        ["fetch", "--store", store, "--id", identifier],
        ["checkout", "--id", identifier, "checked-out"],
        ["sync", "--from", store, "--to", stores[f"{kind} too"], "--id", identifier],
        ["status", "pulled"],
        ["checkout", "--id", identifier, "--delete", "pulled"],
    ):
        run = limited(program, limit, *command)
        assert run.code == 0, (command, run)
    for copy in ("pulled", "checked-out"):
        assert limited(program, limit, "id", copy).stdout.strip() == identifier


def test_a_deep_directory_is_removed_with_few_open_files(program: Program, tree: Path) -> None:
    identifier = program.id("push", "--store", "./store", str(tree))
    deep = program.folder / "out"
    for number in range(120):
        deep = deep / f"d{number}"
    deep.mkdir(parents=True)
    run = limited(program, "-n 40", "pull", "--store", "./store", "--id", identifier, "--delete", "out")
    assert (run.code, program.id("id", "out")) == (0, identifier), run.stderr


@pytest.mark.parametrize("limit", [40_000, 60_000, 90_000])
@pytest.mark.parametrize("verb", ["verify", "push"])
def test_too_little_memory_is_one_line(
    program: Program, tree: Path, stores: dict[str, str], limit: int, verb: str
) -> None:
    """Or enough: what each needs depends on the machine."""
    identifier = program.id("push", "--store", stores["s3"], str(tree))
    args = {"push": ["push", "--store", stores["s3 too"], str(tree)]}
    verify = ["verify", "--store", stores["s3"], "--id", identifier]
    run = limited(program, f"-v {limit}", *args.get(verb, verify))
    if run.code != 0:
        assert run.code == 1, run
        assert "not enough memory" in run.stderr
        assert run.stderr.count("\n") == 1


def test_sixteen_hashing_threads_fit_into_little_memory(program: Program, wide: Path) -> None:
    run = limited(program, "-v 250000", "id", "--walk-jobs", "16", str(wide))
    assert (run.code, run.stdout, run.stderr) == (0, program.id("id", str(wide)) + "\n", "")


def script(program: Program, code: str, *args: str, limit: str = "-n 1024") -> Run:
    """A program of somebody's own, with a limit."""
    file = program.folder / "script.py"
    file.write_text(code)
    command = ["bash", "-c", f'ulimit {limit}; exec "$@"', "-", sys.executable, str(file), *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **program.options({}))
    return Run(done.returncode, done.stdout, done.stderr)


HOST = """
import os, resource, sys
from pathlib import Path
from snapdir import blocking

tree, store, destination = sys.argv[1:]
limit = resource.getrlimit(resource.RLIMIT_NOFILE)
held = [os.open(os.devnull, os.O_RDONLY) for _ in range(800)]
snapshot_id = blocking.push(tree, store)
blocking.pull(snapshot_id, store, destination)
assert blocking.id(destination) == snapshot_id
assert resource.getrlimit(resource.RLIMIT_NOFILE) == limit
print(snapshot_id)
"""


@pytest.mark.parametrize("kind", ["s3", "file"])
def test_a_host_program_that_holds_800_files_is_no_trouble(
    program: Program, wide: Path, stores: dict[str, str], kind: str
) -> None:
    """And its limits stay what they are."""
    run = script(program, HOST, str(wide), stores[kind], "out")
    assert (run.code, run.stderr) == (0, "")


EXHAUSTED = """
import asyncio, os, resource, sys
from pathlib import Path
from snapdir.disk.directories import DirectoryHandle, OpenDirectories
from snapdir.errors import ObjectNotFound
from snapdir.stores.open import open_store


def leave(count):
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
    in_use = len(os.listdir("/proc/self/fd")) - 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + count, 1024))


async def requests(url):
    async def is_there(store, number):
        try:
            await store.stat(f"absent-{number}")
        except ObjectNotFound:
            return False
        return True

    from snapdir.stores.settings import RetryPolicy, StoreSettings
    async with open_store(url, StoreSettings(retry=RetryPolicy(attempts=1, more_if_throttled=0))) as store:
        await is_there(store, 0)
        leave(2)
        print(any(await asyncio.gather(*(is_there(store, number) for number in range(60)))))
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))


asyncio.run(requests(sys.argv[1]))
root = Path(sys.argv[2])
directories = OpenDirectories(str(root), DirectoryHandle(os.open(root, os.O_RDONLY)), limit=1000)
leave(10)
print(sum(directories.get((f"d{number}",)).fd > 0 for number in range(600)))
leave(0)
try:
    open(os.devnull)
except OSError as error:
    from snapdir.errors import local_error
    print(local_error(error, os.devnull))
"""


def test_descriptors_that_run_out_later_are_borne_and_named(
    program: Program, wide: Path, stores: dict[str, str]
) -> None:
    """Requests wait for a connection that is open, and directories that were kept for later are closed."""
    run = script(program, EXHAUSTED, stores["s3"], str(wide))
    nothing_left = f"I/O error: {os.devnull}: Too many open files (os error 24); raise the limit of open files"
    assert run.stdout.splitlines() == ["False", "600", f"{nothing_left} (ulimit -n), or lower --jobs"], run.stderr


def test_no_connection_at_all_names_the_limit(program: Program, stores: dict[str, str]) -> None:
    code = EXHAUSTED.partition("asyncio.run(")[0] + NO_CONNECTION
    run = script(program, code, stores["s3"])
    assert "ulimit -n" in run.stdout, run
    assert "check the endpoint" not in run.stdout


NO_CONNECTION = """
async def refused(url):
    from snapdir.stores.settings import RetryPolicy, StoreSettings
    async with open_store(url, StoreSettings(retry=RetryPolicy(attempts=1, more_if_throttled=0))) as store:
        leave(0)
        try:
            await store.stat("absent")
        except Exception as error:
            print(error)


asyncio.run(refused(sys.argv[1]))
"""


def test_the_program_raises_its_soft_limit(program: Program) -> None:
    code = """
import resource
from snapdir.cli.process import adapt_to_limits
adapt_to_limits()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    options: dict[str, Any] = {"limit": "-S -n 64; ulimit -H -n 512"}
    assert script(program, code, **options).stdout == "512 512\n"
