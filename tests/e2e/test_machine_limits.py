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
GROUP_BYTES = 512 << 20
REMEDY = " (ulimit -n), or take fewer with --max-open-files"


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
    assert (pushed.code, pushed.stderr.count("\n")) == (0, 0 if limit == "-n 256" else 1), pushed
    assert limit == "-n 256" or pushed.stderr.startswith("warning: this process"), pushed
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
    assert run.stdout.splitlines() == ["False", "600", f"{nothing_left}{REMEDY}"], run.stderr


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


@pytest.fixture
def in_group(tmp_path: Path) -> Iterator[list[str]]:
    """The start of a command line that limits its program to 512 MiB by a cgroup.

    It is a real one where this user may make one; elsewhere the program reads a directory that is laid out as one.
    """
    group = _new_group(f"snapdir-test-{os.getpid()}")
    if group is None:
        yield [sys.executable, "-c", LAID_OUT, str(_laid_out(tmp_path / "root"))]
        return
    yield ["bash", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "-"]
    while (group / "cgroup.procs").read_text():
        os.sched_yield()  # the kernel takes out ended processes soon
    group.rmdir()


def _new_group(name: str) -> Path | None:
    """A new cgroup of version 1 or 2 below that of this process, limited to 512 MiB; None if that is refused."""
    paths = dict(line.split(":")[1:3] for line in Path("/proc/self/cgroup").read_text().splitlines())
    places = [("memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("", "/sys/fs/cgroup", "memory.max")]
    for controller, mount, file in places:
        group = Path(f"{mount}{paths.get(controller, '/missing')}") / name
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / file).write_text(str(GROUP_BYTES))
        except OSError:
            group.rmdir()
        else:
            return group
    return None


def _laid_out(root: Path) -> Path:
    for name, text in {
        "proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
        "proc/self/cgroup": "0::/unit",
        "sys/fs/cgroup/unit/memory.max": str(GROUP_BYTES),
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


LAID_OUT = """
import sys
from functools import partial
from snapdir.transfer.engine import limits

limits.cgroup_memory_bytes = partial(limits.cgroup_memory_bytes, sys.argv[1])
sys.argv[1:] = sys.argv[5:]
from snapdir.__main__ import main
main()
"""


@pytest.mark.parametrize("kind", ["s3", "file"])
def test_a_cgroup_of_512_mib_is_kept_and_said(
    program: Program, wide: Path, stores: dict[str, str], in_group: list[str], kind: str
) -> None:
    def run(*args: str) -> Run:
        command = [*in_group, *program.command(*args)]
        done = subprocess.run(command, capture_output=True, check=False, timeout=300, **program.options({}))
        return Run(done.returncode, done.stdout.decode(), done.stderr.decode())

    warning = (
        "warning: this process has 512 MiB of memory (its cgroup): 64.0 MiB of it hold content instead of 128 MiB,"
        " which may be slower; raise the limit, or choose with --memory\n"
    )
    pushed = run("push", "--store", stores[kind], str(wide))
    assert (pushed.code, pushed.stderr) == (0, warning)
    identifier = pushed.stdout.strip()
    pulled = run("pull", "--store", stores[kind], "--id", identifier, "pulled")
    assert (pulled.code, pulled.stderr) == (0, warning)
    chosen = run("verify", "--store", stores[kind], "--id", identifier, "--memory", "32MiB")
    assert (chosen.code, chosen.stderr) == (0, "")
    too_much = run("verify", "--store", stores[kind], "--id", identifier, "--memory", "1GiB")
    assert (too_much.code, "lower --memory" in too_much.stderr) == (0, True), too_much
    assert run("id", "pulled") == Run(0, f"{identifier}\n", "")
    shown = run("defaults").stdout.splitlines()
    assert {"memory 64MiB source=cgroup", "memory-limit 512MiB source=cgroup"} <= set(shown)
    over = run("defaults", "--memory", "99MiB")
    assert "memory 99MiB source=flag" in over.stdout.splitlines()


OBSERVED = """
import os, sys
from snapdir.__main__ import main

most = 0

def observe(event, args):
    global most
    if event in ("open", "socket.__new__", "os.listdir", "os.scandir"):
        most = max(most, len(os.listdir("/proc/self/fd")) if event != "os.listdir" else 0)

before = len(os.listdir("/proc/self/fd"))
sys.addaudithook(observe)
try:
    main()
finally:
    print("most", most - before, file=sys.stderr)
"""


@pytest.mark.parametrize("max_open_files", [32, 64])
@pytest.mark.parametrize("kind", ["s3", "file"])
def test_no_verb_has_more_open_files_than_it_may(
    program: Program, wide: Path, stores: dict[str, str], kind: str, max_open_files: int
) -> None:
    """Nor does the limit of the process change, or a warning say what the user has chosen."""
    store = stores[kind]
    few = ("--max-open-files", str(max_open_files), "--jobs", "200")
    pushed = script(program, OBSERVED, "push", *few, "--store", store, str(wide))
    identifier = pushed.stdout.strip()
    runs = [pushed] + [
        script(program, OBSERVED, *args, *few)
        for args in (
            ["pull", "--store", store, "--id", identifier, "pulled"],
            ["verify", "--store", store, "--id", identifier],
            ["fetch", "--store", store, "--id", identifier],
            ["checkout", "--id", identifier, "checked-out"],
            ["sync", "--from", store, "--to", stores[f"{kind} too"], "--id", identifier],
            ["status", "pulled"],
        )
    ]
    for run in runs:
        assert run.code == 0, run
        assert "warning:" not in run.stderr, run
        assert int(run.stderr.splitlines()[-1].removeprefix("most ")) <= max_open_files, run
    assert program.id("id", "pulled") == identifier


MEASURED = """
import sys
from pathlib import Path
from snapdir.__main__ import main

try:
    main()
finally:  # ru_maxrss counts the process that started this one too
    peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
    print("peak", int(peak) >> 10, file=sys.stderr)
"""
BASE_MIB = 40
SLACK_MIB = 12
"""For other versions of Python and its libraries, and for memory that the system counts in batches."""


def test_a_transfer_takes_its_memory_and_a_fixed_base(program: Program, wide: Path, stores: dict[str, str]) -> None:
    """The two large files alone take more than that."""
    memory = ("--memory", "8MiB", "--store", stores["s3"])
    pushed = script(program, MEASURED, "push", *memory, str(wide))
    pulled = script(program, MEASURED, "pull", *memory, "--id", pushed.stdout.strip(), "pulled")
    for run in (pushed, pulled):
        assert run.code == 0, run
        assert int(run.stderr.splitlines()[-1].removeprefix("peak ")) <= 8 + BASE_MIB + SLACK_MIB, run
